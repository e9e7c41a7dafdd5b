package spec

import (
	"maps"
	"slices"

	"isoperf/runtime/jsontext"
)

// fields writes the fields of an object that are set.
type fields struct{ jsontext.Writer }

func (w *fields) text(name, s string) {
	if s != "" {
		w.Name(name)
		w.String(s)
	}
}

func (w *fields) flag(name string, on *bool) {
	if on != nil {
		w.Name(name)
		w.Bool(*on)
	}
}

func signed[T ~int64](w *fields, name string, n *T) {
	if n != nil {
		w.Name(name)
		w.Int(int64(*n))
	}
}

func unsigned[T ~uint16 | ~uint32 | ~uint64](w *fields, name string, n *T) {
	if n != nil {
		w.Name(name)
		w.Uint(uint64(*n))
	}
}

func object[T any](w *fields, name string, v *T, write func(*fields, *T)) {
	if v != nil {
		w.Name(name)
		w.Open('{')
		write(w, v)
		w.Close('}')
	}
}

func list[T any](w *fields, name string, all []T, write func(*fields, *T)) {
	if len(all) == 0 {
		return
	}
	w.Name(name)
	w.Open('[')
	for i := range all {
		w.Next()
		w.Open('{')
		write(w, &all[i])
		w.Close('}')
	}
	w.Close(']')
}

func table[T any](w *fields, name string, all map[string]T, write func(*fields, T)) {
	if len(all) == 0 {
		return
	}
	w.Name(name)
	w.Open('{')
	for _, key := range slices.Sorted(maps.Keys(all)) {
		w.Name(key)
		write(w, all[key])
	}
	w.Close('}')
}
