package inherit_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program/inherit/inherittest"
)

// Large pages are for where a fault is slow, and for a program whose data begins in
// a page of its own. What entry does else does not depend on them.
func TestLarge(t *testing.T) {
	text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	always := strings.Contains(string(text), "[always]")
	has := always || strings.Contains(string(text), "[madvise]") // otherwise it all works without
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const aligned = linked + " -R=0x200000"
	for _, c := range []struct {
		flags string
		slow  int64 // nanoseconds
		large bool
	}{
		{aligned, 0, has},
		{aligned, math.MaxInt64, false},
		{linked, 0, false},
	} {
		bin := filepath.Join(t.TempDir(), "large")
		cmd := exec.Command("go", "build", "-ldflags", c.flags, "-o", bin, "./testdata/large")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if err := inherittest.SlowFrom(bin, c.slow); err != nil {
			t.Fatal(err)
		}
		var s struct {
			Data, Heap bool
			At         int64
			Soft       uint64
			Args       []string
		}
		for range 5 { // the kernel may have none at a moment
			out, err := exec.Command(bin, "run", "x").Output()
			if err != nil {
				t.Fatalf("linked with %q, slow from %d ns: %v", c.flags, c.slow, err)
			}
			if err := json.Unmarshal(out, &s); err != nil {
				t.Fatal(err)
			}
			if s.Data == c.large && s.Heap == c.large {
				break
			}
		}
		if s.Data != c.large || s.Heap != c.large && !(s.Heap && always) {
			t.Errorf("linked with %q, slow from %d ns: data is in a large page: %v; the heap: %v; want %v", c.flags, c.slow, s.Data, s.Heap, c.large)
		}
		if s.At == 0 || s.Soft != limit.Cur || !slices.Equal(s.Args, []string{"run", "x"}) {
			t.Errorf("linked with %q, slow from %d ns: %+v, want a time, a limit of %d and the arguments", c.flags, c.slow, s, limit.Cur)
		}
	}
}
