package plot_test

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"isoperf/bench/sample"
	"isoperf/reports/plot"
	"isoperf/reports/plot/specimen"
)

// inline draws every figure of a file: the pictures by name, and their colours.
func inline(t *testing.T, f *sample.File) (pictures, inks map[string]string) {
	t.Helper()
	figures, err := plot.Figures([]*sample.File{f})
	if err != nil {
		t.Fatal(err)
	}
	pictures, inks = map[string]string{}, map[string]string{}
	for _, fig := range figures {
		var svg strings.Builder
		names, err := fig.Inline(&svg, "id-of-"+fig.Name)
		if err != nil {
			t.Fatal(err)
		}
		pictures[fig.Name], inks[fig.Name] = svg.String(), strings.Join(names, " ")
	}
	if len(pictures) == 0 {
		t.Fatal("there is no figure")
	}
	return pictures, inks
}

// An inline picture is XML with classes only: no style, no script, no link. All
// of its classes are among the colours that it names.
func TestInlinePicturesLeaveColoursToThePage(t *testing.T) {
	pictures, inks := inline(t, specimen.File(40))
	for name, svg := range pictures {
		known := strings.Fields(inks[name])
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s is not XML: %v", name, err)
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			if !slices.Contains([]string{"svg", "g", "path", "text", "circle", "rect", "title"}, e.Name.Local) {
				t.Errorf("%s has the element %s", name, e.Name.Local)
			}
			for _, a := range e.Attr {
				switch {
				case a.Name.Local == "style", a.Name.Local == "href", strings.HasPrefix(a.Name.Local, "on"):
					t.Errorf("%s has the attribute %s=%q", name, a.Name.Local, a.Value)
				case a.Name.Local == "class" && len(a.Value) == 7 && !slices.Contains(known, a.Value[1:]):
					t.Errorf("%s does not name the colour %s", name, a.Value)
				case a.Name.Local == "d" && strings.ContainsAny(a.Value, "NIe"):
					t.Errorf("%s has a place that is no number: %.80s", name, a.Value)
				}
			}
		}
	}
}

// Marks say what they show: the row, the series, the figure and its interval.
func TestInlinePicturesSayTheirValues(t *testing.T) {
	pictures, _ := inline(t, specimen.File(40))
	for name, want := range map[string]string{
		"clone-increment": "<title>burst: back to back: net: + 469 us (",
		"clone-ecdf":      "<title>net: 50 % within ",
		"sweep-mounts":    "<title>",
	} {
		if !strings.Contains(pictures[name], want) {
			t.Errorf("%s lacks %q", name, want)
		}
	}
	pictures, _ = inline(t, specimen.Startup(40))
	for name, want := range map[string]string{
		"startup-runtimes": "<title>runc: median ", "startup-phases": " of the whole</title>", "startup-at-once": "<title>isorun, 2: ",
	} {
		if !strings.Contains(pictures[name], want) {
			t.Errorf("%s lacks %q", name, want)
		}
	}
}

// A picture does not grow with its samples, and names of a file stay words.
func TestInlinePicturesStaySmallAndSafe(t *testing.T) {
	f := specimen.Startup(20)
	c := &sample.Case{Name: "Control/what=compute", Units: []string{"compute-ns"}, Values: map[string][]float64{}}
	for i := range 100_000 {
		c.Values["compute-ns"] = append(c.Values["compute-ns"], 1e6+float64(i*7919%100_003))
	}
	f.Cases = append(slices.DeleteFunc(f.Cases, func(k *sample.Case) bool { return k.Family() == "Control" }), c)
	for _, k := range f.Cases {
		k.Name = strings.Replace(k.Name, "runtime=runc", `runtime=<script>"&`, 1)
	}
	pictures, _ := inline(t, f)
	const most = 100_000
	if n := len(pictures["control"]); n == 0 || n > most {
		t.Errorf("the control of 100,000 samples has %d bytes", n)
	}
	for name, svg := range pictures {
		if strings.Contains(svg, "<script") {
			t.Errorf("%s has a tag of the file's", name)
		}
	}
	if !strings.Contains(pictures["startup-runtimes"], "&lt;script&gt;") {
		t.Error("the runtime's name is not there")
	}
}
