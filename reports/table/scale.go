package table

import (
	"math"
	"strconv"
	"strings"
)

// unknown is what stands for a figure that is not known.
const unknown = "-"

// unit is one step of a scale. places says how many decimals a value below
// 10, below 100 and above shows: never more than 3 significant digits, and
// none finer than a person can use at that size.
type unit struct {
	name   string
	size   float64
	places [3]int
}

var (
	times = []unit{
		{"ns", 1, [3]int{1, 0, 0}},
		{"us", 1e3, [3]int{1, 0, 0}},
		{"ms", 1e6, [3]int{2, 1, 0}},
		{"s", 1e9, [3]int{1, 1, 0}},
	}
	sizes = []unit{
		{"B", 1, [3]int{0, 0, 0}},
		{"KiB", 1 << 10, [3]int{1, 0, 0}},
		{"MiB", 1 << 20, [3]int{1, 0, 0}},
		{"GiB", 1 << 30, [3]int{2, 1, 0}},
		{"TiB", 1 << 40, [3]int{2, 1, 0}},
	}
	rates = []unit{
		{"bit/s", 1, [3]int{0, 0, 0}},
		{"kbit/s", 1e3, [3]int{1, 0, 0}},
		{"Mbit/s", 1e6, [3]int{1, 0, 0}},
		{"Gbit/s", 1e9, [3]int{2, 1, 0}},
	}
)

// Duration writes nanoseconds: "24 ns", "3.1 us", "469 us", "1.10 ms",
// "2.3 s". A value that is not finite is "-".
func Duration(ns float64) string { return scaled(ns, times) }

// Bytes writes bytes in binary units: "900 B", "1 MiB", "1.50 GiB".
func Bytes(b float64) string { return scaled(b, sizes) }

// Bits writes bytes per second as bits per second in decimal units, as links
// are rated: "652 Mbit/s", "17.5 Gbit/s".
func Bits(bytesPerSecond float64) string { return scaled(8*bytesPerSecond, rates) }

// Increase writes a difference in nanoseconds with its sign: "+ 469 us",
// "- 2 us"; "0 ns" has none.
func Increase(ns float64) string {
	text := Duration(math.Abs(ns))
	switch {
	case text == unknown || strings.HasPrefix(text, "0 "):
		return text
	case ns < 0:
		return "- " + text
	}
	return "+ " + text
}

// Range writes an interval in nanoseconds with one unit: "455 .. 481 us". It
// shows more decimals than Duration where the ends would look alike, within 3
// significant digits. An interval with an end that is not finite is "-".
func Range(lo, hi float64) string {
	if !isFinite(lo) || !isFinite(hi) {
		return unknown
	}
	top := max(math.Abs(lo), math.Abs(hi))
	u, places := fit(top, times)
	from, to := fixed(lo/u.size, places), fixed(hi/u.size, places)
	for from == to && lo != hi && places < mostPlaces(top/u.size) {
		places++
		from, to = fixed(lo/u.size, places), fixed(hi/u.size, places)
	}
	return from + " .. " + to + " " + u.name
}

// Percent writes a ratio: 0.2 is "20 %", 0.0841 "8.4 %", 0.0015 "0.15 %".
func Percent(ratio float64) string {
	if !isFinite(ratio) {
		return unknown
	}
	p := 100 * ratio
	places := 0
	switch a := math.Abs(p); {
	case a < 0.995:
		places = 2
	case a < 9.95:
		places = 1
	}
	return trimZeros(fixed(p, places)) + " %"
}

// Count writes a number of things: "2,310".
func Count(n int) string {
	digits := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Plural counts things: "1 case", "2,310 samples".
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

func scaled(v float64, scale []unit) string {
	if !isFinite(v) {
		return unknown
	}
	u, places := fit(math.Abs(v), scale)
	if places == 1 && v == math.Trunc(v/u.size)*u.size {
		places = 0 // "2 us" is exact, "2.0 us" is rounded
	}
	text := fixed(v/u.size, places)
	if strings.Trim(text, "0.") == "" {
		text = "0"
	}
	return text + " " + u.name
}

// fit chooses the unit and the decimals for v >= 0, as they are right after
// rounding: 999.7 us is "1.00 ms", not "1000 us".
func fit(v float64, scale []unit) (unit, int) {
	for i, u := range scale {
		for band, limit := range []float64{10, 100, 1000} {
			places := u.places[band]
			half := 0.5 * math.Pow(10, -float64(places))
			if v/u.size < limit-half {
				return u, places
			}
		}
		if i+1 < len(scale) && v < scale[i+1].size-u.size/2 {
			return u, 0 // 1000 .. 1023 of a binary unit
		}
	}
	return scale[len(scale)-1], 0
}

// mostPlaces is how many decimals make 3 significant digits.
func mostPlaces(v float64) int {
	switch {
	case v >= 100:
		return 0
	case v >= 10:
		return 1
	}
	return 2
}

func fixed(v float64, places int) string {
	text := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Trim(text, "-0.") == "" {
		return strings.TrimPrefix(text, "-") // no "-0"
	}
	return text
}

func trimZeros(text string) string {
	if !strings.Contains(text, ".") {
		return text
	}
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
