package plot

import (
	"fmt"
	"slices"
	"testing"

	"isoperf/bench/sample"
)

// There is room for four curves: each period has one, that of 20 % if it is there.
func TestEachPeriodIsShown(t *testing.T) {
	f := &sample.File{}
	for _, period := range []string{"10ms", "100ms", "1s"} {
		for _, quota := range []int{5, 20, 50, 100} {
			f.Series = append(f.Series, sample.Series{Case: fmt.Sprintf("CpuMax/quota=%d%%/period=%s/threads=1/load=spin", quota, period), Name: "use per period", Points: [][2]float64{{0, 1}, {1, 1}}})
		}
	}
	var got []string
	for _, s := range periodsShown(f) {
		c := sample.Case{Name: s.Case}
		got = append(got, c.Param("quota")+" "+c.Param("period"))
	}
	if want := []string{"5% 10ms", "20% 10ms", "20% 100ms", "20% 1s"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Nothing is left of what took no time on a log axis: it has a place of its own.
func TestZeroHasAPlace(t *testing.T) {
	rows := []row{{marks: []mark{{value: 0, lo: 0, hi: 5, ok: true}}}, {marks: []mark{{value: 1000, lo: 900, hi: 1100, ok: true}}}}
	x := logAxis("", []float64{5, 1000}, durationTick).fromZero(rows)
	zero := rows[0].marks[0]
	if zero.value <= x.min || zero.value != x.zero || zero.lo != x.zero || zero.hi != 5 || x.ticks[0].Label != "0" || x.ticks[0].Value != x.zero {
		t.Errorf("%+v, %+v", zero, x)
	}
	plain := logAxis("", []float64{900, 1100}, durationTick)
	if x := plain.fromZero(rows[1:]); x.zero != 0 || x.min != plain.min {
		t.Errorf("without a zero: %+v", x)
	}
}
