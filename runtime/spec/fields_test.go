package spec

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// verdicts reads testdata/fields.txt.
func verdicts(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/fields.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		field, who, ok := strings.Cut(line, " ")
		if _, twice := all[field]; twice || !ok {
			t.Fatalf("testdata/fields.txt: %q is there twice, or without a verdict", field)
		}
		all[field] = strings.TrimSpace(who)
	}
	return all
}

// visit calls f for every field below v until f says that it is enough.
func visit(v reflect.Value, path string, f func(reflect.Value, string) bool) {
	switch {
	case path != "" && f(v, path):
		return
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		visit(v.Elem(), path, f)
	case v.Kind() == reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		visit(v.Index(0), path+"[]", f)
	case v.Kind() == reflect.Map:
		entry := reflect.New(v.Type().Elem()).Elem()
		visit(entry, path+"{}", f)
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), entry)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			at := strings.TrimPrefix(path+"."+jsonName(v.Type().Field(i)), ".")
			if v.Type().Field(i).Anonymous {
				at = path
			}
			visit(v.Field(i), at, f)
		}
	}
}

// section says whether a field has fields of its own: it is not enough to say who
// honours it, unless nobody does.
func section(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return section(t.Elem())
	}
	return t.Kind() == reflect.Struct
}

// TestEveryField: each field has somebody who honours it, or is refused by its
// name. One that a new version of the specification brings, at any depth, fails
// here until that is decided.
func TestEveryField(t *testing.T) {
	who := verdicts(t)
	var seen []string
	visit(reflect.ValueOf(&specs.Spec{}).Elem(), "", func(v reflect.Value, path string) bool {
		whole := !section(v.Type())
		switch {
		case who[path] == "refused", who[path] != "" && whole:
			seen = append(seen, path)
			return true
		case who[path] != "":
			t.Errorf("%s: testdata/fields.txt says it of a section; it has to for each field in it", path)
		case whole:
			t.Errorf("%s: testdata/fields.txt does not say who honours it", path)
		}
		return whole
	})
	for path, verdict := range who {
		if !slices.Contains(seen, path) {
			t.Errorf("testdata/fields.txt: there is no field %s", path)
		}
		if verdict != "refused" {
			continue
		}
		t.Run(path, func(t *testing.T) {
			c := plain(t)
			c.Process.Terminal = true // what consoleSize belongs to
			c.Mounts = []specs.Mount{{Destination: "/tmp", Type: "tmpfs"}}
			if err := c.Check(); err != nil {
				t.Fatal(err)
			}
			visit(reflect.ValueOf(c.Spec).Elem(), "", func(v reflect.Value, at string) bool {
				if at == path {
					n := uint64(0)
					fill(v, &n, foreign)
				}
				// Nothing beside the way is touched.
				return at == path || !strings.HasPrefix(path, at+".") && !strings.HasPrefix(path, at+"[")
			})
			err := c.Check()
			if want := strings.ReplaceAll(path, "[]", "[0]") + ": "; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want an error about %s", err, path)
			}
		})
	}
}
