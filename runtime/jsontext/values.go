package jsontext

import (
	"strconv"
	"unsafe"
)

// Parse reads a text that is one value. What it says of values that are there
// more than once is what encoding/json does: the last wins, objects and maps are
// filled further.
func Parse[T any](text string, to *T, value func(*Decoder, *T)) error {
	d := &Decoder{text: text, path: make([]place, 0, 16)}
	value(d, to)
	if d.err == nil {
		if d.Peek(); d.at < len(d.text) {
			d.unexpected("the end of the text")
		}
	}
	return d.err
}

// Text reads a string.
func Text[T ~string](d *Decoder, to *T) {
	switch {
	case d.Null():
	case d.Peek() == '"':
		*to = T(d.Quoted())
	default:
		d.Mismatch("a string")
	}
}

// Integer reads a number without fraction and exponent, in the range of its
// type.
func Integer[T ~int | ~int64 | ~int32 | ~uint | ~uint64 | ~uint32 | ~uint16](d *Decoder, to *T) {
	switch c := d.Peek(); {
	case d.Null():
		return
	case c != '-' && (c < '0' || c > '9'):
		d.Mismatch("a number")
		return
	}
	word, whole := d.Number()
	switch bits := 8 * int(unsafe.Sizeof(*to)); {
	case d.err != nil:
	case !whole:
		d.Wrong("%s, where a whole number belongs, without fraction and exponent", word)
	case ^T(0) > 0:
		n, err := strconv.ParseUint(word, 10, bits)
		if err != nil {
			d.Wrong("%s is out of range: it goes from 0 to %d", word, ^T(0))
		}
		*to = T(n)
	default:
		n, err := strconv.ParseInt(word, 10, bits)
		if err != nil {
			least := int64(-1) << (bits - 1)
			d.Wrong("%s is out of range: it goes from %d to %d", word, least, ^least)
		}
		*to = T(n)
	}
}

// Boolean reads true or false.
func Boolean(d *Decoder, to *bool) {
	switch c := d.Peek(); {
	case d.Null():
	case c == 't':
		*to = d.word("true")
	case c == 'f':
		*to = !d.word("false")
	default:
		d.Mismatch("true or false")
	}
}

// Pointer reads a value that may be missing.
func Pointer[T any](d *Decoder, to **T, value func(*Decoder, *T)) {
	if d.Null() {
		*to = nil
		return
	}
	if *to == nil {
		*to = new(T)
	}
	value(d, *to)
}

// List reads an array. It is empty, and not nil, when the array is.
func List[T any](d *Decoder, to *[]T, value func(*Decoder, *T)) {
	if d.Null() {
		*to = nil
		return
	}
	all := make([]T, 0, 8)
	for i := range d.Elements {
		var zero T
		all = append(all, zero)
		value(d, &all[i])
	}
	*to = all
}

// Table reads an object whose names are free.
func Table[T any](d *Decoder, to *map[string]T, value func(*Decoder, *T)) {
	if d.Null() {
		*to = nil
		return
	}
	if *to == nil {
		*to = map[string]T{}
	}
	for key := range d.Entries {
		var v T
		value(d, &v)
		(*to)[key] = v
	}
}

// Present notes that there is something, whatever it is: it is refused.
func Present[T any](d *Decoder, _ *T) { d.Skip() }
