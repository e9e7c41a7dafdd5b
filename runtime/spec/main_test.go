package spec

import (
	"os"
	"reflect"
	"testing"
)

// require skips the test unless cond holds; where everything must run, that is
// a failure.
func require(t testing.TB, cond bool, why string) {
	t.Helper()
	switch {
	case cond:
	case os.Getenv("ISOPERF_MUST_RUN") == "1":
		t.Fatalf("must run, but: %s", why)
	default:
		t.Skip(why)
	}
}

// fill sets every field below v to a value that is not zero, and that no other
// field has: numbers count up, within what the smallest type holds. Types that
// foreign says are left as a pointer to nothing.
func fill(v reflect.Value, n *uint64, foreign func(reflect.Type) bool) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if !foreign(v.Type().Elem()) {
			fill(v.Elem(), n, foreign)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n, foreign)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n, foreign)
		fill(v.Index(1), n, foreign)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, key := range []string{"one.two/three", "four \"five\""} {
			entry := reflect.New(v.Type().Elem()).Elem()
			fill(entry, n, foreign)
			v.SetMapIndex(reflect.ValueOf(key), entry)
		}
	case reflect.String:
		v.SetString("text \u00e9 <&> \U0001F512 \n\\ " + string(rune('A'+*n%26)) + string(rune('0'+*n/26%10)) + string(rune('a'+*n/260)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(-int64(*n))
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(*n)
	default:
		panic("no rule for " + v.Type().String())
	}
}

// names are all names of fields below a type.
func names(t reflect.Type, seen map[reflect.Type]bool, all map[string]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		names(t.Elem(), seen, all)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.Anonymous {
				all[jsonName(f)] = true
			}
			names(f.Type, seen, all)
		}
	}
}
