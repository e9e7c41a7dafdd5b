package mount

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// Every case opens, gives its units in order, op-ns the last, and leaves
// nothing.
func TestCases(t *testing.T) {
	nothingLeft(t)
	small := harness.Extent{Burst: 3, Paced: 3, Wide: true}
	var cases []harness.Case
	for _, f := range []func(harness.Extent) []harness.Case{Cases, Pivots, Tables, Namespaces, Peers, Mounters} {
		cases = append(cases, f(small)...)
	}
	for _, c := range cases {
		if strings.HasSuffix(c.Name, "000") || strings.Contains(c.Name, "=500") {
			continue // the same, only slower
		}
		t.Run(c.Name, func(t *testing.T) {
			if refused(c.Name) {
				var not harness.NotMeasured
				if _, err := c.Open(); !errors.As(err, &not) || !strings.Contains(not.Why, "EPERM") {
					t.Errorf("%v", err)
				}
				return
			}
			s := opened(t, c)
			n := 0
			s.Sample(2, func(v []sample.Value, err error) {
				n++
				if err != nil {
					t.Error(err)
					return
				}
				sum := 0.0
				for _, v := range v {
					if v.Value <= 0 {
						t.Errorf("%v", v)
					}
					sum += v.Value
				}
				if last := v[len(v)-1]; last.Unit != "op-ns" {
					t.Errorf("the last unit is %s", last.Unit)
				}
			})
			if err := s.Close(); err != nil || n < 2 {
				t.Errorf("%d samples, close: %v", n, err)
			}
		})
	}
}

// refused says what the kernel refuses in a user namespace: sysfs of a network
// namespace that is not its own.
func refused(name string) bool {
	return inUserNamespace() && strings.Contains(name, "op=sysfs-host-net")
}

// all are the acts of both families.
func all() []act { return append(acts(), methods()...) }

// An act whose calls do nothing is a failure, never a sample.
func TestChecksFail(t *testing.T) {
	nothingLeft(t)
	for _, a := range all() {
		if a.name == "op=none" {
			continue
		}
		t.Run(a.name, func(t *testing.T) {
			g, err := newStage(usual, a.scene)
			if err != nil {
				t.Fatal(err)
			}
			defer g.close()
			idle := a
			idle.build = func(p *plan) {
				a.build(p)
				whole := p.spans[len(p.spans)-1]
				for i := whole.from + 1; i <= whole.to; i++ {
					p.Ops()[i] = program.Null()
				}
			}
			_, img, err := load(idle)
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			g.Do(func() { _, err = img.Cycle() })
			if err == nil {
				t.Error("nothing was done, and nobody saw it")
			}
		})
	}
}

// mountsOf runs an act up to its end and reads the child's mounts from outside:
// "point type options", in order.
func mountsOf(t *testing.T, a act) []string {
	t.Helper()
	g, err := newStage(usual, a.scene)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	p := &plan{Program: program.New(program.Stub, unix.CLONE_NEWNS|a.flags)}
	a.build(p)
	told := p.Tell("done")
	gate := p.Wait("looked at")
	p.Add(program.Exit(0))
	var list []string
	proc, err := g.Start(p.Program)
	if err == nil {
		if err = proc.Await(told); err == nil {
			list, err = mountinfo(fmt.Sprintf("/proc/%d/mountinfo", proc.Pid()))
		}
		proc.Open(gate)
		if _, werr := proc.Wait(); err == nil {
			err = werr
		}
		proc.Release()
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// mountinfo is the file that lists the stage's mounts; the stage has no /proc.
func (g *stage) mountinfo() string {
	thread := 0
	g.Do(func() { thread = unix.Gettid() })
	return fmt.Sprintf("/proc/self/task/%d/mountinfo", thread)
}

func mountinfo(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	var list []string
	for line := range strings.Lines(string(text)) {
		left, right, _ := strings.Cut(line, " - ")
		l := strings.Fields(left)
		list = append(list, strings.Join(append([]string{l[4], strings.Fields(right)[0], l[5]}, l[6:]...), " "))
	}
	return list, err
}

// What each call did, as the kernel lists it.
func TestMountinfo(t *testing.T) {
	nothingLeft(t)
	for name, want := range map[string]string{
		"op=make-rprivate":            "/mnt", // a space behind it would be "shared:"
		"op=rbind":                    "/dst/7 tmpfs rw,relatime",
		"op=ro-remount":               "/dst tmpfs ro,relatime",
		"op=ro-setattr":               "/dst tmpfs ro,relatime",
		"op=tmpfs":                    "/dst tmpfs rw,relatime",
		"op=proc":                     "/dst proc rw,relatime",
		"op=sysfs":                    "/dst sysfs rw,relatime",
		"op=sysfs-host-net":           "/dst sysfs rw,relatime",
		"op=devpts":                   "/dst devpts rw,relatime",
		"op=mqueue":                   "/dst mqueue rw,relatime",
		"op=overlay/lower=1":          "/dst overlay rw,relatime",
		"op=overlay/lower=20":         "/dst overlay rw,relatime",
		"op=move":                     "/dst tmpfs rw,relatime",
		"op=open-tree-move":           "/dst tmpfs rw,relatime",
		"op=fsmount-tmpfs":            "/dst tmpfs rw,relatime",
		"op=fsmount-proc":             "/dst proc rw,relatime",
		"op=umount":                   "",
		"op=umount-lazy":              "",
		"method=pivot_root":           "/ tmpfs rw,relatime",
		"method=chroot":               "/ tmpfs rw,relatime",
		"op=bind/propagation=private": "/dst tmpfs rw,relatime",
	} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(all(), func(a act) bool { return a.name == name })
			if i < 0 {
				t.Fatal("there is no such act")
			}
			if refused(name) {
				return // see TestCases
			}
			list := mountsOf(t, all()[i])
			switch {
			case name == "op=make-rprivate":
				if joined := strings.Join(list, "\n"); strings.Contains(joined, "shared:") {
					t.Errorf("shared mounts are left:\n%s", joined)
				}
			case want == "":
				if slices.ContainsFunc(list, func(m string) bool { return strings.HasPrefix(m, target+" ") }) {
					t.Errorf("still mounted: %q", list)
				}
			case !slices.Contains(list, want):
				t.Errorf("no %q in %q", want, list)
			}
			if name == "method=pivot_root" && len(list) != 1 {
				t.Errorf("the old root's mounts are left: %q", list)
			}
		})
	}
}

// A stage has the mounts that it says, and binds that propagated to it and to
// the namespaces beside it are taken back.
func TestStage(t *testing.T) {
	nothingLeft(t)
	for _, n := range []int{10, 20, 100} {
		g, err := newStage(n, scene{peers: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.hold(3); err != nil {
			t.Fatal(err)
		}
		a := act{build: bindShared}
		_, img, err := load(a)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			g.Do(func() { _, err = img.Cycle() })
			if err != nil {
				t.Error(err)
			}
		}
		list, err := mountinfo(g.mountinfo())
		if err != nil || len(list) != n || len(g.held) != 3 {
			t.Errorf("%d mounts, not %d: %q, %v", len(list), n, list, err)
		}
		img.Close()
		if err := g.close(); err != nil {
			t.Error(err)
		}
	}
}

// A bind below a shared mount reaches the peers.
func TestPropagates(t *testing.T) {
	g, err := newStage(usual, scene{peers: true})
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	_, img, err := load(act{build: func(p *plan) { bindOn(p, mounted+target) }})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	g.Do(func() { _, err = img.Cycle() })
	if err != nil {
		t.Fatal(err)
	}
	list, err := mountinfo(g.mountinfo())
	if err != nil || len(list) != usual+1 || !strings.HasPrefix(list[len(list)-1], mounted+target+" ") {
		t.Errorf("the stage has %q, %v", list, err)
	}
}
