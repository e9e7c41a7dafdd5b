package jsontext

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What is written, encoding/json and this package's own reader read back.
func TestWrite(t *testing.T) {
	strings := []string{"", "a", `"\`, "\n\t\r\x00\x1f\x7f", "é漢😀", "\u2028", "a/b"}
	for _, indent := range []string{"", "  "} {
		w := Writer{Indent: indent}
		w.Open('{')
		w.Name("strings")
		w.Strings(strings)
		w.Name("none")
		w.Strings(nil)
		w.Name("least")
		w.Int(-1 << 63)
		w.Name("most")
		w.Uint(1<<64 - 1)
		w.Name("yes")
		w.Bool(true)
		w.Name("object")
		w.Open('{')
		w.Close('}')
		w.Close('}')
		want := map[string]any{"strings": strings, "none": []string{}, "least": json.Number("-9223372036854775808"), "most": json.Number("18446744073709551615"), "yes": true, "object": map[string]any{}}
		var got map[string]any
		d := json.NewDecoder(bytes.NewReader(w.Text))
		d.UseNumber()
		if err := d.Decode(&got); err != nil {
			t.Fatalf("%v: %s", err, w.Text)
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if !bytes.Equal(a, b) {
			t.Errorf("wrote %s\nwant %s", a, b)
		}
		var back []string
		err := Parse(string(w.Text), &back, func(d *Decoder, to *[]string) {
			for name := range d.Object {
				if name == "strings" {
					List(d, to, Text)
				}
			}
		})
		if err != nil || len(back) != len(strings) {
			t.Fatalf("%q, %v", back, err)
		}
		for i, s := range strings {
			if back[i] != s {
				t.Errorf("string %d is %q, want %q", i, back[i], s)
			}
		}
	}
	// Indented as encoding/json does it, which is what runc prints.
	w := Writer{Indent: "  "}
	w.Open('{')
	w.Name("a")
	w.Open('[')
	w.Next()
	w.Int(1)
	w.Next()
	w.Int(2)
	w.Close(']')
	w.Name("b")
	w.Open('{')
	w.Close('}')
	w.Close('}')
	want, _ := json.MarshalIndent(map[string]any{"a": []int{1, 2}, "b": struct{}{}}, "", "  ")
	if string(w.Text) != string(want) {
		t.Errorf("wrote %s\nwant %s", w.Text, want)
	}
}

// What is no UTF-8 still makes a text that is JSON.
func TestWriteBroken(t *testing.T) {
	if got := string(AppendString(nil, "a\xffb")); got != "\"a\ufffdb\"" {
		t.Errorf("%q", got)
	}
}
