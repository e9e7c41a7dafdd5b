package table

import (
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var example = Table{
	Title:  "clone(2), medians",
	Header: []string{"case", "close-ns", "p50.ns", ""},
	Align:  []Align{Left, Right, Right},
	Rows: [][]string{
		{"none (base)", "24 us", "-", ""},
		{"net", "+  469 us", "9.8 ms", "!"},
		{"a|b\n\\|<b>\x1b[31m", "1", "2", "µ"},
	},
	Notes: []string{"! net waits", "(1) see `isoperf help`"},
}

func TestPlain(t *testing.T) {
	const want = `clone(2), medians
case              close-ns   p50.ns
none (base)          24 us        -
net              +  469 us   9.8 ms   !
a|b \|<b>?[31m           1        2   u
! net waits
(1) see ` + "`isoperf help`\n"
	check(t, Plain, example, want)
}

func TestMarkdown(t *testing.T) {
	const want = `**clone(2), medians**

| case                    |  close-ns | p50.ns |   |
|:------------------------|----------:|-------:|:--|
| none (base)             |     24 us |      - |   |
| net                     | +  469 us | 9.8 ms | ! |
| a\|b<br>\\\|&lt;b> [31m |         1 |      2 | µ |

- ! net waits
- (1) see ` + "`isoperf help`\n"
	check(t, Markdown, example, want)
}

func TestWithoutRows(t *testing.T) {
	check(t, Plain, Table{Header: []string{"a", "b"}}, "a   b\n")
	check(t, Markdown, Table{Header: []string{"a", "b"}}, "| a | b |\n|:--|:--|\n")
}

func TestLongCellsAreKeptWhole(t *testing.T) {
	long := strings.Repeat("word ", 60) + "end"
	check(t, Plain, Table{Header: []string{"why"}, Rows: [][]string{{long}}}, "why\n"+long+"\n")
}

func TestRaggedRowsAreErrors(t *testing.T) {
	for _, bad := range []Table{
		{},
		{Header: []string{"a", "b"}, Rows: [][]string{{"1", "2"}, {"1"}}},
		{Header: []string{"a"}, Rows: [][]string{{"1", "2"}}},
	} {
		var out strings.Builder
		if Plain(&out, bad) == nil || Markdown(&out, bad) == nil || out.Len() > 0 {
			t.Errorf("no error, or half a table, for %+v: %q", bad, out.String())
		}
	}
}

func check(t *testing.T, render func(io.Writer, Table) error, in Table, want string) {
	t.Helper()
	var out strings.Builder
	if err := render(&out, in); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDuration(t *testing.T) {
	for ns, want := range map[float64]string{
		0: "0 ns", 0.31: "0.3 ns", 24: "24 ns", 7.34: "7.3 ns", 261.4: "261 ns", 999.4: "999 ns", 999.6: "1.0 us",
		3100: "3.1 us", 2000: "2 us", 9960: "10 us", 24_300: "24 us", 469_000: "469 us", 999_700: "1.00 ms",
		1.1e6: "1.10 ms", 9.996e6: "10.0 ms", 10.24e6: "10.2 ms", 637.4e6: "637 ms", 2.3e9: "2.3 s", 61e9: "61 s", 5000e9: "5000 s",
		-2000: "-2 us", -0.01: "0 ns", math.NaN(): "-", math.Inf(1): "-", math.Inf(-1): "-",
	} {
		if got := Duration(ns); got != want {
			t.Errorf("Duration(%v) = %q, want %q", ns, got, want)
		}
	}
}

func TestIncrease(t *testing.T) {
	for ns, want := range map[float64]string{
		469_000: "+ 469 us", -2000: "- 2 us", 1.1e6: "+ 1.10 ms", 0: "0 ns", 0.01: "0 ns", math.NaN(): "-", math.Inf(1): "-",
	} {
		if got := Increase(ns); got != want {
			t.Errorf("Increase(%v) = %q, want %q", ns, got, want)
		}
	}
}

func TestRange(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		want   string
	}{
		{455_000, 481_000, "455 .. 481 us"},
		{8_200, 10_400, "8 .. 10 us"},
		{23_100, 23_400, "23.1 .. 23.4 us"},
		{2_000, 2_000, "2.0 .. 2.0 us"},
		{2_010, 2_030, "2.01 .. 2.03 us"},
		{469_100, 469_200, "469 .. 469 us"},
		{1.06e6, 1.15e6, "1.06 .. 1.15 ms"},
		{990_000, 1_016_000, "0.99 .. 1.02 ms"},
		{-1_500, 2_500, "-1.5 .. 2.5 us"},
		{-3_000, -10, "-3.0 .. 0.0 us"},
		{math.Inf(-1), math.Inf(1), "-"},
		{math.NaN(), 2, "-"},
	} {
		if got := Range(c.lo, c.hi); got != c.want {
			t.Errorf("Range(%v, %v) = %q, want %q", c.lo, c.hi, got, c.want)
		}
	}
}

func TestBytesPercentCount(t *testing.T) {
	for b, want := range map[float64]string{
		0: "0 B", 900: "900 B", 1010: "1010 B", 1024: "1 KiB", 1536: "1.5 KiB", 1 << 20: "1 MiB", 1023 << 10: "1023 KiB",
		1.5 * (1 << 30): "1.50 GiB", 1 << 30: "1.00 GiB", 1 << 51: "2048 TiB", math.NaN(): "-",
	} {
		if got := Bytes(b); got != want {
			t.Errorf("Bytes(%v) = %q, want %q", b, got, want)
		}
	}
	for p, want := range map[float64]string{
		0: "0 %", 0.02: "2 %", 0.2003: "20 %", 0.0841: "8.4 %", 0.0015: "0.15 %", 0.00999: "1 %", 0.0996: "10 %", 1.5: "150 %",
		-0.07: "-7 %", math.Inf(1): "-",
	} {
		if got := Percent(p); got != want {
			t.Errorf("Percent(%v) = %q, want %q", p, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 2310: "2,310", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestBits(t *testing.T) {
	for rate, want := range map[float64]string{
		0: "0 bit/s", 100: "800 bit/s", 1.25e3: "10 kbit/s", 8.15e7: "652 Mbit/s", 1.2499e8: "1.00 Gbit/s", 1.25e8: "1.00 Gbit/s", 2.19e9: "17.5 Gbit/s", 1e12: "8000 Gbit/s",
	} {
		if got := Bits(rate); got != want {
			t.Errorf("Bits(%g) = %q, want %q", rate, got, want)
		}
	}
	if got := Bits(math.NaN()); got != "-" {
		t.Errorf("of no number: %q", got)
	}
}
