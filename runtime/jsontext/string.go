package jsontext

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Quoted reads a string.
func (d *Decoder) Quoted() string {
	d.at++
	start, ascii := d.at, true
	for ; d.at < len(d.text); d.at++ {
		switch c := d.text[d.at]; {
		case c == '"':
			s := d.text[start:d.at]
			if !ascii && !d.valid(start) {
				return ""
			}
			d.at++
			return s
		case c == '\\':
			if !ascii && !d.valid(start) {
				return ""
			}
			return d.escaped(start)
		case c < ' ':
			d.syntax("a control character in a string; write it as \\u%04x", c)
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	d.unexpected("the end of a string")
	return ""
}

// valid says whether the text from start up to here is UTF-8.
func (d *Decoder) valid(start int) bool {
	for i, r := range d.text[start:d.at] {
		if r == utf8.RuneError && !strings.HasPrefix(d.text[start+i:], "\uFFFD") {
			d.at = start + i
			d.syntax("a byte that is not UTF-8")
			return false
		}
	}
	return true
}

// escaped reads the rest of a string that began at start, from the first
// backslash on.
func (d *Decoder) escaped(start int) string {
	b := append(make([]byte, 0, 2*(d.at-start)+16), d.text[start:d.at]...)
	for d.at < len(d.text) {
		start := d.at
		switch c := d.text[d.at]; {
		case c == '"':
			d.at++
			return string(b)
		case c == '\\':
			r, ok := d.escape()
			if !ok {
				return ""
			}
			b = utf8.AppendRune(b, r)
			continue
		case c < ' ':
			d.syntax("a control character in a string; write it as \\u%04x", c)
			return ""
		}
		for d.at < len(d.text) && d.text[d.at] >= ' ' && d.text[d.at] != '"' && d.text[d.at] != '\\' {
			d.at++
		}
		if !d.valid(start) {
			return ""
		}
		b = append(b, d.text[start:d.at]...)
	}
	d.unexpected("the end of a string")
	return ""
}

// escape reads a backslash and what belongs to it.
func (d *Decoder) escape() (rune, bool) {
	const letters, meant = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if d.at+1 < len(d.text) {
		if i := strings.IndexByte(letters, d.text[d.at+1]); i >= 0 {
			d.at += 2
			return rune(meant[i]), true
		}
	}
	r, ok := d.unit()
	if !ok {
		d.syntax("\\ with neither one of %s nor u and four hexadecimal digits", letters)
		return 0, false
	}
	if !utf16.IsSurrogate(r) {
		d.at += 6
		return r, true
	}
	d.at += 6
	low, _ := d.unit()
	if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
		d.at += 6
		return pair, true
	}
	d.at -= 6
	d.syntax("half of a surrogate pair")
	return 0, false
}

// unit reads \u and four digits, without going on.
func (d *Decoder) unit() (rune, bool) {
	s := d.text[d.at:]
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}
