package history

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"isoperf/reports/compare"
	"isoperf/reports/table"
)

// Printing says how to print for a person.
type Printing struct {
	Width   int  // columns; 0: 80
	Verbose bool // every series, with its scatter and what it would see
}

// mostRows bounds the tables that are printed.
const mostRows = 100

// Write prints a history.
func Write(w io.Writer, h History, p Printing) error {
	if p.Width <= 0 {
		p.Width = 80
	}
	var b bytes.Buffer
	line := func(text string) {
		if text != "" {
			b.WriteString(table.Wrap(text, p.Width) + "\n")
		}
	}
	line(h.Answer())
	line(h.Where())
	line(h.Trust())
	for _, t := range []table.Table{h.Changes(), h.Others(p.Verbose)} {
		if len(t.Rows) == 0 {
			continue
		}
		b.WriteString("\n")
		if err := table.Plain(&b, t); err != nil {
			return fmt.Errorf("print a history: %w", err)
		}
	}
	for _, why := range h.reasons(p.Verbose) {
		line(why)
	}
	for _, note := range h.Notes {
		line("Note: " + note)
	}
	if next := h.Next(); next != "" {
		line("Next: " + next)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("print a history: %w", err)
	}
	return nil
}

// Changes is the table of changes, by commit: what each is blamed for.
func (h History) Changes() table.Table {
	t := table.Table{Header: []string{"since", "case", "before", "after", "change", "95 % range", "runs", "verdict"},
		Align: []table.Align{table.Left, table.Left, table.Right, table.Right, table.Right, table.Right, table.Right, table.Left}, Tight: true}
	list := h.Findings()
	last := ""
	for i, f := range list[:min(len(list), mostRows)] {
		commit := f.Commit
		if commit == last && i > 0 && list[i-1].counts() == f.counts() {
			commit = ""
		}
		last = f.Commit
		t.Rows = append(t.Rows, []string{commit, h.name(f.Series), compare.Figure(f.Old.Median, f.Series.Unit), compare.Figure(f.New.Median, f.Series.Unit),
			Signed(f.Ratio), interval(f.Ratio), fmt.Sprintf("%d+%d", f.Old.To-f.Old.From, f.New.To-f.New.From), f.Said()})
	}
	if more := len(list) - mostRows; more > 0 {
		t.Notes = append(t.Notes, fmt.Sprintf("%d more changes: --json has them.", more))
	}
	return t
}

// name is a series as it is printed: what it measures, and where, if not where the
// newest run was.
func (h History) name(s Series) string {
	name := s.Case + ofUnit(s.Unit)
	if words := h.Environments[s.Environment].Words; words != "" {
		name += " [" + words + "]"
	}
	return name
}

// Others is the table of series that are not slower and did not change: those that
// cannot be told, that are new or gone, and how many are the same; all of them, if
// they are asked for.
func (h History) Others(all bool) table.Table {
	t := table.Table{Header: []string{"case", "newest", "runs", "verdict"}, Align: []table.Align{table.Left, table.Right, table.Right, table.Left}, Tight: true}
	if all {
		t.Header = append(t.Header, "differs by", "sees")
		t.Align = append(t.Align, table.Right, table.Right)
	}
	seen, past := map[compare.Verdict]int{}, 0
	for _, s := range h.Ordered() {
		changed := len(s.Changes) > 0 && s.Verdict != compare.CannotTell && s.Verdict != compare.Gone
		switch {
		case all:
			t.Rows = append(t.Rows, h.other(s, all))
		case s.Past:
			past++
		case changed && s.Verdict != compare.Same:
		default:
			if seen[s.Verdict]++; seen[s.Verdict] <= shown(s.Verdict) {
				t.Rows = append(t.Rows, h.other(s, all))
			}
		}
	}
	pad := make([]string, len(t.Header)-4)
	for _, v := range []compare.Verdict{compare.CannotTell, compare.New, compare.Gone, compare.Same} {
		n := seen[v] - shown(v)
		words := table.Plural(n, "other", "others")
		if n == h.counted() {
			words = table.Plural(n, "case", "cases")
		}
		if n > 0 {
			t.Rows = append(t.Rows, append([]string{words, "", "", string(v)}, pad...))
		}
	}
	if past > 0 {
		t.Rows = append(t.Rows, append([]string{table.Plural(past, "other", "others"), "", "", "on a machine of the past"}, pad...))
	}
	return t
}

// shown is how many series of a verdict are, of those that did not change.
func shown(v compare.Verdict) int {
	if v == compare.Same {
		return 0
	}
	return 10
}

func (h History) other(s Series, all bool) []string {
	said := string(s.Verdict)
	if s.Need > 0 {
		said += fmt.Sprintf(": ~%d more", s.Need)
	}
	row := []string{h.name(s), compare.Figure(s.Points[len(s.Points)-1].Median, s.Unit), fmt.Sprint(len(s.Points)), said}
	if !all {
		return row
	}
	if s.track == nil {
		return append(row, "-", "-")
	}
	return append(row, table.Percent(s.Scatter), table.Percent(s.Sees))
}

// Markdown writes a history for a job's summary or a comment, in less than limit
// bytes (0: compare.CommentLimit); what does not fit is said.
func Markdown(w io.Writer, h History, limit int) error {
	if limit <= 0 {
		limit = compare.CommentLimit
	}
	for most := mostRows; ; most /= 2 {
		var b bytes.Buffer
		if err := h.markdown(&b, most); err != nil {
			return err
		}
		if b.Len() <= limit-1024 || most == 0 {
			if _, err := w.Write(b.Bytes()[:min(b.Len(), limit)]); err != nil {
				return fmt.Errorf("write a history as Markdown: %w", err)
			}
			return nil
		}
	}
}

func (h History) markdown(b *bytes.Buffer, most int) error {
	mark := map[compare.Verdict]string{compare.Slower: "❌", compare.Same: "✅", compare.Faster: "✅"}[h.Verdict]
	if mark == "" {
		mark = "⚠️"
	}
	fmt.Fprintf(b, "### %s %s\n\n", mark, plain(h.Answer()))
	for _, text := range []string{h.Where(), h.Trust()} {
		if text != "" {
			fmt.Fprintf(b, "%s\n\n", plain(text))
		}
	}
	write := func(t table.Table) error {
		left := len(t.Rows) - most
		t.Rows = t.Rows[:min(len(t.Rows), most)]
		if err := table.Markdown(b, t); err != nil {
			return fmt.Errorf("write a history as Markdown: %w", err)
		}
		if left > 0 {
			fmt.Fprintf(b, "\n%d more rows do not fit here; the JSON output has them.\n", left)
		}
		b.WriteString("\n")
		return nil
	}
	if t := h.Changes(); len(t.Rows) > 0 {
		if err := write(t); err != nil {
			return err
		}
	}
	for _, why := range h.reasons(false) {
		fmt.Fprintf(b, "- %s\n", plain(why))
	}
	for _, note := range h.Notes[:min(len(h.Notes), 10)] {
		fmt.Fprintf(b, "- Note: %s\n", plain(note))
	}
	if len(h.Series) == 0 {
		return nil
	}
	fmt.Fprintf(b, "\n<details><summary>All %s</summary>\n\n", table.Plural(len(h.Series), "series", "series"))
	if err := write(h.Others(true)); err != nil {
		return err
	}
	b.WriteString("</details>\n")
	return nil
}

// plain keeps words words, on one line.
func plain(text string) string {
	return strings.NewReplacer("\n", " ", "\r", " ", "<", "&lt;", ">", "&gt;", "*", `\*`, "`", "'", "[", `\[`, "@", "@\u200b", "#", `\#`).Replace(text)
}
