package compare

import (
	"math/rand/v2"
	"slices"
	"testing"

	"isoperf/bench/sample"
)

// TestMedians: the cases that count and the controls, each by its main unit; the
// null case is both.
func TestMedians(t *testing.T) {
	f := parsed(t, "x.txt", run{shape: lognormal(0.01), n: 20}.text(rand.New(rand.NewPCG(1, 1))))
	list, err := Medians(f)
	if err != nil {
		t.Fatal(err)
	}
	var controls, counted []string
	for _, m := range list {
		if m.N != 20 || m.Better != "lower" {
			t.Errorf("%s: %d samples, better %q", m.Case, m.N, m.Better)
		}
		if m.Control {
			controls = append(controls, m.Case+" "+m.Unit)
		} else {
			counted = append(counted, m.Case)
		}
	}
	want := []string{"Control/what=clock ready-ns", "Control/what=compute ready-ns", nullCase + " " + nullUnit}
	if !slices.Equal(controls, want) || len(counted) != 11 || !slices.Contains(counted, nullCase) {
		t.Errorf("controls %q, want %q; %d others, want 11", controls, want, len(counted))
	}
}

// TestNoiseOfHistory: the noise that a comparison is given holds for rows whose
// files have no A/A run of their own.
func TestNoiseOfHistory(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	base, head := column(t, "base.txt", run{shape: lognormal(0.01)}.text(rng)), column(t, "head.txt", run{shape: lognormal(0.01), medians: cases(map[string]float64{
		"Startup/runtime=r1": 1.1, "Startup/runtime=r2": 1.1})}.text(rng))
	base.Files[0].Noise = []sample.Noise{{Case: "Startup/runtime=r1", Unit: "ready-ns", Ratio: 0.01}}
	given := map[string]float64{"Startup/runtime=r1 ready-ns": 0.2, "Startup/runtime=r2 ready-ns": 0.2}
	c := Compare(base, head, Known(base, head, Options{Noise: given}))
	for name, want := range map[string]Verdict{"Startup/runtime=r1": Slower, "Startup/runtime=r2": Same} {
		i := slices.IndexFunc(c.Rows, func(r Row) bool { return r.Case == name })
		if c.Rows[i].Verdict != want {
			t.Errorf("%s is %q (noise %g), want %q", name, c.Rows[i].Verdict, c.Rows[i].Noise, want)
		}
	}
}
