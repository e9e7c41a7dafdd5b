package table

import (
	"math"
	"testing"
)

func TestValueReadsWhatIsWritten(t *testing.T) {
	for _, v := range []float64{0, 1, 24, 999, 3100, 469e3, 1.1e6, 2.3e9, 7e11} {
		for _, text := range []string{Duration(v), Bytes(v), Count(int(v)), Increase(v), Range(v, 1.2*v+1)} {
			got, ok := Value(text)
			// A print has three significant digits, an interval as few as one.
			if !ok || math.Abs(got-v) > 0.06*v+0.5 {
				t.Errorf("%q of %g is read as %g, %v", text, v, got, ok)
			}
		}
	}
	for text, want := range map[string]float64{
		"+ 469 us": 469e3, "- 2 us": -2e3, "-10.1 %": -0.101, "+6.9 .. +9.8": 6.9, "2,310": 2310, "0.85x": 0.85, "5 MiB/s": 5 << 20,
		"1.5 ns/B": 1.5, "-3 .. 4 ms": -3e6, "12": 12, "16 KiB .. 32 KiB": 16 << 10, "900 B .. 2 KiB": 900,
	} {
		if got, ok := Value(text); !ok || math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Errorf("%q is read as %g, %v instead of %g", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "-", "net", "20 % / 100 ms", "3 apples", "a .. b", "1 .. b", "186 of 600"} {
		if got, ok := Value(text); ok {
			t.Errorf("%q are words, and are read as %g", text, got)
		}
	}
}
