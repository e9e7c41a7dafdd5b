package attach

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
)

// helperEnv makes the test binary open a case, say which process it moves, and
// wait to be killed.
const helperEnv = "ISOPERF_TEST_ATTACH"

func TestMain(m *testing.M) {
	if hierarchy := os.Getenv(helperEnv); hierarchy != "" {
		s, err := openWrite(hierarchy, "cgroup.procs", false, 0)
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(strings.Join(s.(*sampler).place.dirs, " "))
		select {}
	}
	os.Exit(m.Run())
}

// here says whether this process can make groups of a hierarchy.
func here(name string) bool {
	h, err := cgroup.Detect()
	if err != nil || os.Geteuid() != 0 {
		return false
	}
	_, err = h.Alone(name, "test")
	return err == nil
}

// mustBeHere skips the test; where everything must run, that is a failure.
func mustBeHere(t *testing.T, name string) {
	t.Helper()
	switch why := "groups of " + name + " take root and a mounted hierarchy"; {
	case here(name):
	case os.Getenv("ISOPERF_MUST_RUN") == "1":
		t.Fatalf("must run, but: %s", why)
	default:
		t.Skip(why)
	}
}

// refused checks that a case is not measured, with a reason.
func refused(t *testing.T, err error) {
	t.Helper()
	var not harness.NotMeasured
	if !errors.As(err, &not) || not.Why == "" {
		t.Errorf("%v", err)
	}
}

// groups are all of the attach cases', whoever made them.
func groups(t *testing.T) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if d != nil && d.IsDir() && strings.HasPrefix(d.Name(), "isoperf-") && strings.Contains(d.Name(), fmt.Sprintf("-%d-", os.Getpid())) {
			list = append(list, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Every case opens, gives its units, op-ns the last, and leaves no group and no
// process. Without the hierarchy, or the rights, it is not measured.
func TestCases(t *testing.T) {
	for _, c := range Cases(harness.Extent{Paced: 6}) {
		t.Run(c.Name, func(t *testing.T) {
			if strings.HasSuffix(c.Name, "00ms") && !strings.Contains(c.Name, "=cpu/gap=200ms") {
				return // the same, only slower
			}
			hierarchy := strings.TrimPrefix(strings.Split(c.Name, "/")[2], "hierarchy=")
			s, err := c.Open()
			if hierarchy != none && !here(hierarchy) {
				refused(t, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(groups(t)) == 0 && !strings.Contains(c.Name, none) {
				t.Error("there is no group")
			}
			n := 0
			s.Sample(2, func(v []sample.Value, err error) {
				if n++; err != nil {
					t.Error(err)
					return
				}
				for _, v := range v {
					if v.Value <= 0 {
						t.Errorf("%v", v)
					}
				}
				if v[len(v)-1].Unit != "op-ns" {
					t.Errorf("the last unit is not op-ns: %v", v)
				}
			})
			if err := s.Close(); err != nil || n != 2 {
				t.Errorf("%d samples, close: %v", n, err)
			}
			if list := groups(t); len(list) > 0 {
				t.Errorf("left: %q", list)
			}
			if text, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(os.Getpid()) + "/children"); err == nil && len(text) > 0 {
				t.Errorf("children left: %q", text)
			}
		})
	}
}

// A child that is not where it should be is an error.
func TestElsewhere(t *testing.T) {
	mustBeHere(t, "v2")
	s, err := openBorn("v2", 0)
	if err != nil {
		t.Fatal(err)
	}
	s.(*sampler).place.dirs[0] = "/sys/fs/cgroup/another"
	s.Sample(1, func(_ []sample.Value, err error) {
		if err == nil || !strings.Contains(err.Error(), "not in") {
			t.Errorf("%v", err)
		}
	})
	if err := s.Close(); err != nil { // its groups have the same names
		t.Fatal(err)
	}
	w, err := openWrite("v2", "cgroup.procs", false, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	dirs := w.(*sampler).place.dirs
	dirs[1] = dirs[0]
	w.Sample(1, func(_ []sample.Value, err error) {
		if err == nil || !strings.Contains(err.Error(), "is not in") {
			t.Errorf("%v", err)
		}
	})
}

// What a killed measurement leaves goes with the next one: at once the process
// that it moved, then the groups.
func TestKilled(t *testing.T) {
	mustBeHere(t, "v2")
	for _, hierarchy := range []string{"v2", "pids"} {
		if !here(hierarchy) {
			continue // a machine without version 1
		}
		t.Run(hierarchy, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), helperEnv+"="+hierarchy)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, rerr := bufio.NewReader(out).ReadString('\n')
			kerr := cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
			if rerr != nil || kerr != nil || strings.HasPrefix(line, "error") {
				t.Fatal(line, rerr, kerr)
			}
			dirs := strings.Fields(line)
			for range 500 {
				if text, err := os.ReadFile(dirs[1] + "/cgroup.procs"); err == nil && len(text) == 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if text, err := os.ReadFile(dirs[1] + "/cgroup.procs"); err != nil || len(text) > 0 {
				t.Errorf("after 5 s %q is still in %q, %v", text, dirs[1], err)
			}
			s, err := openBorn(hierarchy, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			for _, dir := range dirs {
				if err := unix.Access(dir, unix.F_OK); err != unix.ENOENT {
					t.Errorf("%q was not swept: %v", dir, err)
				}
			}
		})
	}
}

// What cannot be is not measured, and the reason is said.
func TestNoHierarchy(t *testing.T) {
	_, err := openWrite("weather", "cgroup.procs", false, 0)
	refused(t, err)
	if os.Geteuid() != 0 {
		_, err = openWrite("v2", "cgroup.procs", false, 0)
		refused(t, err)
		if !strings.Contains(err.Error(), "run as root") {
			t.Errorf("%v", err)
		}
	}
}
