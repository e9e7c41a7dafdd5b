package payload

import (
	"bytes"
	"fmt"
	"strconv"
)

// digits is the length of a number in the payload's output.
const digits = 16

// ParseStamp finds the stamp in what came from the payload's descriptor 1: the
// first line that is 16 hexadecimal digits and nothing else. Lines around it
// may be anything, and \r before \n is a terminal's. The result is
// nanoseconds of CLOCK_MONOTONIC, and never 0 without an error.
func ParseStamp(b []byte) (ns int64, err error) {
	for line := range bytes.Lines(b) {
		if n, ok := parseHex(string(bytes.TrimRight(line, "\r\n"))); ok && n > 0 {
			return n, nil
		}
	}
	if len(b) == 0 {
		return 0, fmt.Errorf("read the payload's stamp: it wrote nothing; see the status and the errors of what started it")
	}
	return 0, fmt.Errorf("read the payload's stamp: no line of %d hexadecimal digits in %s; see what started it", digits, clip(b))
}

// parseHex reads one number as the payload writes it; a negative one is an
// errno.
func parseHex(text string) (int64, bool) {
	if len(text) != digits {
		return 0, false
	}
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(text, 16, 64)
	return int64(n), err == nil
}

// clip quotes the end of an output, where the reason of a failure is.
func clip(b []byte) string {
	const most = 200
	b = bytes.TrimSpace(b)
	if len(b) <= most {
		return strconv.Quote(string(b))
	}
	return "…" + strconv.Quote(string(b[len(b)-most:]))
}
