package limits

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"

	"isoperf/bench/sample"
	"isoperf/reports/export"
)

// metric is a family of OpenMetrics: the last part of its name is its unit.
type metric struct {
	name, unit, help string
	value            func(Judgement) (float64, bool)
}

// scales are the units of an error: as a judgement has it, as OpenMetrics wants
// it, and how many of the first make one of the second. A gauge's name must not end
// in _count, which is a histogram's.
func scales() []struct {
	unit, name string
	per        float64
} {
	return []struct {
		unit, name string
		per        float64
	}{{"", "ratio", 1}, {"points", "points", 1}, {"count", "number", 1}, {"B", "bytes", 1}, {"ns", "seconds", 1e9}}
}

// metrics are the families with a number for each judgement.
func metrics() []metric {
	var list []metric
	for _, s := range scales() {
		in := func(of func(Judgement) float64) func(Judgement) (float64, bool) {
			return func(j Judgement) (float64, bool) { return of(j) / s.per, j.Got != "" && j.Unit == s.unit }
		}
		list = append(list,
			metric{"isoperf_limit_error_" + s.name, s.name, "What was got against what was entitled to.", in(func(j Judgement) float64 { return j.Error })},
			metric{"isoperf_limit_budget_" + s.name, s.name, "By how much the error may be off, although the kernel is right.", in(func(j Judgement) float64 { return j.Budget })})
	}
	return list
}

// Metrics writes the verdicts in the text format of OpenMetrics 1.0.
func Metrics(w io.Writer, f *sample.File, list []Judgement) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# TYPE isoperf_verify info\n# HELP isoperf_verify The machine on which limits were verified.\nisoperf_verify_info{%s} 1\n",
		export.Labels("schema", Schema, "kernel", f.Recorded("kernel"), "cgroup", f.Recorded("cgroup")))
	for _, m := range metrics() {
		head := false
		for _, j := range list {
			v, ok := m.value(j)
			if !ok || math.IsNaN(v) {
				continue
			}
			if !head {
				fmt.Fprintf(&b, "# TYPE %s gauge\n# UNIT %s %s\n# HELP %s %s\n", m.name, m.name, m.unit, m.name, m.help)
				head = true
			}
			fmt.Fprintf(&b, "%s{%s} %s\n", m.name, export.Labels("limit", j.Limit, "case", j.Case), strconv.FormatFloat(v, 'g', -1, 64))
		}
	}
	const state = "isoperf_limit_verdict"
	if len(list) > 0 {
		fmt.Fprintf(&b, "# TYPE %s stateset\n# HELP %s What is said of the limit.\n", state, state)
	}
	for _, j := range list {
		for _, v := range []Verdict{Accurate, Within, Inaccurate, NotJudged} {
			is := 0
			if j.Verdict == v {
				is = 1
			}
			fmt.Fprintf(&b, "%s{%s} %d\n", state, export.Labels("limit", j.Limit, "case", j.Case, state, string(v)), is)
		}
	}
	b.WriteString("# EOF\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write the verdicts as metrics: %w", err)
	}
	return nil
}
