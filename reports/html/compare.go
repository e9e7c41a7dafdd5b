package html

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"isoperf/reports/compare"
	"isoperf/reports/page"
	"isoperf/reports/table"
)

// bar is a change with its interval, in percent of the width of its cell; all
// bars of a table have one scale, with no change in the middle.
type bar struct {
	At, From, Width string
	Text            string
}

// Compare writes comparisons with the same base; title is the first heading, ""
// names the columns.
func Compare(w io.Writer, title string, all []compare.Comparison) error {
	if len(all) == 0 {
		return fmt.Errorf("write the page: there is no comparison")
	}
	b := builder{ids: names{}, inks: map[string]bool{}}
	v := view{Title: title}
	if title == "" {
		v.Title = all[0].Base + " against " + all[0].Head
		if len(all) > 1 {
			v.Title = fmt.Sprintf("%s against %d others", all[0].Base, len(all))
		}
	}
	for _, c := range all {
		v.Parts = append(v.Parts, b.comparison(c, len(all) > 1))
	}
	return v.write(w, b.inks)
}

// comparison is one part; a page of several has their names in all ids.
func (b builder) comparison(c compare.Comparison, several bool) part {
	p := part{Lead: lead{Verdict: word(c.Verdict), Headline: []string{c.Answer()}, Trust: c.Trust()}}
	prefix := ""
	if several {
		p.Heading = c.Base + " against " + c.Head
		prefix = c.Head + " "
		p.ID = b.ids.name(p.Heading)
	}
	if where := c.Where(); where != "" {
		p.Lead.Headline = append(p.Lead.Headline, where)
	}
	add := func(name, heading string, blocks ...block) {
		if len(blocks) > 0 {
			p.Sections = append(p.Sections, section{ID: b.ids.name(prefix + name), Heading: heading, Blocks: blocks})
		}
	}
	counted := slices.DeleteFunc(slices.Clone(c.Rows), func(r compare.Row) bool { return !r.Main })
	others := slices.DeleteFunc(slices.Clone(c.Rows), func(r compare.Row) bool { return r.Main })
	add("changes", "Cases", block{Text: rule(c)}, block{Table: b.changes(prefix, "by case", c, counted)})
	add("phases", "Where the time went", b.phases(prefix, c)...)
	add("controls", "Was the machine the same?", b.machine(prefix, c)...)
	add("notes", "Notes", notes(c.Notes)...)
	if len(others) > 0 {
		add("other-units", "Other units", block{Text: page.Words("They explain a change, and are not counted.")},
			block{Table: b.changes(prefix, "other units", c, others)})
		p.Sections[len(p.Sections)-1].Fold = "Show the other units"
	}
	return p
}

// rule says what counts.
func rule(c compare.Comparison) page.Text {
	return page.Words(fmt.Sprintf("A change counts when it is significant among all cases, its 95 %% range leaves out no change, and it is larger than %s and the case's own noise.", table.Percent(c.Floor)))
}

// changes is the rows, those that changed first.
func (b builder) changes(prefix, of string, c compare.Comparison, rows []compare.Row) *grid {
	g := &grid{Caption: fmt.Sprintf("%s against %s, %s", c.Base, c.Head, of)}
	g.ID = b.ids.name(prefix + g.Caption)
	for i, name := range []string{"case", "verdict", c.Base, c.Head, "change", "95 % range", "range, drawn", "p", "Holm", "noise", "n", "why"} {
		g.Columns = append(g.Columns, column{Name: name, Right: i > 1 && i != 6 && i != 11})
	}
	order := []compare.Verdict{compare.Slower, compare.Faster, compare.CannotTell, compare.Gone, compare.New, compare.Apart, compare.Same}
	slices.SortStableFunc(rows, func(a, b compare.Row) int {
		return cmp.Compare(slices.Index(order, a.Verdict), slices.Index(order, b.Verdict))
	})
	count := map[compare.Verdict]int{}
	scale := barScale(rows)
	for _, r := range rows {
		count[r.Verdict]++
		g.Rows = append(g.Rows, row{ID: b.ids.name(prefix + r.Key()), Verdict: word(r.Verdict), Cells: changeCells(r, c.Machine.Apart, c.Floor, scale)})
	}
	for _, v := range order {
		if count[v] > 0 && len(count) > 1 {
			g.Chips = append(g.Chips, chip{word(v), string(v), count[v]})
		}
	}
	return g
}

// changeCells is one row; apart is why nothing can be compared, which need not be
// said of every row.
func changeCells(r compare.Row, apart string, floor, scale float64) []cell {
	name := r.Case
	if !r.Main {
		name += " " + r.Unit
	}
	figure := func(v float64) cell { return cell{Text: compare.Figure(v, r.Unit), Value: known(v), Right: true} }
	old, next := figure(r.Old.Median), figure(r.New.Median)
	if r.Old.N == 0 {
		old = cell{Text: "-", Right: true}
	}
	if r.New.N == 0 {
		next = cell{Text: "-", Right: true}
	}
	change, between := cell{Text: "-", Right: true}, cell{Text: "-", Right: true}
	paired := r.Verdict != compare.New && r.Verdict != compare.Gone && isFinite(r.Ratio.Ratio)
	drawn := cell{Text: "-"}
	if paired {
		change = cell{Text: fmt.Sprintf("%+.1f %%", 100*r.Change()), Value: number(r.Change()), Right: true}
	}
	if paired && isFinite(r.Ratio.Lo) && isFinite(r.Ratio.Hi) {
		between = cell{Text: fmt.Sprintf("%+.1f .. %+.1f", 100*(r.Ratio.Lo-1), 100*(r.Ratio.Hi-1)), Value: number(r.Ratio.Lo - 1), Right: true}
		drawn = cell{Value: number(r.Change()), Bar: newBar(r, scale), Mark: word(r.Verdict)}
	}
	return []cell{{Text: name}, verdictCell(r, floor), old, next, change, between, drawn,
		probability(r.P), probability(r.Adjusted), {Text: table.Percent(r.Noise), Value: known(r.Noise), Right: true},
		{Text: fmt.Sprintf("%d+%d", r.Old.N, r.New.N), Value: number(float64(r.Old.N + r.New.N)), Right: true}, whyCell(r, apart)}
}

func verdictCell(r compare.Row, floor float64) cell {
	text := string(r.Verdict)
	if r.Verdict == compare.CannotTell && r.Need > 0 {
		text += fmt.Sprintf(": ~%s more", table.Count(r.Need))
	}
	if r.Verdict == compare.Same && r.Bound > floor {
		text += " within " + table.Percent(r.Bound)
	}
	return cell{Text: text, Mark: word(r.Verdict)}
}

// whyCell is the reason of a verdict, unless it is that of all.
func whyCell(r compare.Row, apart string) cell {
	if r.Why == apart {
		return cell{}
	}
	return cell{Text: r.Why, Long: len(r.Why) > longCell}
}

// barScale is what the ends of the bars stand for, as a logarithm: the largest
// change, within a factor of 4, and 5 % at least.
func barScale(rows []compare.Row) float64 {
	most := math.Log(1.05)
	for _, r := range rows {
		for _, v := range []float64{r.Ratio.Lo, r.Ratio.Hi} {
			if isFinite(v) && v > 0 {
				most = max(most, math.Abs(math.Log(v)))
			}
		}
	}
	return min(most*1.05, math.Log(4))
}

func newBar(r compare.Row, scale float64) *bar {
	at := func(ratio float64) float64 {
		return 50 + 48*max(-1, min(1, math.Log(max(ratio, 1e-9))/scale))
	}
	lo, hi := at(r.Ratio.Lo), at(r.Ratio.Hi)
	percent := func(v float64) string { return fmt.Sprintf("%.1f", v) }
	return &bar{At: percent(at(r.Ratio.Ratio)), From: percent(lo), Width: percent(max(hi-lo, 0.6)),
		Text: fmt.Sprintf("%+.1f %%, from %+.1f to %+.1f", 100*r.Change(), 100*(r.Ratio.Lo-1), 100*(r.Ratio.Hi-1))}
}

// phases are the parts of the starts that got slower.
func (b builder) phases(prefix string, c compare.Comparison) []block {
	if len(c.Phases) == 0 {
		return nil
	}
	t := table.Table{Header: []string{"phase", "start", c.Base, c.Head, "change"}, Title: "Phases of the starts that got slower",
		Align: []table.Align{table.Left, table.Left, table.Right, table.Right, table.Right}}
	for _, p := range c.Phases {
		t.Rows = append(t.Rows, []string{p.Name, p.Case, table.Duration(p.Old), table.Duration(p.New), table.Increase(p.Delta())})
	}
	return []block{{Table: newGrid(b.ids, prefix+"phases", t.Title, 1, t)}}
}

// machine is what tells whether the machine is the same: its configuration, and
// what no code of a runtime changes.
func (b builder) machine(prefix string, c compare.Comparison) []block {
	m := c.Machine
	var blocks []block
	if m.Apart != "" {
		blocks = append(blocks, block{Text: page.Words("**No**: ").With(m.Apart + ".")})
	}
	if len(m.Differs) > 0 {
		blocks = append(blocks, block{Text: page.Words("The environments differ: ").With(strings.Join(m.Differs, ", ") + ".")})
	} else if m.Hosts {
		blocks = append(blocks, block{Text: page.Words("They are two machines, each measured by itself, and that is what is compared.")})
	} else {
		blocks = append(blocks, block{Text: page.Words("The environments have the same configuration.")})
	}
	if t := environment(c); len(t.Rows) > 0 {
		blocks = append(blocks, block{Table: newGrid(b.ids, prefix+"environment", t.Title, 1, t)})
	}
	if len(m.Controls) == 0 {
		return append(blocks, block{Text: page.Words("The files have no controls in common, so that the machine may have changed its speed.")})
	}
	t := table.Table{Title: "Controls: what no code of a runtime changes", Header: []string{"control", "unit", "base", "head", "change", "moved"},
		Align: []table.Align{table.Left, table.Left, table.Right, table.Right, table.Right, table.Left}}
	for _, k := range m.Controls {
		change, moved := "-", "no"
		if isFinite(k.Ratio.Ratio) {
			change = fmt.Sprintf("%+.1f %%", 100*(k.Ratio.Ratio-1))
		}
		if k.Moved {
			moved = "yes"
		}
		t.Rows = append(t.Rows, []string{k.Name, k.Unit, compare.Figure(k.Old.Median, k.Unit), compare.Figure(k.New.Median, k.Unit), change, moved})
	}
	return append(blocks, block{Table: newGrid(b.ids, prefix+"controls", t.Title, 1, t)})
}

// environment is the configuration, of which nothing may differ, and what else
// the files record and does.
func environment(c compare.Comparison) table.Table {
	t := table.Table{Title: "Environment: the configuration, and what else differs", Header: []string{"key", c.Base, c.Head, "same", "must be the same"}}
	add := func(list []compare.Difference, must string) {
		for _, d := range list {
			same := "yes"
			if d.Old != d.New {
				same = "no"
			}
			t.Rows = append(t.Rows, []string{d.Key, cmp.Or(d.Old, "-"), cmp.Or(d.New, "-"), same, must})
		}
	}
	add(c.Config, "yes")
	add(c.Environment, "no")
	return t
}

func notes(lines []string) []block {
	var list []page.Text
	for _, line := range lines {
		list = append(list, page.Words("").With(line))
	}
	if len(list) == 0 {
		return nil
	}
	return []block{{List: list}}
}

// word is a verdict as one word: "cannot-tell".
func word(v compare.Verdict) string { return strings.ReplaceAll(string(v), " ", "-") }

func probability(p float64) cell {
	if !isFinite(p) {
		return cell{Text: "-", Right: true}
	}
	text := fmt.Sprintf("%.3f", p)
	if p < 0.001 {
		text = "< 0.001"
	}
	return cell{Text: text, Value: number(p), Right: true}
}

func known(v float64) string {
	if !isFinite(v) {
		return ""
	}
	return number(v)
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
