package attach

import (
	"fmt"
	"strings"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// openBorn prepares a clone into a group, after a pause; hierarchy none: into
// none.
func openBorn(hierarchy string, gap time.Duration) (harness.Sampler, error) {
	groups := 1
	if hierarchy == none {
		groups = 0
	}
	w, err := newPlace(hierarchy, groups)
	if err != nil {
		return nil, err
	}
	p := program.New(program.VM, 0)
	if hierarchy == "v2" {
		p.Cgroup = w.groups[0].FD()
	}
	seen := newWhereabouts(p)
	p.Add(program.Exit(0))
	img, err := program.Load(p)
	if err != nil {
		return nil, first(err, w.close())
	}
	s := &sampler{place: w, closing: func() error { img.Close(); return nil }}
	born := func() ([]sample.Value, error) { return cloned(img) }
	if hierarchy != none && hierarchy != "v2" {
		born = func() ([]sample.Value, error) { return w.within(img) }
	}
	s.one = func() ([]sample.Value, error) {
		if gap > 0 {
			harness.Rest(gap)
		}
		values, err := born()
		if err == nil && groups > 0 {
			err = seen.in(img, w.dirs[0])
		}
		return values, err
	}
	return s.begin()
}

// cloned starts the child where the launcher is, or where its program says.
func cloned(img *program.Image) ([]sample.Value, error) {
	t, err := img.Cycle()
	return []sample.Value{{Unit: "op-ns", Value: float64(t.Returned)}}, err
}

// within starts it with the launching thread inside the group.
func (w *place) within(img *program.Image) ([]sample.Value, error) {
	g := w.groups[0]
	known := len(g.Spans())
	var t program.Times
	err := g.Within(func() (err error) {
		t, err = img.Cycle()
		return err
	})
	if err != nil {
		return nil, err
	}
	units := []string{"find-home-ns", "enter-ns", "clone-ns", "leave-ns"}
	took := map[string]float64{"clone-ns": float64(t.Returned)}
	for _, s := range g.Spans()[known:] {
		word, _, _ := strings.Cut(s.Name, " ")
		if s.Name == "find home" {
			word = "find-home"
		}
		took[word+"-ns"] += float64(s.End - s.Start)
	}
	values, whole := make([]sample.Value, 0, len(units)+1), 0.0
	for _, unit := range units {
		if took[unit] == 0 {
			return nil, fmt.Errorf("the launching thread did not pass %q", unit)
		}
		values, whole = append(values, sample.Value{Unit: unit, Value: took[unit]}), whole+took[unit]
	}
	return append(values, sample.Value{Unit: "op-ns", Value: whole}), nil
}
