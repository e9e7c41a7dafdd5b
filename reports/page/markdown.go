package page

import (
	"bytes"
	"fmt"
	"strings"

	"isoperf/reports/plot"
	"isoperf/reports/table"
)

// markdown writes a document as Markdown.
type markdown struct {
	out  bytes.Buffer
	link string // the pictures' folder, as seen from the page
}

func (m *markdown) printf(format string, args ...any) { fmt.Fprintf(&m.out, format, args...) }

func (m *markdown) document(d Document) ([]byte, error) {
	m.printf("# %s\n", escape(d.Title))
	for _, s := range d.Beside {
		if err := m.section("##", s); err != nil {
			return nil, err
		}
	}
	for _, p := range d.Machines {
		depth := "##"
		if p.Heading != "" {
			m.printf("\n## %s\n\n%s\n", escape(p.Heading), p.About.markdown())
			depth = "###"
		}
		for _, s := range p.Sections {
			if err := m.section(depth, s); err != nil {
				return nil, err
			}
		}
	}
	if err := m.section("##", d.Reproduce); err != nil {
		return nil, err
	}
	return m.out.Bytes(), nil
}

func (m *markdown) section(depth string, s Section) error {
	m.printf("\n%s %s\n", depth, escape(s.Heading))
	for _, b := range s.Blocks {
		m.printf("\n")
		switch {
		case b.Table != nil:
			if err := table.Markdown(&m.out, *b.Table); err != nil {
				return fmt.Errorf("write the tables of %q: %w", s.Heading, err)
			}
		case b.Figure != nil:
			m.figure(b.Figure)
		case b.Code != "":
			m.printf("```sh\n%s```\n", b.Code)
		case b.List != nil:
			for _, item := range b.List {
				m.printf("- %s\n", item.markdown())
			}
		default:
			m.printf("%s\n", b.Text.markdown())
		}
	}
	return nil
}

// figure embeds one picture.
func (m *markdown) figure(f *plot.Figure) {
	path := m.link + "/" + f.Name
	m.printf("![%s](%s.png)\n\n[%s, as SVG](%s.svg)\n", escape(f.Alt), path, escape(f.Title), path)
}

// markdown is the text as Markdown: words of the page as they are, words of a
// file so that they stay words. Pieces of one style share its marks.
func (t Text) markdown() string {
	var b strings.Builder
	for i := 0; i < len(t); {
		style, from := t[i].Style, i
		var piece strings.Builder
		for ; i < len(t) && t[i].Style == style && (style != Code || i == from); i++ {
			if t[i].own || style == Code {
				piece.WriteString(t[i].Text)
			} else {
				piece.WriteString(escape(t[i].Text))
			}
		}
		switch style {
		case Strong:
			b.WriteString("**" + piece.String() + "**")
		case Code:
			b.WriteString(code(piece.String()))
		default:
			b.WriteString(piece.String())
		}
	}
	return b.String()
}

// code is a text between as many backquotes as it takes to hold it.
func code(s string) string {
	s = oneLine(s)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}

// oneLine is s without control characters, of which a newline is one.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
}

// escape makes a text of a result file safe as Markdown on one line.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", "|", `\|`).Replace(oneLine(s))
}
