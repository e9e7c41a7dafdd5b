// Package jsontext reads JSON straight to where it belongs, and writes it, for
// processes that live for a few milliseconds: encoding/json, which a start would
// pay for, is not linked into them.
//
//	text ──Parse──► Decoder ──► a function for each type: for name := range d.Object { switch name … }
//	values ──Writer──► text
package jsontext

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may lie in each other, also in what
// is skipped; config.json itself needs eight.
const MaxDepth = 100

// Decoder reads JSON (RFC 8259) from front to back, straight to where it
// belongs: encoding/json would spend its time on reflection, which a process
// that starts one container does not earn back. It is stricter in that text must
// be UTF-8, and names must be spelled as the specification does.
//
// The first error stays, and ends every loop. Strings share the memory of text.
type Decoder struct {
	text string
	at   int
	path []place // where the value is that is being read
	deep int
	err  error
}

// place is one step of the path to a value: an object's field, an array's
// element, or an entry of a map.
type place struct {
	name  string
	index int
	kind  byte // '.', '[' or '"'
}

// where is the path as config.json spells it: linux.seccomp.syscalls[3].names.
func (d *Decoder) where() string {
	var b strings.Builder
	for i, p := range d.path {
		switch {
		case p.kind == '[':
			fmt.Fprintf(&b, "[%d]", p.index)
		case p.kind == '"':
			fmt.Fprintf(&b, "[%q]", p.name)
		case i > 0:
			b.WriteString("." + p.name)
		default:
			b.WriteString(p.name)
		}
	}
	return b.String()
}

// syntax notes that the text is no JSON, and where.
func (d *Decoder) syntax(format string, args ...any) {
	if d.err == nil {
		at := min(d.at, len(d.text))
		line := 1 + strings.Count(d.text[:at], "\n")
		column := 1 + utf8.RuneCountInString(d.text[strings.LastIndexByte(d.text[:at], '\n')+1:at])
		d.err = fmt.Errorf("line %d, column %d: %s", line, column, fmt.Sprintf(format, args...))
	}
}

// unexpected is a syntax error at a character that does not belong there.
func (d *Decoder) unexpected(wanted string) {
	if d.at >= len(d.text) {
		d.syntax("it ends where %s belongs", wanted)
		return
	}
	r, _ := utf8.DecodeRuneInString(d.text[d.at:])
	d.syntax("%q, where %s belongs", r, wanted)
}

// Wrong notes a value that is JSON and cannot be taken.
func (d *Decoder) Wrong(format string, args ...any) {
	if d.err == nil {
		text := fmt.Sprintf(format, args...)
		if where := d.where(); where != "" {
			text = where + ": " + text
		}
		d.err = fmt.Errorf("%s", text)
	}
}

// Mismatch notes a value of another type than the field's.
func (d *Decoder) Mismatch(wanted string) {
	var got string
	switch c := d.Peek(); {
	case c == '{':
		got = "an object"
	case c == '[':
		got = "an array"
	case c == '"':
		got = "a string"
	case c == 't' || c == 'f':
		got = "a boolean"
	case c == '-' || c >= '0' && c <= '9':
		got = "a number"
	default:
		d.unexpected(wanted)
		return
	}
	d.Wrong("%s, where %s belongs", got, wanted)
}

// Peek is the first byte of what comes next; 0 at the end of the text, or at a
// NUL, which belongs nowhere.
func (d *Decoder) Peek() byte {
	for ; d.at < len(d.text); d.at++ {
		if c := d.text[d.at]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// take skips a character that has to come next.
func (d *Decoder) take(c byte, wanted string) bool {
	if d.Peek() != c {
		d.unexpected(wanted)
		return false
	}
	d.at++
	return true
}

// word reads one of JSON's three words.
func (d *Decoder) word(word string) bool {
	if !strings.HasPrefix(d.text[d.at:], word) {
		d.syntax("this is not %q", word)
		return false
	}
	d.at += len(word)
	return true
}

// Null takes a null, which leaves a field as it is.
func (d *Decoder) Null() bool { return d.Peek() == 'n' && d.word("null") }

// open enters an object or an array.
func (d *Decoder) open(c byte, wanted string) bool {
	switch {
	case d.Null() || d.err != nil:
		return false
	case d.Peek() != c:
		d.Mismatch(wanted)
		return false
	}
	if d.deep++; d.deep > MaxDepth {
		d.syntax("more than %d objects and arrays in each other", MaxDepth)
		return false
	}
	d.at++
	return true
}

// more says whether another element follows: it takes the comma before it, or
// the bracket that ends all.
func (d *Decoder) more(first bool, end byte, wanted string) bool {
	switch c := d.Peek(); {
	case d.err != nil:
		return false
	case c == end:
		d.at++
		d.deep--
		return false
	case first:
		return true
	}
	if !d.take(',', wanted) {
		return false
	}
	if d.Peek() == end {
		d.unexpected("another element")
		return false
	}
	return true
}

// Object goes through the fields of an object. A value that the body does not
// read is skipped, so unknown fields are.
func (d *Decoder) Object(field func(name string) bool) { d.fields('.', field) }

// Entries goes through an object that is a map.
func (d *Decoder) Entries(entry func(key string) bool) { d.fields('"', entry) }

func (d *Decoder) fields(kind byte, field func(name string) bool) {
	if !d.open('{', "an object") {
		return
	}
	depth := len(d.path)
	for first := true; d.more(first, '}', "a comma or }"); first = false {
		if d.Peek() != '"' {
			d.unexpected("a name in quotes")
			return
		}
		name := d.Quoted()
		if d.err != nil || !d.take(':', "a colon") {
			return
		}
		d.path = append(d.path, place{name: name, kind: kind})
		before := d.at
		if !field(name) {
			return
		}
		if d.err == nil && d.at == before {
			d.Skip()
		}
		d.path = d.path[:depth]
	}
}

// Elements goes through an array.
func (d *Decoder) Elements(element func(int) bool) {
	if !d.open('[', "an array") {
		return
	}
	depth := len(d.path)
	for i := 0; d.more(i == 0, ']', "a comma or ]"); i++ {
		d.path = append(d.path, place{index: i, kind: '['})
		if !element(i) {
			return
		}
		d.path = d.path[:depth]
	}
}

// Skip reads a value that nobody wants; it still has to be one.
func (d *Decoder) Skip() {
	switch c := d.Peek(); {
	case c == '{':
		for range d.Object {
		}
	case c == '[':
		for range d.Elements {
			d.Skip()
		}
	case c == '"':
		d.Quoted()
	case c == 't':
		d.word("true")
	case c == 'f':
		d.word("false")
	case c == 'n':
		d.word("null")
	case c == '-' || c >= '0' && c <= '9':
		d.Number()
	default:
		d.unexpected("a value")
	}
}

// Number reads a number as it stands there; integer says that it is one, with
// neither a fraction nor an exponent.
func (d *Decoder) Number() (text string, integer bool) {
	start := d.at
	if d.text[d.at] == '-' {
		d.at++
	}
	if d.at < len(d.text) && d.text[d.at] == '0' {
		d.at++
	} else if !d.digits() {
		return "", false
	}
	integer = true
	if d.at < len(d.text) && d.text[d.at] == '.' {
		d.at++
		integer = false
		if !d.digits() {
			return "", false
		}
	}
	if d.at < len(d.text) && d.text[d.at]|0x20 == 'e' {
		d.at++
		integer = false
		if d.at < len(d.text) && (d.text[d.at] == '+' || d.text[d.at] == '-') {
			d.at++
		}
		if !d.digits() {
			return "", false
		}
	}
	return d.text[start:d.at], integer
}

// digits skips one digit or more.
func (d *Decoder) digits() bool {
	start := d.at
	for d.at < len(d.text) && d.text[d.at] >= '0' && d.text[d.at] <= '9' {
		d.at++
	}
	if d.at == start {
		d.unexpected("a digit")
	}
	return d.at > start
}
