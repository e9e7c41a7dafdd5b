package answer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/startup"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// startTable is the main table of the starts: who takes how long, and what
// the container then lacks. Who was not measured has a row that says why.
func startTable(p *page, c *startup.Comparison) {
	if t := startColumns(c, nil, true); tableWidth(t) <= p.width {
		p.table(t)
		absentRows(p, c, t)
	} else {
		marks, notes := differences(c)
		t := startColumns(c, marks, false)
		pieces := split(t, p.width)
		p.tables(pieces[:1])
		absentRows(p, c, t)
		p.tables(pieces[1:])
		p.gap()
		p.lines(notes)
	}
	p.lines(startLegend(c))
}

// startColumns has the differences of each container in a column of its own,
// or a mark for them behind the name.
func startColumns(c *startup.Comparison, marks []string, inline bool) table.Table {
	ready := c.Ready()
	head := []string{"runtime", "ready", "95 % range", "total", "ratio", "CPU", "memory", "what its container lacks"}
	t := table.Table{Tight: true, Header: head, Align: []table.Align{table.Left}}
	for range head[1:] {
		t.Align = append(t.Align, table.Right)
	}
	t.Align[len(head)-1] = table.Left
	for i, s := range c.Starts {
		name, spread := s.Name, table.Range(s.Ready.Lo, s.Ready.Hi)
		if marks != nil {
			name += marks[i]
		}
		if !ready {
			spread = table.Range(s.Total.Lo, s.Total.Hi)
		}
		ratio := startup.Times(s.Times.Ratio)
		if s.Name == c.Base.Name {
			ratio = "1"
		}
		t.Rows = append(t.Rows, []string{
			name, table.Duration(s.Ready.Median), spread, table.Duration(s.Total.Median), ratio,
			table.Duration(s.CPU), table.Bytes(s.Peak), s.Differs(),
		})
	}
	for _, spare := range []string{"CPU", "memory"} {
		if only, ok := onlyValue(t, spare); ok && only == "-" {
			t = without(t, spare)
		}
	}
	if !inline {
		t = without(t, "what its container lacks")
	}
	if !ready {
		t = without(t, "ready")
		t.Header[1], t.Header[2] = t.Header[2], t.Header[1]
		for _, row := range t.Rows {
			row[1], row[2] = row[2], row[1]
		}
	}
	return t
}

// differences marks the rows with letters, one for each difference.
func differences(c *startup.Comparison) (marks, notes []string) {
	var known []string
	for _, s := range c.Starts {
		text := s.Differs()
		if text == "" {
			marks = append(marks, "")
			continue
		}
		i := slices.Index(known, text)
		if i < 0 {
			i = len(known)
			known = append(known, text)
			notes = append(notes, letter(i)+" "+text)
		}
		marks = append(marks, " "+letter(i))
	}
	return marks, notes
}

// letter is "(a)" to "(z)", then "(27)".
func letter(i int) string {
	if i < 26 {
		return "(" + string(rune('a'+i)) + ")"
	}
	return "(" + strconv.Itoa(i+1) + ")"
}

// absentRows are the rows of who was not measured, in line with t.
func absentRows(p *page, c *startup.Comparison, t table.Table) {
	width := columnWidths(t)[0]
	for _, s := range c.Absent {
		p.hanging(fmt.Sprintf("%-*s  ", width, s.Name), "not measured: "+s.Why)
	}
}

// startLegend says what the columns are, and of which versions.
func startLegend(c *startup.Comparison) []string {
	text := "total: from clone3 of the runtime's process to reaped"
	if c.Ready() {
		text = "ready: from clone3 of the runtime's process to the payload's first instruction; total: to reaped"
	}
	text += fmt.Sprintf("; ratio: total over that of %s", c.Base.Name)
	if slices.ContainsFunc(c.Starts, func(s startup.Start) bool { return s.CPU > 0 }) {
		text += "; CPU: user and system time"
	}
	text += "."
	lines := []string{text + " " + settings(c)}
	if v := c.Versions(); len(v) > 0 {
		lines = append(lines, "Versions: "+strings.Join(v, ", ")+".")
	}
	return lines
}

// settings says what was asked of every runtime.
func settings(c *startup.Comparison) string {
	pace := map[string]string{"burst": "Back to back", "paced": "50 ms between any two starts"}[c.Pacing]
	if pace == "" {
		pace = "Pacing " + c.Pacing
	}
	what := map[string]string{
		"usual": "the bundle that runc spec writes", "own": "the bundle that was given", "command": "the command that was given",
	}[c.With]
	if what == "" {
		what = "with=" + c.With
	}
	return pace + ", " + what + "."
}

// startFamily prints the tables of one start-up family; the main comparison
// stands above.
func startFamily(p *page, f *sample.File, family string) {
	switch family {
	case startup.Plain:
		c := startup.Of(f, family)
		p.tables(variantTable(c))
		p.tables(paceTable(c))
	case startup.Varied:
		p.tables(variantTable(startup.Of(f, family)))
	case "StartupSpans":
		for _, b := range startup.Breakdowns(f) {
			p.table(phaseTable(b, p.width))
		}
	case "StartupAtOnce":
		p.tables(crowdTables(f))
	case "StartupOpen":
		p.tables(loadTable(f))
	}
}

// variantTable says what each variant takes beyond the usual bundle of the same
// family.
func variantTable(c *startup.Comparison) []table.Table {
	if c == nil || len(c.Others()) == 0 {
		return nil
	}
	others := c.Others()
	t := table.Table{
		Title:  fmt.Sprintf("Total time by variant, %s: over %s", c.Pacing, c.With),
		Header: append([]string{"runtime", c.With}, others...), Align: []table.Align{table.Left, table.Right}, Tight: true,
	}
	same, alone := false, false
	columns := make([][]string, len(others))
	for _, name := range c.Runtimes() {
		base := c.Total(name, c.With, c.Pacing)
		var cells []string
		for _, v := range others {
			values := c.Total(name, v, c.Pacing)
			text := beyond(base, values)
			if len(values) > 0 && (len(base) == 0 || !c.Comparable()) {
				text = "= " + table.Duration(stats.Summarize(values).Median)
			}
			same = same || text == "same"
			alone = alone || strings.HasPrefix(text, "=")
			cells = append(cells, text)
		}
		if !slices.ContainsFunc(cells, func(c string) bool { return c != "-" }) {
			continue
		}
		for i, c := range cells {
			columns[i] = append(columns[i], c)
		}
		t.Rows = append(t.Rows, []string{name, table.Duration(stats.Summarize(base).Median)})
	}
	for _, column := range columns {
		t.Align = append(t.Align, table.Right)
		for i, c := range signed(column) {
			t.Rows[i] = append(t.Rows[i], c)
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	if c.Comparable() {
		t.Notes = append(t.Notes, fmt.Sprintf("%s: the one that took turns with the variants, not that of another family.", c.With))
	}
	if same {
		t.Notes = append(t.Notes, "same: the 95 % range of the difference holds zero.")
	}
	if alone {
		t.Notes = append(t.Notes, "=: the median itself, not a difference.")
	}
	return []table.Table{t}
}

// beyond is what a variant takes more than base.
func beyond(base, values []float64) string {
	if len(base) == 0 || len(values) == 0 {
		return "-"
	}
	s := stats.Increment(base, values)
	if s.Lo <= 0 && s.Hi >= 0 {
		return "same"
	}
	return table.Increase(s.Delta)
}

// paceTable sets starts with a pause before them against those without.
func paceTable(c *startup.Comparison) []table.Table {
	if c == nil || c.Pacing != "burst" {
		return nil
	}
	t := table.Table{
		Title:  fmt.Sprintf("Total time with 50 ms between any two starts, %s", c.With),
		Header: []string{"runtime", "burst", "paced", "paced/burst", "95 % range"},
		Align:  []table.Align{table.Left, table.Right, table.Right, table.Right, table.Right},
	}
	for _, s := range c.Starts {
		paced := c.Total(s.Name, c.With, "paced")
		if len(paced) == 0 {
			continue
		}
		r := stats.Ratio(s.Case.Values["total-ns"], paced)
		t.Rows = append(t.Rows, []string{
			s.Name, table.Duration(s.Total.Median), table.Duration(stats.Summarize(paced).Median), startup.Times(r.Ratio), startup.Between(r),
		})
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []table.Table{t}
}

// phaseTable is where a start spends its time, with a bar for each share.
func phaseTable(b startup.Breakdown, width int) table.Table {
	const mostBar = 30
	t := table.Table{
		Title:  fmt.Sprintf("Where a start spends its time: %s (total %s)", startup.Label(b.Case), table.Duration(b.Total.Median)),
		Header: []string{"phase", "median", "95 % range", "share", "of the total"},
		Align:  []table.Align{table.Left, table.Right, table.Right, table.Right, table.Left},
	}
	greatest := 0.0
	for _, p := range b.Phases {
		greatest = max(greatest, p.Share)
	}
	for _, p := range b.Phases {
		t.Rows = append(t.Rows, []string{p.Name, table.Duration(p.Median), table.Range(p.Lo, p.Hi), table.Percent(p.Share), ""})
	}
	room := min(mostBar, width-tableWidth(t)+len("of the total"))
	for i, p := range b.Phases {
		if room > 4 && p.Share > 0 {
			t.Rows[i][4] = strings.Repeat("#", int(p.Share/greatest*float64(room)+0.5))
		}
	}
	t.Notes = []string{b.Sentence()}
	if b.Exact {
		t.Notes = append(t.Notes, "share: of the mean over the middle half of the starts, in which the parts add up to the total.")
	}
	return t
}

// crowdTables show starts per second and what one takes, by how many run at
// once.
func crowdTables(f *sample.File) []table.Table {
	crowds := startup.Crowds(f)
	if len(crowds) == 0 {
		return nil
	}
	t := table.Table{Title: "Starts at once: per second, and how long one takes", Header: []string{"at once"}, Align: []table.Align{table.Left}}
	var steps []float64
	for _, c := range crowds {
		t.Header = append(t.Header, c.Runtime+" /s", "one takes")
		t.Align = append(t.Align, table.Right, table.Right)
		for _, r := range c.Rates {
			if !slices.Contains(steps, r.Workers) {
				steps = append(steps, r.Workers)
			}
		}
		t.Notes = append(t.Notes, c.Sentence())
	}
	slices.Sort(steps)
	for _, n := range steps {
		row := []string{table.Count(int(n))}
		for _, c := range crowds {
			cells := []string{"-", "-"}
			for i, r := range c.Rates {
				if r.Workers == n {
					cells = []string{startup.PerSecond(r.PerSecond), table.Duration(c.Totals[i].Median)}
				}
			}
			row = append(row, cells...)
		}
		t.Rows = append(t.Rows, row)
	}
	return []table.Table{t}
}

// loadTable is the open loop: percentiles of the response from the intended
// start, beside the service alone.
func loadTable(f *sample.File) []table.Table {
	loads := startup.Loads(f)
	if len(loads) == 0 {
		return nil
	}
	t := table.Table{
		Title:  "Starts at their own times: intended start to reaped, and the service alone",
		Header: []string{"runtime", "load", "p50", "p90", "p99", "p99.9", "alone p50", "p99", "p99.9"},
		Align:  []table.Align{table.Left}, Tight: true,
	}
	for range t.Header[1:] {
		t.Align = append(t.Align, table.Right)
	}
	for i, l := range loads {
		row := []string{l.Runtime, strconv.FormatFloat(l.Percent, 'g', -1, 64) + " %"}
		for _, share := range []float64{0.5, 0.9, 0.99, 0.999} {
			row = append(row, table.Duration(l.Response.At(share)))
		}
		for _, share := range []float64{0.5, 0.99, 0.999} {
			row = append(row, table.Duration(l.Service.At(share)))
		}
		t.Rows = append(t.Rows, row)
		if i+1 == len(loads) || loads[i+1].Runtime != l.Runtime {
			t.Notes = append(t.Notes, l.Sentence())
		}
	}
	t.Notes = append(t.Notes, "alone: begun to reaped, all that a closed loop shows; load: of the best rate of the closed loop.")
	return []table.Table{t}
}

// firstStarts is the first look at starts: the median total of each runtime
// so far, quickest first.
func firstStarts(p *page, c *startup.Comparison) {
	width := 0
	samples := 0
	for _, s := range c.Starts {
		width = max(width, len(s.Name))
		samples += s.Total.N
	}
	p.line(fmt.Sprintf("First look, preliminary (%s so far; a start until reaped):", table.Plural(samples, "sample", "samples")))
	for _, s := range c.Starts {
		p.verbatim(fmt.Sprintf("  %-*s   %8s", width, s.Name, table.Duration(s.Total.Median)))
	}
}

// untold are the notes that no row of the main comparison tells already.
func untold(notes []sample.Note, c *startup.Comparison) []sample.Note {
	return slices.DeleteFunc(slices.Clone(notes), c.Tells)
}

// verdict is the last sentence of a run with starts.
func verdict(p *page, c *startup.Comparison) {
	if c == nil {
		return
	}
	if text := c.Verdict(); text != "" {
		p.gap()
		p.line(text)
	}
}
