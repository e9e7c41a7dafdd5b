package compare

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"isoperf/reports/table"
)

// The hosts' limits of what Markdown may be long: a comment on GitHub, in
// characters, and a job's summary there, in bytes. GitLab takes more of both.
const (
	CommentLimit = 65_536
	SummaryLimit = 1 << 20
)

// marginal is left of a limit for what a host adds, and for characters that are
// counted as two.
const marginal = 1024

// Markdown writes comparisons for a comment or a job's summary, in less than limit
// bytes (0: CommentLimit): the answer, what changed, drawn as well, and folded away, what did not,
// and where both ran. What does not fit is left out from the end of the tables, and
// the text says how many rows.
func Markdown(w io.Writer, list []Comparison, limit int) error {
	if limit <= 0 {
		limit = CommentLimit
	}
	limit = (limit - marginal) / max(1, len(list))
	var all bytes.Buffer
	for _, c := range list {
		text, err := c.markdown(limit)
		if err != nil {
			return err
		}
		all.Write(text)
	}
	if _, err := w.Write(all.Bytes()); err != nil {
		return fmt.Errorf("write a comparison as Markdown: %w", err)
	}
	return nil
}

// markdown is one comparison in so many bytes, with as many rows as fit.
func (c Comparison) markdown(limit int) ([]byte, error) {
	rows := len(c.Rows)
	for {
		var b bytes.Buffer
		if err := c.page(&b, rows); err != nil {
			return nil, err
		}
		if b.Len() <= limit {
			return b.Bytes(), nil
		}
		if rows == 0 { // names and notes of any length: what is cut is said, and no fence is left open
			text := []rune(c.mark() + " " + cellText(c.Answer()))
			return []byte(string(text[:min(len(text), limit/8)]) + " …\n\n"), nil
		}
		rows = min(rows-1, rows*limit/b.Len())
	}
}

// page writes at most so many rows to either table.
func (c Comparison) page(b *bytes.Buffer, most int) error {
	fmt.Fprintf(b, "### %s %s\n\n", c.mark(), cellText(c.Answer()))
	if where := c.Where(); where != "" {
		fmt.Fprintf(b, "%s\n\n", cellText(where))
	}
	fmt.Fprintf(b, "%s\n\n", cellText(c.Trust()))
	changed, same := c.split()
	if err := c.rowsTable(b, changed, most); err != nil {
		return err
	}
	if drawn := chart(changed[:min(len(changed), most)]); drawn != "" {
		fmt.Fprintf(b, "```text\n%s```\n\n", drawn)
	}
	for _, line := range c.reasons(false) {
		fmt.Fprintf(b, "- %s\n", cellText(line))
	}
	for _, note := range c.Notes[:min(len(c.Notes), 10)] {
		fmt.Fprintf(b, "- Note: %s\n", cellText(note))
	}
	b.WriteString("\n")
	if len(same) > 0 {
		fmt.Fprintf(b, "<details><summary>%d others</summary>\n\n", len(same))
		if err := c.rowsTable(b, same, most); err != nil {
			return err
		}
		b.WriteString("</details>\n\n")
	}
	return c.environment(b)
}

// mark is a sign beside the words, for who looks from afar.
func (c Comparison) mark() string {
	switch c.Verdict {
	case Slower:
		return "❌"
	case Faster, Same:
		return "✅"
	}
	return "⚠️"
}

// split parts what changed from the rest: of rows that cannot be told, and of those
// that are not comparable, a few stand for all.
func (c Comparison) split() (changed, rest []Row) {
	seen := map[Verdict]int{}
	for _, r := range c.sorted() {
		seen[r.Verdict]++
		if seen[r.Verdict] <= shown(r.Verdict) {
			changed = append(changed, r)
		} else {
			rest = append(rest, r)
		}
	}
	return changed, rest
}

func (c Comparison) rowsTable(b *bytes.Buffer, rows []Row, most int) error {
	if len(rows) == 0 {
		return nil
	}
	t := table.Table{Header: []string{"case", c.Base, c.Head, "change", "95 % range", "p (Holm)", "n", "verdict"},
		Align: []table.Align{table.Left, table.Right, table.Right, table.Right, table.Right, table.Right, table.Right, table.Left}}
	for _, r := range rows[:min(len(rows), most)] {
		cells := c.row(r, true)
		t.Rows = append(t.Rows, append(append(cells[:5:5], cells[7], cells[9]), cells[5]))
	}
	if err := table.Markdown(b, t); err != nil {
		return fmt.Errorf("write a comparison as Markdown: %w", err)
	}
	if left := len(rows) - most; left > 0 {
		fmt.Fprintf(b, "\n%d more rows do not fit here; the JSON and CSV outputs have them.\n", left)
	}
	b.WriteString("\n")
	return nil
}

// environment is where both ran: what differs, and what is the same.
func (c Comparison) environment(b *bytes.Buffer) error {
	t := table.Table{Header: []string{"environment", c.Base, c.Head}}
	for _, d := range c.Config {
		key := d.Key
		if d.Old != d.New {
			key += " (differs)"
		}
		t.Rows = append(t.Rows, []string{key, orNone(d.Old), orNone(d.New)})
	}
	for _, d := range c.Environment {
		t.Rows = append(t.Rows, []string{d.Key + " (differs)", clipped(d.Old), clipped(d.New)})
	}
	if len(t.Rows) == 0 {
		return nil
	}
	b.WriteString("<details><summary>Environment</summary>\n\n")
	if err := table.Markdown(b, t); err != nil {
		return fmt.Errorf("write the environment of a comparison: %w", err)
	}
	b.WriteString("\n</details>\n\n")
	return nil
}

// clipped is a fact in a cell.
func clipped(text string) string {
	const most = 80
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// cellText keeps words words: a case's name may hold what Markdown or HTML would
// take for its own, and a line stays one.
func cellText(text string) string {
	return strings.NewReplacer("\n", " ", "\r", " ", "<", "&lt;", ">", "&gt;", "*", `\*`, "`", "'", "[", `\[`, "@", "@\u200b", "#", `\#`).Replace(text)
}
