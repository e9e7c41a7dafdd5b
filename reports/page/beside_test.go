package page

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"isoperf/bench/sample"
)

// onHosts are files of that many machines, each a microsecond slower than the last.
func onHosts(t *testing.T, n int) []*sample.File {
	t.Helper()
	var files []*sample.File
	for i := range n {
		var text strings.Builder
		fmt.Fprintf(&text, "kernel: 6.%d\nprivilege: root\nhost: node%d\nUnit reap-ns better=lower\n", i, i)
		for k := range 7 {
			fmt.Fprintf(&text, "BenchmarkClone/flag=net 1 %d reap-ns\n", 10_000+1000*i+k)
		}
		if i == 0 {
			text.WriteString("BenchmarkClone/flag=pid 1 5 reap-ns\n")
		}
		files = append(files, read(t, fmt.Sprintf("node%d.txt", i), text.String()))
	}
	return files
}

func read(t *testing.T, name, text string) *sample.File {
	t.Helper()
	f, err := sample.Read(name, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestBeside(t *testing.T) {
	two := Beside(onHosts(t, 2))
	if len(two) != 1 || len(two[0].Rows) != 1 {
		t.Fatalf("%+v", two)
	}
	if want := []string{"case", "unit", "node0", "node1", "most by least"}; !slices.Equal(two[0].Header, want) {
		t.Errorf("%q, want %q", two[0].Header, want)
	}
	if want := []string{"Clone/flag=net", "reap-ns", "10 us", "11 us", "1.10x"}; !slices.Equal(two[0].Rows[0], want) {
		t.Errorf("%q, want %q", two[0].Rows[0], want)
	}
	many := Beside(onHosts(t, 9))
	if want := []string{"Clone/flag=net", "reap-ns", "10 us", "node0", "14 us", "18 us", "node8", "1.80x"}; len(many) != 1 || !slices.Equal(many[0].Rows[0], want) {
		t.Errorf("%v, want %q", many, want)
	}
	// One machine, other privileges, and files that name no host are not held
	// against each other.
	one := onHosts(t, 1)
	user := read(t, "user.txt", "kernel: 6.0\nprivilege: userns\nhost: other\nBenchmarkClone/flag=net 1 5 reap-ns\n")
	nameless := read(t, "a.txt", "kernel: 6.1\nBenchmarkClone/flag=net 1 5 reap-ns\n")
	kernel := read(t, "kernel.txt", "kernel: 5.15\nprivilege: root\nhost: node0\nBenchmarkClone/flag=net 1 5 reap-ns\n")
	if list := Beside(append(one, user, nameless, kernel)); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// The table stands above the machines' own reports.
func TestBesideOnThePage(t *testing.T) {
	dir := t.TempDir()
	if err := (Options{Page: "R.md", Plots: "plots", Title: "Fleet"}).Write(dir, onHosts(t, 2)); err != nil {
		t.Fatal(err)
	}
	d, err := NewDocument("Fleet", onHosts(t, 2))
	if err != nil || len(d.Beside) != 1 {
		t.Fatal(err, d.Beside)
	}
	var m markdown
	text, err := m.document(d)
	if err != nil {
		t.Fatal(err)
	}
	at := func(words string) int { return bytes.Index(text, []byte(words)) }
	if at("## Side by side") < 0 || at("## Side by side") > at("## Machine 1 of 2") || at("1.10x") < 0 {
		t.Errorf("%s", text)
	}
}
