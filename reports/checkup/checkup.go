// Package checkup prints what can be measured on a machine, and what cannot,
// why, and what would change that.
//
//	findings ─┬─► Answer: one sentence ─┐
//	families ─┘                         ├─► Write: plain text, 80 columns
//	          findings by group ────────┴─► JSON: the same, for programs
//
// It is given findings and finds nothing itself: the same input prints the
// same text on any machine. A command or path that is longer than a line is
// never broken, so that it can be copied.
package checkup

import (
	"fmt"
	"io"
	"strings"

	"isoperf/reports/export"
)

// Schema names the form of what JSON writes. It changes when a key changes
// its meaning or goes away.
const Schema = "isoperf.doctor/1"

// The states of a finding.
const (
	OK      = "ok"
	NotHere = "not here" // Why says what was seen, Fix what a person can do
	Failed  = "failed"   // the probe itself could not tell
)

// Finding is the outcome of one probe.
type Finding struct {
	Group  string `json:"group"` // findings of one group follow one another
	Name   string `json:"name"`
	State  string `json:"state"`            // OK, NotHere or Failed
	Detail string `json:"detail,omitempty"` // what was found
	Why    string `json:"why,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

// Family is one family of measurements.
type Family struct {
	Name       string
	Measurable bool // at all, if only in part
	// Missing is what takes the family away, or what falls away within it;
	// empty when all of it can be measured.
	Missing []Finding
}

// Summary is what stands around the findings. The zero value leaves it out.
type Summary struct {
	Machine  string // the machine in a few words
	Families []Family
	Next     string // the commands to go on with, on one line of at most 74 columns
}

// Write prints the answer, the machine, and the findings by group.
func Write(w io.Writer, findings []Finding, s Summary) error {
	p := &page{}
	p.wrap("", "", Answer(s.Families))
	if s.Machine != "" {
		p.wrap("Machine: ", "         ", s.Machine)
	}
	p.wrap("", "", count(findings))
	p.groups(findings)
	if s.Next != "" {
		p.line("")
		p.line("Next: " + clean(s.Next))
	}
	if _, err := io.WriteString(w, p.text.String()); err != nil {
		return fmt.Errorf("write the findings: %w", err)
	}
	return nil
}

// JSON writes the same for programs.
func JSON(w io.Writer, findings []Finding, s Summary) error {
	type family struct {
		Name       string   `json:"name"`
		Measurable bool     `json:"measurable"`
		Missing    []string `json:"missing"` // names of findings
	}
	families := []family{}
	for _, f := range s.Families {
		names := []string{}
		for _, m := range f.Missing {
			names = append(names, m.Name)
		}
		families = append(families, family{f.Name, f.Measurable, names})
	}
	return export.JSON(w, struct {
		Schema   string    `json:"schema"`
		Answer   string    `json:"answer"`
		Machine  string    `json:"machine,omitempty"`
		Families []family  `json:"families"`
		Findings []Finding `json:"findings"`
	}{Schema, Answer(s.Families), s.Machine, families, export.List(findings)}, "the findings as JSON")
}

func count(findings []Finding) string {
	n := map[string]int{}
	for _, f := range findings {
		n[f.State]++
	}
	switch len(findings) {
	case 0:
		return "Nothing was probed."
	case n[OK]:
		return fmt.Sprintf("All %d probes are ok.", len(findings))
	}
	text := fmt.Sprintf("%d of %d probes are ok", n[OK], len(findings))
	if n[NotHere] > 0 {
		text += fmt.Sprintf(", %d not here", n[NotHere])
	}
	if n[Failed] > 0 {
		text += fmt.Sprintf(", %d failed", n[Failed])
	}
	return text + "."
}

// groups prints the findings under their headings. Neighbours with the same
// reason and remedy share one.
func (p *page) groups(findings []Finding) {
	wide := 0
	for i, f := range findings {
		if i == 0 || findings[i-1].Group != f.Group {
			p.line("")
			p.wrap("", "", f.Group)
			wide = widest(findings[i:])
		}
		first := i == 0 || !shared(findings[i-1], f)
		last := i == len(findings)-1 || !shared(f, findings[i+1])
		head := fmt.Sprintf("  %-8s  %-*s", clean(f.State), wide, clean(f.Name))
		switch {
		case f.State == OK:
			p.wrap(head+"  ", strings.Repeat(" ", len(head)+2), f.Detail)
			continue
		case first && last:
			brief := clean(f.Why) + "; fix: " + clean(f.Fix)
			if f.Detail == "" && f.Fix != "" && len(head)+2+len(brief) <= columns {
				p.line(head + "  " + brief)
				continue
			}
		}
		p.wrap(head+"  ", strings.Repeat(" ", len(head)+2), f.Detail)
		if last {
			p.wrap("      why: ", "           ", f.Why)
			p.wrap("      fix: ", "           ", f.Fix)
		}
	}
}

// widest is the column of names in the first group.
func widest(findings []Finding) int {
	wide := 0
	for _, f := range findings {
		if f.Group != findings[0].Group {
			break
		}
		wide = max(wide, min(len(clean(f.Name)), widestName))
	}
	return wide
}

func shared(a, b Finding) bool {
	return a.Group == b.Group && a.State != OK && a.State == b.State && a.Why == b.Why && a.Fix == b.Fix
}

const (
	columns    = 80
	widestName = 24
)

// page is text in the making.
type page struct{ text strings.Builder }

func (p *page) line(s string) {
	p.text.WriteString(strings.TrimRight(s, " "))
	p.text.WriteByte('\n')
}

// wrap writes text behind first, and its further lines behind rest.
func (p *page) wrap(first, rest, text string) {
	line, empty := first, true
	for word := range strings.FieldsSeq(clean(text)) {
		if !empty && len(line)+1+len(word) > columns {
			p.line(line)
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	p.line(line)
}

// clean makes anything printable ASCII on one line: what programs say about
// themselves goes to a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
}
