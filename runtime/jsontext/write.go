package jsontext

import (
	"strconv"
	"unicode/utf8"
)

// Writer appends JSON to Text: an object's fields, an array's elements, each on
// a line of its own when it has an Indent. The zero value writes on one line.
type Writer struct {
	Text   []byte
	Indent string // of each level; empty: one line
	depth  int
	filled bool // the object or array that is open has something
}

// Open begins an object or an array: '{' or '['.
func (w *Writer) Open(bracket byte) {
	w.Text = append(w.Text, bracket)
	w.depth++
	w.filled = false
}

// Close ends it: '}' or ']'.
func (w *Writer) Close(bracket byte) {
	w.depth--
	if w.filled {
		w.line()
	}
	w.Text = append(w.Text, bracket)
	w.filled = true
}

// Next begins an element of an array.
func (w *Writer) Next() {
	if w.filled {
		w.Text = append(w.Text, ',')
	}
	w.filled = true
	w.line()
}

// Name begins a field of an object.
func (w *Writer) Name(name string) {
	w.Next()
	w.Text = AppendString(w.Text, name)
	w.Text = append(w.Text, ':')
	if w.Indent != "" {
		w.Text = append(w.Text, ' ')
	}
}

// String writes a string.
func (w *Writer) String(s string) { w.Text = AppendString(w.Text, s) }

// Int writes a number.
func (w *Writer) Int(n int64) { w.Text = strconv.AppendInt(w.Text, n, 10) }

// Uint writes a number.
func (w *Writer) Uint(n uint64) { w.Text = strconv.AppendUint(w.Text, n, 10) }

// Bool writes true or false.
func (w *Writer) Bool(b bool) { w.Text = strconv.AppendBool(w.Text, b) }

// Strings writes an array of strings.
func (w *Writer) Strings(list []string) {
	w.Open('[')
	for _, s := range list {
		w.Next()
		w.String(s)
	}
	w.Close(']')
}

func (w *Writer) line() {
	if w.Indent == "" {
		return
	}
	w.Text = append(w.Text, '\n')
	for range w.depth {
		w.Text = append(w.Text, w.Indent...)
	}
}

// AppendString appends s in quotes. What is no UTF-8 becomes U+FFFD, as
// encoding/json has it.
func AppendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s { // a byte that is no UTF-8 is RuneError
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r < ' ' || r == 0x7f:
			b = append(b, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
