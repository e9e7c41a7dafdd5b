package startup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// built has the programs as they are installed.
var built string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if path := os.Getenv(asOrdinary); path != "" {
		if err := ordinaryUser(os.Args[1], path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	var err error
	if built, err = os.MkdirTemp("", "isoperf-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(built)
	if err := os.Chmod(built, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for name, flags := range map[string]string{"isoperf": "-s", "isorun": "-s -R 0x200000 -E isoperf/runtime/program/inherit.entry"} {
		cmd := exec.Command("go", "build", "-ldflags", flags, "-o", filepath.Join(built, name), "isoperf/cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", name, err, out)
			return 1
		}
	}
	return m.Run()
}

// bench is one with our own programs. At its end nothing is left: no child, no
// scratch directory, no control group.
func bench(t *testing.T, c Config) *Bench {
	t.Helper()
	before, err := children()
	if err != nil {
		t.Fatal(err)
	}
	c.Self = filepath.Join(built, "isoperf")
	b := New(c)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(os.DevNull); err != nil || info.Sys().(*syscall.Stat_t).Uid != nullOwner {
			t.Errorf("the owner of %s is another: %v", os.DevNull, err)
		}
		after, err := children()
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range after {
			if !slices.Contains(before, pid) {
				t.Errorf("process %d, %s, is left", pid, commandOf(pid))
			}
		}
		for _, pattern := range []string{filepath.Join(os.TempDir(), prefix+fmt.Sprint(os.Getpid())+"-*"), fmt.Sprintf("/sys/fs/cgroup/*/*isoperf-%d-*", os.Getpid())} {
			left, err := filepath.Glob(pattern)
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		}
	})
	return b
}

// children are those of every thread of this process.
func children() ([]int, error) {
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return nil, err
		}
		for _, word := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				return nil, err
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// nullOwner is that of /dev/null, which a runtime must not change.
var nullOwner = func() uint32 {
	info, err := os.Stat(os.DevNull)
	if err != nil {
		panic(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}()

// seen collects what payloads saw.
func seen(c *Config) map[string]sample.Observed {
	m := map[string]sample.Observed{}
	c.Observe = func(o sample.Observed) error { m[o.Case] = o; return nil }
	return m
}

// samples opens a case and takes some.
func samples(t *testing.T, cases []harness.Case, name string, n int) []map[string]float64 {
	t.Helper()
	i := slices.IndexFunc(cases, func(c harness.Case) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no case %s", name)
	}
	s, err := cases[i].Open()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var list []map[string]float64
	s.Sample(n, func(values []sample.Value, err error) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		m := map[string]float64{}
		for _, v := range values {
			m[v.Unit] = v.Value
		}
		list = append(list, m)
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if len(list) != n {
		t.Fatalf("%s: %d samples, want %d", name, len(list), n)
	}
	return list
}

// few is an extent for tests.
var few = harness.Extent{Burst: 3, Paced: 3, Wide: true}

// asRoot says whether this process may do what root may.
func asRoot() bool {
	return os.Geteuid() == 0 && unix.Access("/proc/sys/vm/drop_caches", unix.W_OK) == nil
}
