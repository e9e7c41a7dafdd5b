package trace

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The columns of the table: the name, the time, the share, and the bar in what
// is left.
const (
	nameWidth = 26
	timeWidth = 9
	barIndent = nameWidth + timeWidth + len("  100 %") + 3
	minWidth  = barIndent + 10
)

// Bars prints the phases of a start, in their order, with a bar as long as
// each one's share; the longest fills the width, in columns. A width below 55
// counts as 55. The whole is the last line.
func Bars(w io.Writer, phases []Phase, width int) error {
	room := max(width, minWidth) - barIndent
	whole, most := int64(0), Phase{}
	for _, p := range phases {
		whole += p.Ns
		if p.Ns > most.Ns {
			most = p
		}
	}
	if whole == 0 {
		_, err := io.WriteString(w, "The start took no time that was seen: nothing ran.\n")
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "The container started in %s; the longest part, %s, took %s %%.\n\n", Duration(whole), most.Name, percent(most.Ns, whole))
	line := func(name string, ns int64, bar string) {
		text := fmt.Sprintf("%-*s %*s  %3s %%  %s", nameWidth, name, timeWidth, Duration(ns), percent(ns, whole), bar)
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	fmt.Fprintf(&b, "%-*s %*s  %s\n", nameWidth, "phase", timeWidth, "time", "share")
	for _, p := range phases {
		length := (int64(room)*p.Ns + most.Ns/2) / most.Ns
		line(p.Name, p.Ns, strings.Repeat("#", int(length)))
	}
	line("the whole", whole, "")
	_, err := io.WriteString(w, b.String())
	return err
}

// percent is a share in whole percent; "<1" for what is less than one half.
func percent(ns, whole int64) string {
	share := (200*float64(ns)/float64(whole) + 1) / 2
	if ns > 0 && share < 1 {
		return "<1"
	}
	return strconv.Itoa(int(share))
}

// Duration prints nanoseconds with three significant digits: "0 ns", "312 ns",
// "9.87 us", "312 us", "1.52 ms", "12.0 s".
func Duration(ns int64) string {
	if ns < 1000 {
		return strconv.FormatInt(ns, 10) + " ns"
	}
	value := float64(ns)
	for _, unit := range []string{"us", "ms", "s"} {
		value /= 1000
		// Rounded first: 999.6 us is 1.00 ms.
		if value < 999.5 || unit == "s" {
			digits := 0
			switch {
			case value < 9.995:
				digits = 2
			case value < 99.95:
				digits = 1
			}
			return strconv.FormatFloat(value, 'f', digits, 64) + " " + unit
		}
	}
	return ""
}
