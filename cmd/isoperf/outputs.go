package main

import (
	"bytes"
	"fmt"
	"io"

	"isoperf/reports/compare"
)

// Files for programs, of compare, ab and history:
//
//	--json FILE ──distinctOutputs──► no file that is read, none twice
//	            ──writeOutputs────► whole, or not at all; "-" is standard output

// outputFile is a file for programs that a flag asked for.
type outputFile struct {
	flag, path string
	write      func(io.Writer) error
}

// distinctOutputs refuses a file that is read, and one that two flags name. read
// are the full names of what is read.
func distinctOutputs(list []outputFile, read []string) error {
	taken := map[string]string{}
	for _, full := range read {
		taken[full] = "a file that is read"
	}
	for _, out := range list {
		if out.path == "-" {
			continue
		}
		full := fullName(out.path)
		if other := taken[full]; other != "" {
			return usage("--%s %s: that is %s already; give another name", out.flag, out.path, other)
		}
		taken[full] = "the file of --" + out.flag
	}
	return nil
}

// writeOutputs writes the files that were asked for; "-" is standard output, and
// then nothing else is printed there (true).
func (c *cli) writeOutputs(list []outputFile) (silent bool, err error) {
	for _, out := range list {
		var text bytes.Buffer
		if err := out.write(&text); err != nil {
			return false, err
		}
		if out.path != "-" {
			if err := writeWhole(out.path, text.Bytes()); err != nil {
				return false, fmt.Errorf("write the file of --%s: %w", out.flag, err)
			}
			continue
		}
		if silent {
			return false, fmt.Errorf("write --%s to standard output: another output is there already; give it a file", out.flag)
		}
		silent = true
		if _, err := c.stdout.Write(text.Bytes()); err != nil {
			return false, fmt.Errorf("print --%s: %w", out.flag, err)
		}
	}
	return silent, nil
}

// gate are the flags that say what of a verdict is a failure, of compare, ab and
// history.
type gate struct {
	inconclusive  string
	notComparable string // history has no such verdict: it leaves it out
}

// choices refuses values that the flags do not have.
func (g gate) choices() error {
	for _, f := range []struct{ name, value string }{{"inconclusive", g.inconclusive}, {"not-comparable", g.notComparable}} {
		if f.value != "" && f.value != "pass" && f.value != "fail" {
			return usage("--%s %q: it must be pass or fail", f.name, f.value)
		}
	}
	return nil
}

// status is the exit status of a verdict.
func (g gate) status(v compare.Verdict) int {
	choose := func(choice string, code int) int {
		switch choice {
		case "pass":
			return exitDone
		case "fail":
			return exitFailed
		}
		return code
	}
	switch v {
	case compare.Slower:
		return exitFailed
	case compare.CannotTell:
		return choose(g.inconclusive, exitCannotTell)
	case compare.Apart:
		return choose(g.notComparable, exitNotComparable)
	}
	return exitDone
}

// warn says that a verdict passes only because it was asked for.
func (c *cli) warn(g gate, v compare.Verdict) {
	if g.status(v) == exitDone && (v == compare.CannotTell || v == compare.Apart) {
		fmt.Fprintf(c.stderr, "isoperf: warning: %q passes, as was asked for; nothing was shown\n", v)
	}
}
