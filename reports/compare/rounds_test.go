package compare

import (
	"math"
	"strings"
	"testing"

	"isoperf/bench/sample"
	"isoperf/reports/sequential"
)

// turned makes the columns of a run of ab.
func turned(t *testing.T, text string) (base, head Column) {
	t.Helper()
	var files []*sample.File
	for _, name := range []string{"base.txt", "head.txt"} {
		f, err := sample.Read(name, strings.NewReader(strings.ReplaceAll(text, "SIDE", strings.TrimSuffix(name, ".txt"))))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	columns, err := ByFile(files)
	if err != nil {
		t.Fatal(err)
	}
	return columns[0], columns[1]
}

const turnsText = `goos: linux
# isoperf {"side":"SIDE","seed":7}
Unit total-ns better=lower
Unit moved-B/s better=higher
BenchmarkCommand/name=x 1 100 total-ns
BenchmarkCommand/name=x 1 101 total-ns
BenchmarkFlow/name=y 1 100 moved-B/s
# noise {"case":"Command/name=x","unit":"total-ns","ratio":0.03,"rounds":20}
# end {"why":"done"}
`

func finding(name string, v sequential.Verdict, ratio float64) sequential.Finding {
	e := sequential.Estimate{Ratio: ratio, Lo: ratio / 1.01, Hi: ratio * 1.01, Rounds: 40}
	return sequential.Finding{Case: name, Verdict: v, Estimate: e, Noise: 0.004, Band: sequential.Estimate{Ratio: 1.004, Lo: 0.99, Hi: 1.03, Rounds: 20}}
}

// Rows have the verdict of their rounds; where higher is better, the ratio is of
// the figures and not of the cost.
func TestRounds(t *testing.T) {
	base, head := turned(t, turnsText)
	c := Rounds(base, head, []sequential.Finding{finding("Command/name=x total-ns", sequential.Same, 1), finding("Flow/name=y moved-B/s", sequential.Slower, 1.25)}, Check{Draws: 300}, Options{})
	if c.Verdict != Slower || len(c.Rows) != 2 || c.Rows[0].Verdict != Same || c.Rows[1].Verdict != Slower {
		t.Fatalf("%v %+v", c.Verdict, c.Rows)
	}
	if r := c.Rows[1].Ratio; math.Abs(r.Ratio-0.8) > 1e-9 || r.Lo >= r.Ratio || r.Hi <= r.Ratio {
		t.Errorf("the ratio of what is better when higher: %+v", r)
	}
	if want := "Trust: false alarms of this comparison 0 of 300 (at most 1 %); base against itself +0.4 % (-1.0 .. +3.0) in 20 rounds; base and head in turns in 40."; !strings.Contains(c.Trust(), want) {
		t.Errorf("%q, want %q", c.Trust(), want)
	}
}

// What failed is neither the same nor faster, and other machines are not compared.
func TestRoundsInDoubt(t *testing.T) {
	base, head := turned(t, turnsText+`# failed {"case":"Command/name=x","why":"no luck"}`+"\n")
	for _, v := range []sequential.Verdict{sequential.Same, sequential.Faster} {
		c := Rounds(base, head, []sequential.Finding{finding("Command/name=x total-ns", v, 0.9)}, Check{}, Options{})
		if c.Verdict != CannotTell || !strings.Contains(c.Rows[0].Why, "failed 1 times with base") {
			t.Errorf("%v: %v, %+v", v, c.Verdict, c.Rows)
		}
	}
	base, head = turned(t, strings.Replace(turnsText, "goos: linux", "goos: linux\nhost: SIDE", 1))
	if c := Rounds(base, head, []sequential.Finding{finding("Command/name=x total-ns", sequential.Slower, 2)}, Check{}, Options{}); c.Verdict != Apart {
		t.Errorf("two hosts: %v", c.Verdict)
	}
}

// The files tell compare what the run knew.
func TestKnown(t *testing.T) {
	base, head := turned(t, turnsText)
	if o := Known(base, head, Options{Floor: 0.05}); o.Floor != 0.05 || !o.Interleaved || o.Noise["Command/name=x total-ns"] != 0.03 {
		t.Errorf("%+v", o)
	}
	base, head = turned(t, strings.Replace(turnsText, `"seed":7`, `"seedless":"SIDE"`, 1))
	if o := Known(base, head, Options{}); o.Interleaved {
		t.Error("files without a seed are taken for ones that took turns")
	}
}
