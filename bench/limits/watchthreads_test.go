package limits

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestParseSchedstat(t *testing.T) {
	for text, want := range map[string]schedstat{"115972 9428 2\n": {115972, 9428}, "1 2": {1, 2}} {
		if got, ok := parseSchedstat(text); !ok || got != want {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "12", "x y z", "0 0"} {
		if _, ok := parseSchedstat(text); ok != (text == "0 0") {
			t.Errorf("%q: ok %v", text, ok)
		}
	}
}

// Only what was between two looks counts, a number that another thread has been
// given begins anew, and a short life is no worst one.
func TestThreadShares(t *testing.T) {
	w := &threadWatch{threads: map[int]*threadSeen{}}
	const s = int64(1e9)
	for _, n := range []struct {
		tid         int
		ran, waited int64
		at          int64
	}{
		{1, 50 * s, 70 * s, 0}, {1, 51 * s, 73 * s, 4 * s}, // 1 and 3 of 4
		{2, 9 * s, 9 * s, 0}, {2, 0, 0, 2 * s}, {2, 1 * s, 0, 4 * s}, // another one: 1 and 0 of 2
		{3, 0, 0, 3 * s}, {3, 0, s, 4 * s}, // waits all its short life
		{4, 5 * s, 5 * s, 4 * s}, // once only
	} {
		w.note(n.tid, schedstat{n.ran, n.waited}, n.at)
	}
	got := map[string]float64{}
	for _, v := range w.values(4 * s) {
		got[v.Unit] = v.Value
	}
	want := map[string]float64{"thread-count": 3, "thread-run-ns": 2e9, "thread-wait-ns": 4e9, "wait-ratio": 4.0 / 6, "worst-wait-ratio": 0.75}
	if !maps.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
		t.Errorf("%v, want %v", got, want)
	}
	if list := (&threadWatch{threads: map[int]*threadSeen{}}).values(s); list != nil {
		t.Errorf("of no thread: %v", list)
	}
}

// The threads of a group and of those below are read; what cannot be is told.
func TestThreadLook(t *testing.T) {
	dir := t.TempDir()
	own := []byte(strconv.Itoa(os.Getpid()) + "\n")
	for _, group := range []string{dir, filepath.Join(dir, "below")} {
		if err := os.MkdirAll(group, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "below", "tasks"), own, 0o644); err != nil {
		t.Fatal(err)
	}
	w := &threadWatch{dir: dir, threads: map[int]*threadSeen{}}
	for at := range int64(2) {
		if err := w.look(at); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.threads) != 1 || w.threads[os.Getpid()] == nil || w.threads[os.Getpid()].seen != 1 || w.why() != "" {
		t.Errorf("%+v, %q", w.threads, w.why())
	}
	gone := &threadWatch{dir: filepath.Join(dir, "gone"), threads: map[int]*threadSeen{}, hidden: 1}
	if err := gone.look(0); err != nil || gone.why() != "" {
		t.Errorf("a group that is gone: %v, %q", err, gone.why())
	}
	if gone.hidden = 1; gone.why() == "" {
		t.Error("it does not say why")
	}
}
