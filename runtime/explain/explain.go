// Package explain says of each op of a program what it does and why a container
// needs it, for a person who has heard one lecture on containers.
//
//	Program ──Print──► the calls ──► the table: call, words in it ──► sentence, man page
package explain

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"isoperf/runtime/program"
)

// width is the column at which sentences are broken.
const width = 80

// Program prints a program: each op with its number, its name and the call,
// then what it does and its man page. The ops that the launch mode adds have no
// number. What is said again of the next op is "as above". An op that the table
// does not know is an error, after all is printed.
func Program(w io.Writer, p *program.Program) error {
	lines, err := printed(p)
	if err != nil {
		return fmt.Errorf("explain program: %w", err)
	}
	var b strings.Builder
	var missing []string
	var last entry
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%4s  %s\n      %s\n", l.number, visible(l.name), l.text)
		e, ok := find(l)
		switch {
		case !ok:
			missing = append(missing, l.text)
			continue
		case e == last:
			paragraph(&b, "As above. "+e.man+".")
			continue
		}
		last = e
		paragraph(&b, e.text+" "+e.man+".")
		if i == 0 || strings.Contains(l.text, "|CLONE_NEW") {
			namespaces(&b, l.text)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if missing != nil {
		return fmt.Errorf("explain program: no sentence for %q; the table in runtime/explain lacks it", missing)
	}
	return nil
}

// Missing are the calls of a program that the table does not know.
func Missing(p *program.Program) []string {
	lines, err := printed(p)
	if err != nil {
		return []string{err.Error()}
	}
	var missing []string
	for _, l := range lines {
		if _, ok := find(l); !ok {
			missing = append(missing, l.text)
		}
	}
	return missing
}

// visible quotes a name, which may hold a path, when a terminal would obey it.
func visible(name string) string {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return strconv.Quote(name)
	}
	return name
}

// paragraph breaks a text into indented lines.
func paragraph(b *strings.Builder, text string) {
	const indent = "      "
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+len(word) > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteString("\n")
}

// namespaces prints what each flag in a text separates.
func namespaces(b *strings.Builder, text string) {
	for _, n := range kinds() {
		if strings.Contains(text, n.flag) {
			paragraph(b, n.flag+": "+n.text)
		}
	}
}

// line is an op as a program prints it.
type line struct {
	number string // "-": an op of the mode
	name   string
	text   string
	call   program.Call // of the program's own ops
	own    bool
}

// printed takes a program's printed form apart, which has the ops that the
// mode adds; the program's own ops say where each line ends.
func printed(p *program.Program) ([]line, error) {
	var b strings.Builder
	if err := p.Print(&b); err != nil {
		return nil, err
	}
	first, rest, _ := strings.Cut(b.String(), "\n")
	lines := []line{{number: "-", name: "clone", text: first}}
	ops := p.Ops()
	for rest != "" {
		if added, ok := strings.CutPrefix(rest, "   -  "); ok {
			text, after, _ := strings.Cut(added, "\n")
			name, call, ok := strings.Cut(text, "  ")
			if !ok {
				return nil, fmt.Errorf("read the printed op %q: it has no name", text)
			}
			lines, rest = append(lines, line{number: "-", name: name, text: strings.TrimLeft(call, " ")}), after
			continue
		}
		if len(ops) == 0 {
			return nil, fmt.Errorf("read the printed program: more lines than ops, at %q", rest)
		}
		op, number := ops[0], strconv.Itoa(len(p.Ops())-len(ops)+1)
		ops = ops[1:]
		after, ok := strings.CutPrefix(rest, fmt.Sprintf("%4s  %s", number, op.Name))
		after = strings.TrimLeft(after, " ")
		after, is := strings.CutPrefix(after, op.String()+"\n")
		if !ok || !is {
			return nil, fmt.Errorf("read the printed program: op %s is not %q", number, op)
		}
		lines, rest = append(lines, line{number: number, name: op.Name, text: op.String(), call: op.Call, own: true}), after
	}
	if len(ops) > 0 {
		return nil, fmt.Errorf("read the printed program: it lacks op %q", ops[0])
	}
	return lines, nil
}
