package cgroup

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// TestBornInside: the child is born in every hierarchy that the limits need and
// in no other, and the thread is back where it was.
func TestBornInside(t *testing.T) {
	h := realHost(t)
	requireController(t, h, &cpu)
	g := create(t, h, Options{Resources: everything(), Always: true})
	l := program.NewLauncher()
	defer l.Close()
	var before, during, after map[string]string
	l.Do(func() { before = groupsOf(t, "thread-self") })
	proc := bornFrom(t, l, g, "/bin/sleep", "1000")
	l.Do(func() { after = groupsOf(t, "thread-self") })
	if !maps.Equal(before, after) {
		t.Errorf("the thread was in %v and is in %v", before, after)
	}
	during = groupsOf(t, strconv.Itoa(proc.Pid()))
	inside := 0
	for c, path := range during {
		first, _, _ := strings.Cut(c, ",")
		if first == "" {
			first = "v2"
		}
		if dir := g.Dir(first); dir != "" {
			inside++
			if !strings.HasSuffix(dir, path) && !strings.HasSuffix(path, "/"+g.name) {
				t.Errorf("%s: the child is in %q, want %q", c, path, dir)
			}
		} else if path != before[c] {
			t.Errorf("%s: the child is in %q and the launcher in %q, without a limit there", c, path, before[c])
		}
	}
	if inside != len(g.parts) {
		t.Errorf("the child is in %d of %d directories: %v", inside, len(g.parts), during)
	}
	if list, err := g.Processes(); err != nil || !slices.Equal(list, []int{proc.Pid()}) {
		t.Errorf("Processes = %v, %v; want %d", list, err, proc.Pid())
	}
	var names []string
	last := int64(0)
	for _, s := range g.Spans() {
		if s.Start < last || s.End < s.Start {
			t.Errorf("step %+v is out of order", s)
		}
		last = s.End
		names = append(names, s.Name)
	}
	for _, want := range []string{"mkdir cpu", "write cpu.cfs_quota_us", "find home", "enter cpu", "leave cpu", "write pids.max"} {
		if h.Mode() == "hybrid" && !slices.Contains(names, want) {
			t.Errorf("there is no step %q in %q", want, names)
		}
	}
}

// TestWithinFails: the error of start is returned as it is and the thread goes
// back; a hierarchy that cannot be entered takes it back from the others.
func TestWithinFails(t *testing.T) {
	h := realHost(t)
	requireController(t, h, &cpu)
	r := everything()
	g := create(t, h, Options{Resources: r})
	l := program.NewLauncher()
	defer l.Close()
	l.Do(func() {
		before := groupsOf(t, "thread-self")
		mine := errors.New("mine")
		if err := g.Within(func() error { return mine }); err != mine {
			t.Errorf("Within = %v", err)
		}
		if after := groupsOf(t, "thread-self"); !maps.Equal(before, after) {
			t.Errorf("the thread was in %v and is in %v", before, after)
		}
		lost := g.parts[len(g.parts)-1]
		if lost.tree.v2 {
			return // the thread enters none
		}
		fd := lost.fd
		lost.fd = -1
		ran := false
		err := g.Within(func() error { ran = true; return nil })
		lost.fd = fd
		if err == nil || ran || !strings.Contains(err.Error(), "enter control group") {
			t.Errorf("Within = %v, and start ran: %v", err, ran)
		}
		if after := groupsOf(t, "thread-self"); !maps.Equal(before, after) {
			t.Errorf("the thread was in %v and is in %v", before, after)
		}
	})
}

// TestStranded: a thread whose old group is gone cannot go back, and the error
// says so.
func TestStranded(t *testing.T) {
	h := realHost(t)
	tree := requireController(t, h, &cpu)
	if tree.v2 {
		return // the thread does not enter it
	}
	r := &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(100))}}
	old := create(t, h, Options{ID: "old", Resources: r})
	g := create(t, h, Options{ID: "new", Resources: r})
	l := program.NewLauncher()
	defer l.Close()
	l.Do(func() {
		if err := writeFile(unix.AT_FDCWD, old.Dir("cpu")+"/tasks", "0"); err != nil {
			t.Fatal(err)
		}
		err := g.Within(func() error { return old.Remove() })
		if !errors.Is(err, ErrStranded) || !strings.Contains(err.Error(), old.name) {
			t.Errorf("Within = %v", err)
		}
		if err := writeFile(unix.AT_FDCWD, tree.mount+"/tasks", "0"); err != nil {
			t.Error(err)
		}
	})
}

// TestAttach: a process that runs is moved, with the late limits.
func TestAttach(t *testing.T) {
	h := realHost(t)
	requireController(t, h, &pids)
	g := create(t, h, Options{Resources: everything(), Always: true})
	cmd := sleeper(t)
	if err := g.Attach(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	for c, path := range groupsOf(t, strconv.Itoa(cmd.Process.Pid)) {
		if first, _, _ := strings.Cut(c, ","); g.Dir(first) != "" && !strings.HasSuffix(path, "/"+g.name) {
			t.Errorf("%s: it is in %q", c, path)
		}
	}
	if got := read(t, g.Dir("pids")+"/pids.max"); got != "8" {
		t.Errorf("pids.max is %q", got)
	}
	if err := g.Attach(1 << 30); !errors.Is(err, unix.ESRCH) || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("Attach of nobody = %v", err)
	}
	if err := g.Attach(0); err == nil {
		t.Error("process 0 was attached")
	}
}

// TestChild: children share their parent's limit.
func TestChild(t *testing.T) {
	h := realHost(t)
	tree := requireController(t, h, &pids)
	parent := create(t, h, Options{Resources: &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(3))}}, Always: true})
	a, err := parent.Child("a", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(100))}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := parent.Child("b", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	if got := read(t, parent.Dir("pids")+"/pids.max"); got != "3" {
		t.Errorf("the parent's pids.max is %q", got)
	}
	usual := "v2" // where groups are frozen, killed and counted
	if h.v2 == nil {
		usual = freezer.name
	}
	if !tree.v2 && (a.Dir("pids") != parent.Dir("pids")+"/a" || b.Dir(usual) != parent.Dir(usual)+"/b") {
		t.Errorf("the children are in %q and %q", a.Dir("pids"), b.Dir(usual))
	}
	for i, g := range []*Group{a, b, a} { // each sleeper is one task of three
		if err := g.Attach(sleeper(t).Process.Pid); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	l := program.NewLauncher()
	defer l.Close()
	l.Do(func() {
		p := program.New(program.Stub, 0)
		p.Add(program.Exit(0))
		err := b.Within(func() error {
			proc, err := program.Start(p)
			if err == nil {
				_, _ = proc.Wait()
				proc.Release()
			}
			return err
		})
		if !tree.v2 && !errors.Is(err, unix.EAGAIN) {
			t.Errorf("a fourth task in the tree: %v; want EAGAIN", err)
		}
	})
	if list, err := parent.Processes(); err != nil || len(list) != 3 {
		t.Errorf("Processes = %v, %v", list, err)
	}
	if _, err := parent.Child("c", &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}}); h.find(&cpuset) != nil && !h.find(&cpuset).v2 && err == nil {
		t.Error("a child has a limit where its parent is not")
	}
	if _, err := parent.Child("../x", nil); err == nil {
		t.Error("a child may leave its parent")
	}
}

// TestFD: on version 2 the child is born there without any thread moving.
func TestFD(t *testing.T) {
	h := realHost(t)
	requireV2(t, h.v2 != nil, "cgroup2 is not mounted")
	g := create(t, h, Options{Always: true})
	if g.FD() <= 0 || (h.Mode() == "hybrid" && len(g.parts) != 1) {
		t.Fatalf("FD = %d, %d directories", g.FD(), len(g.parts))
	}
	proc := born(t, g, "/bin/sleep", "1000")
	if got := groupsOf(t, strconv.Itoa(proc.Pid()))[""]; !strings.HasSuffix(got, "/"+g.name) {
		t.Errorf("it was born in %q", got)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if status, err := proc.Wait(); err != nil || status.Signal != syscall.SIGKILL {
		t.Errorf("it ended with %v, %v", status, err)
	}
	s, err := g.Stats()
	if err != nil || s.CPU == nil || s.CPU.UsageNS == 0 {
		t.Errorf("Stats = %+v, %v", s.CPU, err)
	}
}

// TestManyAtOnce: groups and launchers do not get into each other's way.
func TestManyAtOnce(t *testing.T) {
	h := realHost(t)
	requireController(t, h, &pids)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			p, err := h.Plan(Options{ID: "many" + strconv.Itoa(i), Resources: everything(), Always: true})
			if err != nil {
				t.Error(err)
				return
			}
			g, err := p.Create()
			if err != nil {
				t.Error(err)
				return
			}
			l := program.NewLauncher()
			defer l.Close()
			for range 3 {
				prog := program.New(program.Stub, 0)
				prog.Cgroup = g.FD()
				prog.Add(program.Exit(7))
				l.Do(func() {
					err = g.Within(func() error {
						proc, err := program.Start(prog)
						if err != nil {
							return err
						}
						defer proc.Release()
						if status, err := proc.Wait(); err != nil || status.Code != 7 {
							t.Errorf("%d: %v, %v", i, status, err)
						}
						return nil
					})
				})
				if err != nil {
					t.Error(err)
				}
			}
			if err := g.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestDescriptors: a group's life leaves no descriptor open.
func TestDescriptors(t *testing.T) {
	h := realHost(t)
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	l := program.NewLauncher()
	defer l.Close()
	cycle := func() {
		p, err := h.Plan(Options{ID: "fds", Resources: everything(), Always: true})
		if err != nil {
			t.Fatal(err)
		}
		g, err := p.Create()
		if err != nil {
			t.Fatal(err)
		}
		l.Do(func() {
			if err := g.Within(func() error { return nil }); err != nil {
				t.Error(err)
			}
		})
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
		if err := g.Remove(); err != nil {
			t.Errorf("removing again: %v", err)
		}
	}
	cycle()
	before := count()
	for range 5 {
		cycle()
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}
