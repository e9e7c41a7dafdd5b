package compare

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
)

// The veto.
const (
	// controlFloor is by how much a control may be off in two runs on the same
	// machine.
	controlFloor = 0.03
	// mostTogether is the share of the rows that count which, when it moved the
	// same way, was moved by the machine.
	mostTogether = 0.5
	// leastTogether is from how many rows on that is so.
	leastTogether = 8
)

// Control is a case that no code of a runtime changes, on both sides.
type Control struct {
	Name     string
	Unit     string
	Old, New stats.Summary
	Ratio    stats.Factor
	Moved    bool
}

// hostKey is the configuration key whose values are machines.
const hostKey = "host"

// ofHost says whether a configuration key is a host's own: another host may have
// another value, and that is no reason not to compare them.
func ofHost(key string) bool {
	return slices.Contains([]string{"goarch", "kernel", "cpu", "cgroup", "virt"}, key)
}

// Machine is whether both sides were measured on the same one, as far as its
// speed goes.
type Machine struct {
	Controls []Control
	Differs  []string // configuration keys that are not the same, with both values
	Together int      // rows that moved the same way, when that is most of them
	Apart    string   // why the sides are not comparable; empty: they are
	Hosts    bool     // the sides are two hosts by intention: what is the machine's is what is asked for
}

// machine compares what is the machine's.
func machine(base, head Column, o Options) Machine {
	m := Machine{Hosts: base.host && head.host}
	m.Differs = differing(m.held(base.config), m.held(head.config))
	for _, name := range base.order {
		if !isControl(name) && name != nullCase {
			continue
		}
		old, next := base.cases[name], head.cases[name]
		if next == nil {
			continue
		}
		unit := old.main()
		if name == nullCase {
			unit = nullUnit
		}
		m.Controls = append(m.Controls, newControl(name, unit, old.side(unit), next.side(unit)))
		if k := &m.Controls[len(m.Controls)-1]; name == nullCase && o.Interleaved || m.Hosts {
			k.Moved = false // as far as it did, by the code; or it is a figure like the others
		}
	}
	if len(m.Differs) > 0 {
		m.Apart = "the machines differ: " + strings.Join(m.Differs, ", ")
	} else if moved := m.moved(); moved != "" {
		m.Apart = "the machine changed: " + moved
	}
	return m
}

// held is the part of a configuration that must be the same on both sides.
func (m Machine) held(config []sample.Pair) []sample.Pair {
	return slices.DeleteFunc(slices.Clone(config), func(p sample.Pair) bool { return m.Hosts && ofHost(p.Key) })
}

// hostNotes say in what two hosts differ.
func (m Machine) hostNotes(base, head Column) []string {
	if !m.Hosts {
		return nil
	}
	var list []string
	for _, text := range differing(base.config, head.config) {
		list = append(list, "the hosts differ: "+text)
	}
	return list
}

// newControl holds a control of two runs against each other. Like a row, it has a
// noise of its own, and moved when it went beyond that.
func newControl(name, unit string, old, next side) Control {
	c := Control{Name: name, Unit: unit, Old: stats.Summarize(old.values), New: stats.Summarize(next.values), Ratio: stats.Ratio(old.values, next.values)}
	noise, _ := noiseOf(old.logs, next.logs, usual{rows: 1, drift: 1})
	bound := max(controlFloor, noise)
	away := c.Ratio.Ratio > 1+bound || c.Ratio.Ratio < 1/(1+bound)
	c.Moved = away && c.Ratio.Sure()
	return c
}

// moved says which controls did.
func (m Machine) moved() string {
	var list []string
	for _, c := range m.Controls {
		if c.Moved {
			list = append(list, fmt.Sprintf("%s %+.1f %%", c.words(), 100*(c.Ratio.Ratio-1)))
		}
	}
	return strings.Join(list, ", ")
}

// words are what a control is.
func (c Control) words() string {
	switch c.Name {
	case nullCase:
		return "the null case"
	case controlFamily + "/what=clock":
		return "the clock"
	case controlFamily + "/what=compute":
		return "a fixed computation"
	}
	return c.Name
}

// together says that most rows moved the same way, whatever they measure: the
// interval of each leaves out 1, and it is beyond the floor. Each row's own noise
// is not asked for, since a machine that changed moves noisy rows as well. The rows
// of one pacing are looked at for themselves, too: where something else keeps the
// CPUs awake, what comes after a pause gets faster, and the rest slower.
func (m *Machine) together(rows []Row, floor float64) {
	groups := map[string][]Row{}
	for _, r := range rows {
		if !r.Main || !r.Compared() || math.IsNaN(r.Ratio.Ratio) {
			continue
		}
		groups[""] = append(groups[""], r)
		if p := pacing(r.Case); p != "" {
			groups[p] = append(groups[p], r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		all := groups[name]
		most, median := mostMoved(all, floor)
		if len(all) < leastTogether || float64(most) < mostTogether*float64(len(all)) {
			continue
		}
		if name != "" {
			name = " of " + name
		}
		m.Together = most
		m.Apart = fmt.Sprintf("%d of %d rows%s moved together, the median of all by %+.1f %%: the machine changed, or something that all of them use", most, len(all), name, 100*(median-1))
		return
	}
}

// mostMoved is how many rows moved one way, and the median of the ratios of all.
func mostMoved(rows []Row, floor float64) (most int, median float64) {
	var up, down int
	ratios := make([]float64, 0, len(rows))
	for _, r := range rows {
		ratios = append(ratios, r.Ratio.Ratio)
		switch {
		case r.Ratio.Lo > 1 && r.Ratio.Ratio > 1+floor:
			up++
		case r.Ratio.Hi < 1 && r.Ratio.Ratio < 1/(1+floor):
			down++
		}
	}
	if len(ratios) == 0 {
		return 0, math.NaN()
	}
	return max(up, down), stats.Quantiles(ratios, 0.5)[0]
}

// pacing is the part of a case's name that says how its samples follow each other.
func pacing(name string) string {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, "pacing=") {
			return part
		}
	}
	return ""
}
