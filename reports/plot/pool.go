package plot

import (
	"slices"
	"strings"

	"isoperf/bench/sample"
)

// Pool joins the files that were measured under the same configuration, and
// keeps the others apart: samples of two configurations are never mixed. The
// files given are not changed. A pooled file names all its sources in Path
// and has the fingerprint of the first.
func Pool(files []*sample.File) []*sample.File {
	var pooled []*sample.File
	for _, f := range files {
		i := slices.IndexFunc(pooled, func(p *sample.File) bool { return Comparable(p, f) })
		if i < 0 {
			pooled = append(pooled, &sample.File{Config: f.Config, Fingerprint: f.Fingerprint})
			i = len(pooled) - 1
		}
		pooled[i].Path = strings.TrimPrefix(pooled[i].Path+", "+f.Path, ", ")
		pool(pooled[i], f)
	}
	return pooled
}

// Comparable says whether two files were measured under one configuration.
func Comparable(a, b *sample.File) bool {
	sorted := func(f *sample.File) []sample.Pair {
		return slices.SortedFunc(slices.Values(f.Config), func(x, y sample.Pair) int { return strings.Compare(x.Key, y.Key) })
	}
	return slices.Equal(sorted(a), sorted(b))
}

func pool(into, f *sample.File) {
	into.Runs = append(into.Runs, f)
	if into.Fingerprint == nil {
		into.Fingerprint = f.Fingerprint
	}
	for _, u := range f.Units {
		if !slices.Contains(into.Units, u) {
			into.Units = append(into.Units, u)
		}
	}
	before := map[string]int{} // samples of each case
	for _, c := range into.Cases {
		before[c.Name] = c.N()
	}
	for _, c := range f.Cases {
		to := into.Case(c.Name)
		if to == nil {
			to = &sample.Case{Name: c.Name, Values: map[string][]float64{}}
			into.Cases = append(into.Cases, to)
		}
		for _, unit := range c.Units {
			if !slices.Contains(to.Units, unit) {
				to.Units = append(to.Units, unit)
			}
			to.Values[unit] = append(to.Values[unit], c.Values[unit]...)
		}
		to.Failures = append(to.Failures, c.Failures...)
	}
	for _, n := range f.NotMeasured {
		if !slices.Contains(into.NotMeasured, n) {
			into.NotMeasured = append(into.NotMeasured, n)
		}
	}
	for _, o := range f.Observed {
		if into.Seen(o.Case).Case == "" {
			into.Observed = append(into.Observed, o)
		}
	}
	for _, k := range f.Checked {
		k.Sample += before[k.Case]
		into.Checked = append(into.Checked, k)
	}
	for _, s := range f.Series {
		s.Sample += before[s.Case]
		into.Series = append(into.Series, s)
	}
	into.Timelines = append(into.Timelines, f.Timelines...)
	into.Notes = append(into.Notes, f.Notes...)
}
