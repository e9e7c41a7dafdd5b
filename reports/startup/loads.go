package startup

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
)

// Crowd is one runtime with several starts at once, in a closed loop: as soon
// as one has ended, the next one begins.
type Crowd struct {
	Runtime string
	Rates   []stats.Rate    // starts per second, by concurrency
	Totals  []stats.Summary // what one start then takes; in step with Rates
	Knee    stats.Rate
	Known   bool // whether there is a knee to state
}

// Best is the greatest rate.
func (c Crowd) Best() stats.Rate {
	return slices.MaxFunc(c.Rates, func(a, b stats.Rate) int { return cmp.Compare(a.PerSecond, b.PerSecond) })
}

// Rising says that the best rate needs the most that was tried: the knee is
// not in sight.
func (c Crowd) Rising() bool {
	return c.Known && c.Knee.Workers == c.Rates[len(c.Rates)-1].Workers
}

// Crowds are the runtimes of a file in its order, without those that have no
// rate.
func Crowds(f *sample.File) []Crowd {
	type at struct {
		n float64
		k *sample.Case
	}
	steps := map[string][]at{}
	var names []string
	for _, k := range f.Family("StartupAtOnce") {
		n, err := strconv.ParseFloat(k.Param("n"), 64)
		rate := stats.NewRate(n, k.Values["wall-ns"]).PerSecond
		if err != nil || !(n >= 1) || !(rate > 0) || math.IsInf(rate, 1) {
			continue
		}
		name := k.Param("runtime")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		steps[name] = append(steps[name], at{n, k})
	}
	var all []Crowd
	for _, name := range names {
		c := Crowd{Runtime: name}
		slices.SortStableFunc(steps[name], func(a, b at) int { return cmp.Compare(a.n, b.n) })
		for _, s := range steps[name] {
			c.Rates = append(c.Rates, stats.NewRate(s.n, s.k.Values["wall-ns"]))
			c.Totals = append(c.Totals, stats.Summarize(s.k.Values["total-ns"]))
		}
		c.Knee, c.Known = stats.Knee(c.Rates)
		all = append(all, c)
	}
	return all
}

// Load is one runtime in an open loop: starts are due at their own times,
// whether or not the earlier ones have ended.
type Load struct {
	Runtime string
	Percent float64 // of the best rate of the closed loop

	// Response is from the intended start to reaped, Late from the intended
	// start to the begun one, Service from there on: all that a closed loop
	// would have shown.
	Response, Late, Service stats.Tail
}

// Loads are those of a file by runtime, the least load first.
func Loads(f *sample.File) []Load {
	var all []Load
	var names []string
	for _, k := range f.Family("StartupOpen") {
		percent, err := strconv.ParseFloat(k.Param("load"), 64)
		l := Load{
			Runtime: k.Param("runtime"), Percent: percent,
			Response: stats.NewTail(k.Values["response-ns"]),
			Late:     stats.NewTail(k.Values["late-ns"]),
			Service:  stats.NewTail(k.Values["total-ns"]),
		}
		if err != nil || l.Response.N == 0 {
			continue
		}
		if !slices.Contains(names, l.Runtime) {
			names = append(names, l.Runtime)
		}
		all = append(all, l)
	}
	slices.SortStableFunc(all, func(a, b Load) int {
		return cmp.Or(cmp.Compare(slices.Index(names, a.Runtime), slices.Index(names, b.Runtime)), cmp.Compare(a.Percent, b.Percent))
	})
	return all
}

// Farthest is the greatest of the given shares that the samples of both
// Response and Service bear out; 0 when none.
func (l Load) Farthest(shares ...float64) float64 {
	most := 0.0
	for _, s := range shares {
		if !math.IsNaN(l.Response.At(s)) && !math.IsNaN(l.Service.At(s)) {
			most = max(most, s)
		}
	}
	return most
}
