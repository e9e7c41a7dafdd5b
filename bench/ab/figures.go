package ab

import (
	"slices"
	"strings"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// figures tells the judge of a round: one value of each visit, which is the median
// of its samples. A case that is not in all four is passed over.
func (r *run) figures(group int, all [2][][]Sample, tell func(string, []float64, []float64)) {
	var values [2]map[string][]float64
	for side, visits := range all {
		values[side] = map[string][]float64{}
		for _, list := range visits {
			for name, v := range mains(list) {
				values[side][name] = append(values[side][name], median(v))
			}
		}
	}
	for _, name := range names(all[0][0]) {
		if base, head := values[0][name], values[1][name]; len(base) == 2 && len(head) == 2 {
			r.groups[name] = group
			tell(name, base, head)
		}
	}
}

// mains are the main values of a visit, by case and unit. The controls are not
// judged.
func mains(list []Sample) map[string][]float64 {
	values := map[string][]float64{}
	for _, s := range list {
		if key := Key(s); key != "" {
			values[key] = append(values[key], mainOf(s).Value)
		}
	}
	return values
}

// Key is what a judge calls a sample's case; empty: it is not judged.
func Key(s Sample) string {
	if len(s.Values) == 0 || strings.HasPrefix(s.Case, "Control/") || strings.HasPrefix(s.Case, "StartupSpans/") {
		return ""
	}
	return s.Case + " " + mainOf(s).Unit
}

// mainOf is the value that stands for a sample, as in reports/compare: of a start,
// until the payload is ready; of others, the last one.
func mainOf(s Sample) sample.Value {
	for _, v := range s.Values {
		if v.Unit == "ready-ns" {
			return v
		}
	}
	return s.Values[len(s.Values)-1]
}

// names are the cases of a visit, once, in its order.
func names(list []Sample) []string {
	var all []string
	for _, s := range list {
		if key := Key(s); key != "" && !slices.Contains(all, key) {
			all = append(all, key)
		}
	}
	return all
}

// median of values, of which there is one at least.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// phasesEvery is after how many rounds the phases of both sides are measured.
const phasesEvery = 4

// phases measures where the time of each side goes, in the order of the coin.
func (r *run) phases() {
	first := r.coin.IntN(2)
	for _, side := range []int{first, 1 - first} {
		p, ok := r.sides[side].(Phased)
		if !ok || r.stopped() {
			continue
		}
		list, err := p.Phases(r.ctx)
		switch {
		case r.ctx.Err() != nil:
			return
		case err != nil:
			r.keep(r.out[side].Failed("StartupSpans", err.Error()))
		}
		for _, s := range list {
			r.keep(r.out[side].Sample(s.Case, s.Values))
		}
	}
}

// control is a case of the machine.
type control struct {
	name    string
	sampler harness.Sampler
}

func (r *run) openControls() {
	for _, c := range r.Controls {
		s, err := c.Open()
		if err != nil {
			r.keep(err)
			continue
		}
		r.controls = append(r.controls, control{c.Name, s})
	}
}

// control samples each control once for each file.
func (r *run) control() {
	for _, c := range r.controls {
		c.sampler.Sample(1, func([]sample.Value, error) {}) // as in a run, one to warm up
		first := r.coin.IntN(2)
		for _, side := range []int{first, 1 - first} {
			c.sampler.Sample(1, func(values []sample.Value, err error) {
				if err == nil {
					r.keep(r.out[side].Sample(c.name, values))
				}
			})
		}
	}
}

func (r *run) closeControls() {
	for _, c := range r.controls {
		r.keep(c.sampler.Close())
	}
}
