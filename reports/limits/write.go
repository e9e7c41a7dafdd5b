package limits

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// Write prints the answer in words, how far to trust it, a table for each limit,
// and why what is not accurate is not.
func Write(w io.Writer, f *sample.File, list []Judgement) error {
	_, err := fmt.Fprintf(w, "%s\n%s\n", Answer(list), Trust(f, list))
	if err != nil {
		return fmt.Errorf("print the verdicts: %w", err)
	}
	for _, r := range rules() {
		mine := slices.DeleteFunc(slices.Clone(list), func(j Judgement) bool { return j.Limit != r.limit })
		if len(mine) == 0 {
			continue
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return fmt.Errorf("print the verdicts: %w", err)
		}
		if err := table.Plain(w, r.table(mine)); err != nil {
			return err
		}
	}
	return nil
}

// table is a limit's.
func (r rule) table(list []Judgement) table.Table {
	t := table.Table{Header: []string{r.limit}, Align: []table.Align{table.Left}}
	for _, c := range r.columns {
		t.Header, t.Align = append(t.Header, c.head), append(t.Align, table.Right)
	}
	t.Header, t.Align = append(t.Header, "verdict"), append(t.Align, table.Left)
	for _, j := range list {
		row := []string{j.Asked}
		for _, c := range r.columns {
			cell := "-"
			if j.Got != "" {
				cell = c.cell(j)
			}
			row = append(row, cell)
		}
		verdict := string(j.Verdict)
		if j.Why != "" {
			verdict += ": " + j.Why
		}
		t.Rows = append(t.Rows, append(row, verdict))
		if j.Note != "" {
			t.Notes = append(t.Notes, j.Asked+": "+j.Note)
		}
	}
	if first := list[0]; first.Kernel != "" {
		t.Notes = append(t.Notes, fmt.Sprintf("the kernel's own test would accept %s for the first line", first.Kernel))
	}
	return t
}

// Answer is one sentence: how many limits are kept.
func Answer(list []Judgement) string {
	by := map[Verdict]int{}
	var limits []string
	for _, j := range list {
		by[j.Verdict]++
		if !slices.Contains(limits, j.Limit) {
			limits = append(limits, j.Limit)
		}
	}
	name := "The limits are"
	if len(limits) == 1 {
		name = limits[0] + " is"
	}
	kept, n := by[Accurate]+by[Within], len(list)
	counts := fmt.Sprintf("%d of %d accurate", by[Accurate], n)
	for _, v := range []Verdict{Within, Inaccurate, NotJudged} {
		if by[v] > 0 {
			counts += fmt.Sprintf(", %d %s", by[v], v)
		}
	}
	switch {
	case n == 0:
		return "No limit was measured."
	case by[Inaccurate] > 0:
		return fmt.Sprintf("%s NOT kept: %s.", name, counts)
	case kept == 0:
		return fmt.Sprintf("Nothing can be said of %s here: %s.", strings.Join(limits, ", "), counts)
	case by[NotJudged] > 0:
		return fmt.Sprintf("%s kept, as far as can be said: %s.", name, counts)
	}
	return fmt.Sprintf("%s kept: %s.", name, counts)
}

// Trust says how far.
func Trust(f *sample.File, list []Judgement) string {
	level := "good"
	if slices.ContainsFunc(list, func(j Judgement) bool { return j.Verdict == NotJudged }) {
		level = "partial, some cases are not judged"
	}
	steal := "steal unknown"
	if s := f.End.Steal; s != nil {
		if steal = fmt.Sprintf("steal %.1f %%", 100**s); *s == 0 {
			steal = "no steal"
		}
	}
	return fmt.Sprintf("Trust: %s. %s, load %s, HZ %s, kernel %s, cgroup %s, sched_ext %s.", level,
		strings.ToUpper(steal[:1])+steal[1:], f.Recorded("load1"), f.Recorded("hz"), f.Key("kernel"), f.Key("cgroup"), f.Recorded("sched_ext"))
}
