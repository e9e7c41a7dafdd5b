package page

import (
	"fmt"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/startup"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

func startupChapter() chapter {
	return chapter{
		family: "Startup", heading: "Startup: how long a container takes to start", own: startTables,
		about: "Each runtime starts the same payload from the same bundle, and the runtimes take turns. All times start when clone3 of the runtime's process is entered: " +
			"`ready-ns` ends at the first instruction of the payload, which stamps it itself, `total-ns` when the runtime is reaped. " +
			"`user-ns` and `sys-ns` are the CPU time of the runtime and of everything it waited for, `peak-B` its peak resident memory. " +
			"The ratio is that of the total over the base's, by Hodges and Lehmann on logarithms, with its 95 % interval. " +
			"What a container lacks was observed by its payload, not taken from a manual.",
	}
}

func startupVariantsChapter() chapter {
	return chapter{
		family: startup.Varied, heading: "Startup: variants of the container", own: variedTables,
		about: "The usual container and those that differ from it in one thing, in turns: `seccomp` adds Docker's filter, `limits` limits of CPU, memory and processes, " +
			"`host-net` leaves the network namespace out, `bare` the control group, the masks and the drop of capabilities, `rootless` is an ordinary user's, " +
			"`cold` drops the caches before each start. The usual start among them is the base of all of them; that of the chapter Startup was measured at another time.",
	}
}

func startupSpansChapter() chapter {
	return chapter{
		family: "StartupSpans", heading: "Startup: the phases", own: phaseTables,
		about: "One start, cut into phases that follow each other without a gap from clone3 entered to reaped; the residual is what no phase names. " +
			"A share is that of the mean over the middle half of the starts by total time: these means add up to the whole, which medians do not.",
	}
}

func startupAtOnceChapter() chapter {
	return chapter{
		family: "StartupAtOnce", heading: "Startup: several at once", own: crowdTables,
		about: "A closed loop: so many starts are under way at any time. `wall-ns` is the wall time of the run divided by the starts done, so its inverse is starts per second; `total-ns` is one start, from clone3 entered to reaped. " +
			"The knee is the fewest at once whose rate lies within the 95 % interval of the best rate.",
	}
}

func startupOpenChapter() chapter {
	return chapter{
		family: "StartupOpen", heading: "Startup: an open loop", own: loadTables,
		about: "Starts are due at their own times, at so many percent of the best rate of the closed loop, whether or not the earlier ones have ended. " +
			"`response-ns` runs from the intended start to reaped, `late-ns` from the intended start to the begun one, `total-ns` from there to reaped: only this is what a closed loop shows. " +
			"Percentiles come from an HDR histogram with three significant figures; one that no sample lies beyond is not stated.",
	}
}

// startTables are the main comparison, then the medians of other containers and
// pacings, then what was observed of the containers.
func startTables(f *sample.File) []table.Table {
	return familyTables(startup.Of(f, startup.Plain), true)
}

// variedTables are the medians of all variants, and the whole comparison of the
// usual start where no other chapter has it.
func variedTables(f *sample.File) []table.Table {
	return familyTables(startup.Of(f, startup.Varied), startup.Of(f, startup.Plain) == nil)
}

func familyTables(c *startup.Comparison, whole bool) []table.Table {
	if c == nil {
		return nil
	}
	var all []table.Table
	if whole {
		all = append(all, comparison(c))
	}
	for _, pacing := range c.Pacings() {
		if t, ok := medians(c, pacing); ok {
			all = append(all, t)
		}
	}
	if t, ok := observed(c); ok && whole {
		all = append(all, t)
	}
	return all
}

// comparison is every figure of the main comparison.
func comparison(c *startup.Comparison) table.Table {
	t := table.Table{
		Title: fmt.Sprintf("with=%s, pacing=%s; ratios over %s", c.With, c.Pacing, c.Base.Name),
		Header: []string{"runtime", "n", "ready", "95 % interval", "total", "95 % interval", "p95", "ratio", "its interval",
			"user", "sys", "peak memory", "failures", "what its container lacks"},
		Align: []table.Align{table.Left},
	}
	for range len(t.Header) - 2 {
		t.Align = append(t.Align, table.Right)
	}
	for _, s := range c.Starts {
		ratio, between := startup.Times(s.Times.Ratio), startup.Between(s.Times)
		if s.Name == c.Base.Name {
			ratio, between = "1", "-"
		}
		t.Rows = append(t.Rows, []string{
			s.Name, table.Count(s.Total.N),
			table.Duration(s.Ready.Median), table.Range(s.Ready.Lo, s.Ready.Hi),
			table.Duration(s.Total.Median), table.Range(s.Total.Lo, s.Total.Hi), table.Duration(s.Total.P95), ratio, between,
			unitMedian(s.Case, "user-ns"), unitMedian(s.Case, "sys-ns"), table.Bytes(s.Peak), table.Count(len(s.Case.Failures)), s.Differs(),
		})
	}
	for _, s := range c.Absent {
		row := slices.Repeat([]string{"-"}, len(t.Header))
		row[0], row[len(row)-1] = s.Name, "not measured: "+s.Why
		t.Rows = append(t.Rows, row)
	}
	return t
}

func unitMedian(k *sample.Case, unit string) string {
	return amount(unit, stats.Summarize(k.Values[unit]).Median)
}

// medians are those of all containers of the family of c at one pacing.
func medians(c *startup.Comparison, pacing string) (table.Table, bool) {
	t := table.Table{Title: "total-ns, medians by variant, pacing=" + pacing, Header: []string{"runtime"}, Align: []table.Align{table.Left}}
	names := c.Runtimes()
	var withs []string
	for _, with := range c.Withs() {
		if slices.ContainsFunc(names, func(name string) bool { return len(c.Total(name, with, pacing)) > 0 }) {
			withs = append(withs, with)
			t.Header, t.Align = append(t.Header, with), append(t.Align, table.Right)
		}
	}
	for _, name := range names {
		row, there := []string{name}, false
		for _, with := range withs {
			m := stats.Summarize(c.Total(name, with, pacing))
			row, there = append(row, table.Duration(m.Median)), there || m.N > 0
		}
		if there {
			t.Rows = append(t.Rows, row)
		}
	}
	more := len(withs) > 1 || pacing != c.Pacing
	return t, more && len(t.Rows) > 0
}

// observed is what each payload saw of its container.
func observed(c *startup.Comparison) (table.Table, bool) {
	t := table.Table{Title: "What the payload saw", Header: []string{"runtime", "version", "it made", "it lacks", "it adds"}}
	for _, s := range c.Starts {
		o := s.Seen
		if o.Version == "" && len(o.Made)+len(o.Lacks)+len(o.Adds) == 0 {
			continue
		}
		row := []string{s.Name, o.Version, strings.Join(o.Made, ", "), strings.Join(o.Lacks, ", "), strings.Join(o.Adds, ", ")}
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t, len(t.Rows) > 0
}

func phaseTables(f *sample.File) []table.Table {
	var all []table.Table
	for _, b := range startup.Breakdowns(f) {
		t := table.Table{
			Title:  fmt.Sprintf("%s: %s in all", startup.Label(b.Case), table.Duration(b.Total.Median)),
			Header: []string{"phase", "n", "median", "95 % interval", "p95", "share"},
			Align:  []table.Align{table.Left, table.Right, table.Right, table.Right, table.Right, table.Right},
		}
		for _, p := range b.Phases {
			t.Rows = append(t.Rows, []string{
				p.Name, table.Count(p.N), table.Duration(p.Median), table.Range(p.Lo, p.Hi), table.Duration(p.P95), table.Percent(p.Share),
			})
		}
		if !b.Exact {
			t.Notes = []string{"Some samples lack a phase: the shares are those of medians, and need not add up."}
		}
		all = append(all, t)
	}
	return all
}

func crowdTables(f *sample.File) []table.Table {
	t := table.Table{
		Header: []string{"runtime", "at once", "n", "starts per second", "95 % interval", "one takes", "95 % interval", "p95", "knee"},
		Align:  []table.Align{table.Left},
	}
	for range t.Header[1:] {
		t.Align = append(t.Align, table.Right)
	}
	for _, c := range startup.Crowds(f) {
		for i, r := range c.Rates {
			knee := ""
			if c.Known && c.Knee.Workers == r.Workers {
				knee = "knee"
			}
			between := "-"
			if r.Lo > 0 {
				between = startup.PerSecond(r.Lo) + " .. " + startup.PerSecond(r.Hi)
			}
			one := c.Totals[i]
			t.Rows = append(t.Rows, []string{
				c.Runtime, table.Count(int(r.Workers)), table.Count(r.N), startup.PerSecond(r.PerSecond), between,
				table.Duration(one.Median), table.Range(one.Lo, one.Hi), table.Duration(one.P95), knee,
			})
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []table.Table{t}
}

func loadTables(f *sample.File) []table.Table {
	shares := []float64{0.5, 0.9, 0.99, 0.999, 0.9999}
	t := table.Table{Header: []string{"runtime", "load", "time", "n"}, Align: []table.Align{table.Left, table.Right, table.Left, table.Right}}
	for _, s := range shares {
		t.Header, t.Align = append(t.Header, fmt.Sprintf("p%g", 100*s)), append(t.Align, table.Right)
	}
	for _, l := range startup.Loads(f) {
		for _, part := range []struct {
			name string
			tail stats.Tail
		}{{"response-ns", l.Response}, {"late-ns", l.Late}, {"total-ns", l.Service}} {
			row := []string{l.Runtime, fmt.Sprintf("%g %%", l.Percent), part.name, table.Count(part.tail.N)}
			for _, s := range shares {
				row = append(row, table.Duration(part.tail.At(s)))
			}
			t.Rows = append(t.Rows, row)
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []table.Table{t}
}

// startupFindings are the answers of the starts. Phases, rates and the open
// loop are stated by their figures.
func startupFindings(f *sample.File) []Text {
	c := startup.Main(f)
	if c == nil {
		return nil
	}
	lines := []Text{textf("**Starting a container**: %s", c.Headline())}
	if text := c.Verdict(); text != "" {
		lines = append(lines, textf("**In one sentence**: %s", text))
	}
	lines = append(lines, variantFindings(startup.Of(f, startup.Varied))...)
	paced := c.Total(c.Base.Name, c.With, "paced")
	if r := stats.Ratio(c.Base.Case.Values["total-ns"], paced); c.Pacing == "burst" && r.Sure() {
		lines = append(lines, textf("**Starts apart**: with 50 ms between any two, %s takes %s instead of %s (%s).", c.Base.Name,
			table.Duration(stats.Summarize(paced).Median), table.Duration(c.Base.Total.Median), startup.Times(r.Ratio)))
	}
	return lines
}

// variantFindings say what each variant adds to the start of the base.
func variantFindings(c *startup.Comparison) []Text {
	if c == nil {
		return nil
	}
	var parts []Text
	for _, with := range c.Others() {
		values := c.Total(c.Base.Name, with, c.Pacing)
		if len(values) == 0 {
			continue
		}
		s := stats.Increment(c.Base.Case.Values["total-ns"], values)
		text := fmt.Sprintf("%s (%s)", table.Increase(s.Delta), table.Range(s.Lo, s.Hi))
		if s.Lo <= 0 && s.Hi >= 0 {
			text = "no difference that can be told"
		}
		parts = append(parts, textf("`%s` %s", with, text))
	}
	if len(parts) == 0 {
		return nil
	}
	return []Text{textf("**Variants of the start**, %s, total time over with=%s among them (%s): %s.",
		c.Base.Name, c.With, table.Duration(c.Base.Total.Median), join(parts, "; "))}
}
