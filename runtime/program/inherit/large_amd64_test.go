package inherit_test

import (
	"debug/elf"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Large pages are for where a fault is slow, and for a program whose data begins in
// a page of its own. What entry does else does not depend on them.
func TestLarge(t *testing.T) {
	text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil {
		t.Fatalf("the kernel has no large pages: %v", err)
	}
	always := strings.Contains(string(text), "[always]")
	if !always && !strings.Contains(string(text), "[madvise]") {
		t.Fatalf("large pages are switched off here: %s", text)
	}
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
		{aligned, 0, true},
		{aligned, math.MaxInt64, false},
		{linked, 0, false},
	} {
		bin := filepath.Join(t.TempDir(), "large")
		cmd := exec.Command("go", "build", "-ldflags", c.flags, "-o", bin, "./testdata/large")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		patch(t, bin, "isoperf/runtime/program/inherit.slow", c.slow)
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

// patch gives a variable of a binary another value.
func patch(t *testing.T, bin, name string, value int64) {
	t.Helper()
	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == name })
	if at < 0 {
		t.Fatalf("%s has no symbol %q", bin, name)
	}
	s := symbols[at]
	section := f.Sections[s.Section]
	w, err := os.OpenFile(bin, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.WriteAt((*[8]byte)(unsafe.Pointer(&value))[:], int64(section.Offset+s.Value-section.Addr)); err != nil {
		t.Fatal(err)
	}
}
