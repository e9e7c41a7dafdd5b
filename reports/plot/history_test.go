package plot

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"isoperf/bench/sample"
	"isoperf/reports/history"
)

// madeHistory is 48 runs of three cases: one that is slower since a commit, one
// that became faster and has strays, and one that does not change.
func madeHistory(t *testing.T) history.History {
	t.Helper()
	rng := rand.New(rand.NewPCG(8, 1))
	var runs []history.Run
	for i := range 48 {
		text := "goos: linux\nkernel: 6.18\n"
		for _, name := range []string{"Clone/flag=net", "Clone/flag=mnt", "Clone/flag=pid"} {
			level := 6e5
			switch {
			case name == "Clone/flag=net" && i >= 31:
				level *= 1.05
			case name == "Clone/flag=net" && i < 12:
				level *= 0.93
			case name == "Clone/flag=mnt" && i >= 20:
				level *= 0.9
			}
			if name == "Clone/flag=mnt" && i%17 == 5 {
				level *= 2
			}
			level *= math.Exp(0.01 * rng.NormFloat64())
			for range 9 {
				text += fmt.Sprintf("Benchmark%s 1 %.0f clone-ns\n", name, level*math.Exp(0.02*rng.NormFloat64()))
			}
		}
		f, err := sample.Read("x.txt", strings.NewReader(text+"# end {\"why\":\"done\"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, history.Run{Name: "x.txt", Commit: fmt.Sprintf("%012x", 0x3f2a91c0b1d2+i*0x1234567), Time: time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC), File: f})
	}
	return history.Of(runs, history.Options{})
}

func TestHistoryFigures(t *testing.T) {
	h := madeHistory(t)
	figures, err := History(h, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"history-clone-flag-net", "history-clone-flag-mnt", "history-clone-flag-pid"}
	if got := names(figures); !slices.Equal(got, want) {
		t.Fatalf("figures %q, want %q", got, want)
	}
	for i, says := range [][]string{
		{"Now it is slower.", "At " + h.Runs[12].Commit + " +", "At " + h.Runs[31].Commit + " +4.8 %"},
		{"Now it is faster.", "At " + h.Runs[20].Commit + " -"},
		{"Nothing changed that could be seen."},
	} {
		f := figures[i]
		for _, text := range says {
			if !strings.Contains(f.Alt, text) {
				t.Errorf("%s: %q lacks %q", f.Name, f.Alt, text)
			}
		}
		drawn := svg(t, f)
		for _, c := range h.Ordered()[i].Changes {
			if !strings.Contains(drawn, c.Commit+" "+history.Signed(c.Ratio)) {
				t.Errorf("%s does not name %s", f.Name, c.Commit)
			}
		}
		var b bytes.Buffer
		if err := f.PNG(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(&b); err != nil {
			t.Fatal(err)
		}
	}
	if few, err := History(h, 1); err != nil || len(few) != 1 {
		t.Errorf("%d figures, %v; one was asked for", len(few), err)
	}
}
