package plot

import (
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
)

// axis is one scale of a panel. Min and max are set by hand, so that the
// frame never depends on what was added to the plot.
type axis struct {
	label    string // under the frame; empty for none
	min, max float64
	log      bool
	ticks    []plot.Tick // a tick without label is a minor one
	zero     float64     // where the value 0 stands on a log axis; 0 means that it has no place
	words    labeller    // writes a value; nil is a plain number
}

// place is where v stands: 0 has a place of its own on some log axes.
func (a axis) place(v float64) float64 {
	if a.log && v <= 0 && a.zero > 0 {
		return a.zero
	}
	return v
}

// write is a value in words.
func (a axis) write(v float64) string {
	if a.words == nil {
		return figures(v)
	}
	return a.words(v)
}

// between is an interval in words and in brackets, or nothing.
func (a axis) between(lo, hi float64) string {
	if !bounded(lo, hi) {
		return ""
	}
	return " (" + a.write(lo) + " .. " + a.write(hi) + ")"
}

func (a axis) scale() plot.Normalizer {
	if a.log {
		return logScale{}
	}
	return plot.LinearScale{}
}

// logScale is a logarithmic scale that puts what it cannot show, zero and
// below, at its lower end, where gonum's own panics.
type logScale struct{}

// Normalize is the place of x between min and max, as a part of 1.
func (logScale) Normalize(min, max, x float64) float64 {
	if min <= 0 || max <= min {
		return 0
	}
	x = math.Max(x, min)
	return math.Log(x/min) / math.Log(max/min)
}

// labeller writes the value of a tick.
type labeller func(float64) string

// logAxis shows the positive ones of values, with room at both ends.
func logAxis(label string, values []float64, write labeller) axis {
	lo, hi := bounds(values, true)
	room := math.Max(math.Pow(hi/lo, 0.04), 1.08)
	a := axis{label: label, min: lo / room, max: hi * room, log: true, words: write}
	a.ticks = logTicks(a.min, a.max, write)
	return a
}

// fromZero gives the value 0 a place of its own at the lower end of a log axis, and
// the marks that are there that place; a log axis has none by itself.
func (a axis) fromZero(rows []row) axis {
	at := a.min
	found := false
	for _, r := range rows {
		for i := range r.marks {
			m := &r.marks[i]
			for _, v := range []*float64{&m.value, &m.lo, &m.hi} {
				if *v == 0 && m.ok {
					*v, found = at, true
				}
			}
		}
	}
	if !found {
		return a
	}
	a.zero, a.min = at, at/math.Max(1.2, math.Pow(a.max/at, 0.04))
	a.ticks = slices.DeleteFunc(a.ticks, func(t plot.Tick) bool { return t.Value < at*1.5 })
	a.ticks = append([]plot.Tick{{Value: at, Label: "0"}}, a.ticks...)
	return a
}

// linearAxis shows values from zero, or from the lowest negative one.
func linearAxis(label string, values []float64, write labeller) axis {
	lo, hi := bounds(values, false)
	lo = math.Min(lo, 0)
	if hi <= lo {
		hi = lo + 1
	}
	step := niceStep((hi - lo) / 5)
	a := axis{label: label, min: math.Floor(lo/step) * step, max: hi + (hi-lo)*0.04, words: write}
	for i := math.Round(a.min / step); i*step <= a.max; i++ {
		a.ticks = append(a.ticks, plot.Tick{Value: i * step, Label: write(i * step)})
	}
	return a
}

// bounds is the range of the finite values; 1 to 10 where there is none.
func bounds(values []float64, positive bool) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) || positive && v <= 0 {
			continue
		}
		lo, hi = math.Min(lo, v), math.Max(hi, v)
	}
	if lo > hi {
		return 1, 10
	}
	return lo, hi
}

// logTicks labels decades where three or more of them are in view, and finer
// steps of each decade where the range is narrower.
func logTicks(lo, hi float64, write labeller) []plot.Tick {
	labelled := steps([]float64{1}, lo, hi)
	for _, finer := range [][]float64{{1, 3}, {1, 2, 5}, {1, 1.5, 2, 3, 4, 5, 7}, {1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9}} {
		if len(labelled) >= 3 {
			break
		}
		labelled = steps(finer, lo, hi)
	}
	if len(labelled) < 3 {
		labelled = between(lo, hi)
	}
	var ticks []plot.Tick
	for _, v := range labelled {
		ticks = append(ticks, plot.Tick{Value: v, Label: write(v)})
	}
	if hi/lo < 1e6 {
		for _, v := range steps([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, lo, hi) {
			if !slices.Contains(labelled, v) {
				ticks = append(ticks, plot.Tick{Value: v})
			}
		}
	}
	return ticks
}

// steps are the multiples of every power of ten between lo and hi.
func steps(multiples []float64, lo, hi float64) []float64 {
	var at []float64
	for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
		for _, m := range multiples {
			// Dividing keeps powers below one exact enough to compare.
			v := m * math.Pow(10, e)
			if e < 0 {
				v = m / math.Pow(10, -e)
			}
			if v >= lo && v <= hi {
				at = append(at, v)
			}
		}
	}
	return at
}

// between are evenly spaced round values of a range too narrow for decades.
func between(lo, hi float64) []float64 {
	step := niceStep((hi - lo) / 5)
	var at []float64
	for i := math.Ceil(lo / step); i*step <= hi; i++ {
		at = append(at, i*step)
	}
	return at
}

// niceStep is the 1, 2, 2.5 or 5 of a decade next above step.
func niceStep(step float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*decade >= step {
			return m * decade
		}
	}
	return 10 * decade
}

// durationTick writes nanoseconds in the unit that needs the fewest figures.
func durationTick(ns float64) string {
	size := math.Abs(ns)
	switch {
	case ns == 0:
		return "0"
	case size >= 1e9:
		return figures(ns/1e9) + " s"
	case size >= 1e6:
		return figures(ns/1e6) + " ms"
	case size >= 1e3:
		return figures(ns/1e3) + " us"
	}
	return figures(ns) + " ns"
}

// numberTick writes a plain number, with thousands set apart.
func numberTick(v float64) string {
	if v < 1000 || v != math.Trunc(v) {
		return figures(v)
	}
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// mebibyteTick writes a size that is counted in MiB.
func mebibyteTick(mib float64) string {
	switch {
	case mib >= 1024:
		return figures(mib/1024) + " GiB"
	case mib < 1:
		return figures(mib*1024) + " KiB"
	}
	return figures(mib) + " MiB"
}

func figures(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// at labels the values themselves (the steps of a sweep) instead of round
// ones, and leaves out a label that would run into the one before; width is
// the axis in points.
func (a axis) at(values []float64, write labeller, width float64) axis {
	a.ticks, a.words = nil, write
	end := math.Inf(-1)
	for _, v := range values {
		label := write(v)
		x := a.scale().Normalize(a.min, a.max, a.place(v)) * width
		half := float64(smallLetter().width(label)) / 2
		if x-half < end+6 {
			label = ""
		} else {
			end = x + half
		}
		a.ticks = append(a.ticks, plot.Tick{Value: a.place(v), Label: label})
	}
	return a
}
