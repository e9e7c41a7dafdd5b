package limits

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// Printing says how to print for a person.
type Printing struct {
	Width   int    // columns; 0: 80
	Verbose bool   // every figure that a verdict was made of, too
	Clean   bool   // all that was made for the measurement is known to be gone
	Next    string // what to do next; empty: nothing is said
}

func (p Printing) width() int {
	if p.Width <= 0 {
		return 80
	}
	return p.Width
}

// Write prints the answer in words, how far to trust it, a table for each limit,
// and why what is not accurate is not.
func Write(w io.Writer, f *sample.File, list []Judgement, p Printing) error {
	out := &printer{w: w, width: p.width()}
	out.line(Answer(list))
	out.line(Trust(f, list))
	out.tables(list)
	if felt := Feels(f); len(felt) > 0 {
		out.gap()
		for _, sentence := range felt {
			out.line(sentence)
		}
	}
	if slices.ContainsFunc(list, func(j Judgement) bool { return j.Windows > 0 }) {
		out.gap()
		text := "Limit read back, group membership checked at start and end"
		if p.Clean {
			text += ", nothing left behind"
		}
		out.line(text + ".")
	}
	out.ending(f, p)
	if p.Verbose {
		out.figures(list)
	}
	return out.err
}

// printer writes lines of words, broken at its width, and tables; the first
// error ends it.
type printer struct {
	w     io.Writer
	width int
	err   error
}

func (p *printer) print(text string) {
	if p.err == nil {
		if _, err := io.WriteString(p.w, text); err != nil {
			p.err = fmt.Errorf("print the verdicts: %w", err)
		}
	}
}

func (p *printer) gap() { p.print("\n") }

// line prints a sentence; what continues is indented.
func (p *printer) line(sentence string) {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(table.ASCII(sentence)) {
		switch {
		case i > 0 && column+1+len(word) > p.width:
			b.WriteString("\n  ")
			column = 2
		case i > 0:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	p.print(b.String() + "\n")
}

func (p *printer) lines(list []string) {
	for _, l := range list {
		p.line(l)
	}
}

// tables prints one for each rule, with the reasons below.
func (p *printer) tables(list []Judgement) {
	for _, r := range rules() {
		mine := slices.DeleteFunc(slices.Clone(list), func(j Judgement) bool { return j.family() != r.family })
		if len(mine) == 0 || p.err != nil {
			continue
		}
		p.gap()
		t := r.table(mine, p.width)
		notes := t.Notes
		t.Notes = nil
		if p.err = table.Plain(p.w, t); p.err == nil {
			p.lines(notes)
		}
	}
}

// ending is where the samples are, and what to do next.
func (p *printer) ending(f *sample.File, o Printing) {
	n := 0
	for _, c := range f.Cases {
		n += c.N()
	}
	switch {
	case f.Path == "" || n == 0:
	case n == 1:
		p.line("1 sample -> " + f.Path)
	default:
		p.line(fmt.Sprintf("%s samples -> %s", table.Count(n), f.Path))
	}
	if o.Next != "" {
		p.line("Next: " + o.Next)
	}
}

// figures prints all that the verdicts were made of.
func (p *printer) figures(list []Judgement) {
	for _, j := range list {
		if len(j.Figures) == 0 || p.err != nil {
			continue
		}
		p.gap()
		t := table.Table{Header: []string{j.Case, "median"}, Align: []table.Align{table.Left, table.Right}}
		for _, unit := range sortedKeys(j.Figures) {
			t.Rows = append(t.Rows, []string{unit, figure(unit, j.Figures[unit])})
		}
		p.err = table.Plain(p.w, t)
	}
}

// figure writes a value by its unit.
func figure(unit string, v float64) string {
	_, base := cutLast(unit, "-")
	switch base {
	case "ns":
		return table.Duration(v)
	case "B":
		return table.Bytes(v)
	case "B/s":
		return table.Bytes(v) + "/s"
	case "ratio":
		return fmt.Sprintf("%.3f %%", 100*v)
	}
	return fmt.Sprintf("%.6g", v)
}

func cutLast(s, sep string) (before, after string) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+len(sep):]
}

func sortedKeys(m map[string]float64) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// table is a limit's. A reason that does not fit into a line stands below, with a
// number.
func (r rule) table(list []Judgement, width int) table.Table {
	t := table.Table{Header: []string{r.limit}, Align: []table.Align{table.Left}}
	for i, c := range r.columns {
		align := table.Right
		if i < r.words {
			align = table.Left
		}
		t.Header, t.Align = append(t.Header, c.head), append(t.Align, align)
	}
	for _, j := range list {
		t.Rows = append(t.Rows, r.cells(j))
	}
	t.Tight = columns(t)+len("not judged (1)") > width
	room := width - columns(t)
	t.Header, t.Align = append(t.Header, "verdict"), append(t.Align, table.Left)
	var reasons []string
	for i, j := range list {
		verdict := string(j.Verdict)
		if r.word != nil {
			verdict = r.word(j)
		}
		switch {
		case j.Why == "":
		case len(verdict)+len(": ")+len(j.Why) <= room:
			verdict += ": " + j.Why
		default:
			n := slices.Index(reasons, j.Why)
			if n < 0 {
				n, reasons = len(reasons), append(reasons, j.Why)
			}
			verdict += fmt.Sprintf(" (%d)", n+1)
		}
		t.Rows[i] = append(t.Rows[i], verdict)
		if j.Note != "" {
			t.Notes = append(t.Notes, j.Asked+": "+j.Note)
		}
	}
	for i, why := range reasons {
		t.Notes = append(t.Notes, fmt.Sprintf("(%d) %s", i+1, why))
	}
	if first := list[0]; first.Kernel != "" {
		t.Notes = append(t.Notes, fmt.Sprintf("(the kernel's own test would accept %s for the first line)", first.Kernel))
	}
	return t
}

// cells are a row's, without the verdict.
func (r rule) cells(j Judgement) []string {
	row := []string{j.Asked}
	for _, c := range r.columns {
		cell := "-"
		if j.Got != "" {
			cell = c.cell(j)
		}
		row = append(row, cell)
	}
	return row
}

// columns is how wide a table is, up to where the next column begins.
func columns(t table.Table) int {
	n := 0
	for i, head := range t.Header {
		widest := len(head)
		for _, row := range t.Rows {
			widest = max(widest, len(row[i]))
		}
		n += widest + 3
		if t.Tight {
			n--
		}
	}
	return n
}

// Answer is one sentence: how many limits are kept.
func Answer(list []Judgement) string {
	by := map[Verdict]int{}
	var limits []string
	example := ""
	for _, j := range list {
		by[j.Verdict]++
		if !slices.Contains(limits, j.Limit) {
			limits = append(limits, j.Limit)
		}
		if example == "" && j.Got != "" && (j.Verdict == Accurate || j.Verdict == Within) {
			example = fmt.Sprintf(" (asked %s, got %s)", limitOf(j), j.Got)
		}
	}
	name := "The limits are"
	if len(limits) == 1 {
		name = limits[0] + " is"
	} else {
		example = ""
	}
	kept, n := by[Accurate]+by[Within], len(list)
	counts := fmt.Sprintf("%d of %s accurate", by[Accurate], table.Plural(n, "limit", "limits"))
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
		return fmt.Sprintf("%s kept, as far as can be said: %s%s.", name, counts, example)
	}
	return fmt.Sprintf("%s kept: %s%s.", name, counts, example)
}

// Trust says how far.
func Trust(f *sample.File, list []Judgement) string {
	level := "good"
	if slices.ContainsFunc(list, func(j Judgement) bool { return j.Verdict == NotJudged }) {
		level = "partial, some limits are not judged"
	}
	if f.End.Why != "" && f.End.Why != "done" {
		level += "; " + f.End.Why
	}
	return fmt.Sprintf("Trust: %s. %s", level, machine(f))
}

// machine is what bears on how far a verdict can be trusted.
func machine(f *sample.File) string {
	steal := "Steal unknown"
	if s := f.End.Steal; s != nil {
		if steal = fmt.Sprintf("Steal %.1f %%", 100**s); *s == 0 {
			steal = "No steal"
		}
	}
	recorded := func(key string) string {
		// Configuration lines are read with samples only.
		if v := f.Recorded(key); v != "" && (key != "hz" || v != "0") {
			return v
		}
		return "unknown"
	}
	return fmt.Sprintf("%s, load %s, HZ %s, kernel %s, cgroup %s, sched_ext %s.", steal,
		recorded("load1"), recorded("hz"), recorded("kernel"), recorded("cgroup"), recorded("sched_ext"))
}
