package spec

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// FuzzDecode compares with encoding/json: what that refuses as not JSON is
// refused, and what both take is the same.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	every := &specs.Spec{}
	n := uint64(0)
	fill(reflect.ValueOf(every).Elem(), &n, foreign)
	text, err := json.Marshal(every)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	for _, s := range []string{
		`{"hostname":"\ud83d\udd12\u00e9\\","x":[1e5,-0.5,true,false,null,{"y":[]}]}`, `{"process":{"user":{"uid":-0}},"root":null}`,
		`{"linux":{"resources":{"memory":{"limit":1.5}}}}`, "{\"hostname\":\"\xff\"}", `{"solaris":{},"vm":null} `, `{"mounts":[null,{}]}`,
	} {
		f.Add(s)
	}
	known := map[string]bool{}
	names(reflect.TypeFor[specs.Spec](), map[reflect.Type]bool{}, known)
	f.Fuzz(func(t *testing.T, text string) {
		want := &specs.Spec{}
		theirs := json.Unmarshal([]byte(text), want)
		got, ours := decode(text)
		var syntax *json.SyntaxError
		if errors.As(theirs, &syntax) && ours == nil {
			t.Fatalf("encoding/json: %v; decode takes it", theirs)
		}
		if theirs != nil || ours != nil || ambiguous(t, text, known) {
			return
		}
		for _, s := range []*specs.Spec{want, got} { // of these only the presence counts
			clear := func(v reflect.Value) {
				if !v.IsNil() {
					v.Set(reflect.New(v.Type().Elem()))
				}
			}
			clear(reflect.ValueOf(&s.Solaris).Elem())
			clear(reflect.ValueOf(&s.Windows).Elem())
			clear(reflect.ValueOf(&s.VM).Elem())
			clear(reflect.ValueOf(&s.ZOS).Elem())
			clear(reflect.ValueOf(&s.FreeBSD).Elem())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("encoding/json (-) and decode (+) differ:\n%s", diff)
		}
	})
}

// ambiguous tells text that encoding/json reads in its own way: a name twice,
// where it mixes the elements of arrays, or in other case than the types have.
func ambiguous(t *testing.T, text string, known map[string]bool) bool {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // one that no float64 holds is none of this's business
	var value func() bool
	value = func() bool {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		delim, ok := token.(json.Delim)
		if !ok {
			return false
		}
		seen := map[string]bool{}
		found := false
		for d.More() {
			if delim == '{' {
				key, err := d.Token()
				if err != nil {
					t.Fatal(err)
				}
				name := key.(string)
				found = found || seen[name]
				seen[name] = true
				for k := range known {
					found = found || k != name && strings.EqualFold(k, name)
				}
			}
			found = value() || found
		}
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
		return found
	}
	return value()
}

func BenchmarkDecode(b *testing.B) {
	text, err := os.ReadFile("testdata/runc.json")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decode(string(text)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := json.Unmarshal(text, &specs.Spec{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
