package cgroup

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"isoperf/runtime/program"
)

func rule(allow bool, kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	r := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access}
	if major >= 0 {
		r.Major = &major
	}
	if minor >= 0 {
		r.Minor = &minor
	}
	return r
}

// TestDeviceRulesV1: what the rules come to in version 1's terms.
func TestDeviceRulesV1(t *testing.T) {
	const usual = "allow c *:* m, allow b *:* m, allow c 1:3 rw, allow c 1:5 rw, allow c 1:7 rw, allow c 1:8 rw, allow c 1:9 rw, allow c 5:0 rw, allow c 5:1 rw, allow c 5:2 rw, allow c 136:* rw"
	for name, c := range map[string]struct {
		rules []specs.LinuxDeviceCgroup
		want  string
	}{
		"nothing allowed": {[]specs.LinuxDeviceCgroup{rule(false, "", -1, -1, "rwm")}, "deny a, " + usual},
		"all allowed":     {[]specs.LinuxDeviceCgroup{rule(false, "a", -1, -1, "rwm"), rule(true, "a", -1, -1, "rwm")}, "allow a"},
		"one more": {[]specs.LinuxDeviceCgroup{rule(false, "a", -1, -1, "rwm"), rule(true, "c", 10, 229, "rw")},
			"deny a, allow c 10:229 rw, " + usual},
		"taken back": {[]specs.LinuxDeviceCgroup{rule(true, "c", 10, 229, "rw"), rule(false, "c", 10, 229, "w"), rule(true, "b", 8, -1, "r"), rule(false, "b", 8, -1, "rwm")},
			"deny a, allow c 10:229 r, " + usual},
		"all but one":   {[]specs.LinuxDeviceCgroup{rule(true, "a", -1, -1, "rwm"), rule(false, "b", 8, 0, "rw")}, "allow a, deny b 8:0 rw"},
		"both kinds":    {[]specs.LinuxDeviceCgroup{rule(true, "a", 9, 9, "r")}, "deny a, allow b 9:9 r, allow c 9:9 r, " + usual},
		"a part":        {[]specs.LinuxDeviceCgroup{rule(true, "c", 10, -1, "rw"), rule(false, "c", 10, 5, "r")}, `! devices[1]: "c 10:5 r" takes back a part of an earlier rule, "c 10:* rw"`},
		"another part":  {[]specs.LinuxDeviceCgroup{rule(true, "a", -1, -1, ""), rule(false, "b", 8, -1, "rw"), rule(true, "b", 8, 1, "r")}, "! devices[2]"},
		"no type":       {[]specs.LinuxDeviceCgroup{rule(true, "x", 1, 1, "r")}, `! devices[0].type: "x"`},
		"a pipe":        {[]specs.LinuxDeviceCgroup{rule(true, "p", 1, 1, "r")}, `! devices[0].type: "p"`},
		"no access":     {[]specs.LinuxDeviceCgroup{rule(true, "c", 1, 1, "x")}, `! devices[0].access: "x"`},
		"empty access":  {[]specs.LinuxDeviceCgroup{rule(true, "c", 1, 1, "")}, `! devices[0].access: it is empty`},
		"number":        {[]specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Major: ptr(int64(-2)), Access: "r"}}, `! devices[0].major: -2`},
		"large":         {[]specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Minor: ptr(int64(1) << 40), Access: "r"}}, `! devices[0].minor`},
		"minus one":     {[]specs.LinuxDeviceCgroup{{Allow: true, Type: "b", Major: ptr(int64(-1)), Minor: ptr(int64(-1)), Access: "r"}}, "deny a, allow b *:* mr, " + strings.Replace(usual, "allow b *:* m, ", "", 1)},
		"wider follows": {[]specs.LinuxDeviceCgroup{rule(true, "c", 10, 5, "r"), rule(true, "c", 10, -1, "rw")}, "deny a, allow c 10:* rw, " + usual},
	} {
		var w writes
		var words []string
		err := devicesV1(&specs.LinuxResources{Devices: c.rules}, &w)
		for _, x := range w.list {
			words = append(words, strings.TrimPrefix(x.file, "devices.")+" "+x.data)
		}
		got := strings.Join(words, ", ")
		if err != nil {
			got = "! " + strings.TrimPrefix(err.Error(), "limit resources: ")
		}
		if got != c.want && !(strings.HasPrefix(c.want, "! ") && strings.HasPrefix(got, c.want)) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// interpret runs a program of the few instructions that the filter uses.
func interpret(t *testing.T, code []instruction, access, kind, major, minor uint32) uint32 {
	var r [11]uint32
	field := map[int16]uint32{0: access<<16 | kind, 4: major, 8: minor}
	for pc := 0; pc < len(code); pc++ {
		i := code[pc]
		dst, src := i.regs&15, i.regs>>4
		switch i.code {
		case 0x61:
			r[dst] = field[i.off]
		case 0x54:
			r[dst] &= uint32(i.imm)
		case 0x74:
			r[dst] >>= uint32(i.imm)
		case 0xb4:
			r[dst] = uint32(i.imm)
		case 0xbc:
			r[dst] = r[src]
		case 0x56:
			if r[dst] != uint32(i.imm) {
				pc += int(i.off)
			}
		case 0x46:
			if r[dst]&uint32(i.imm) != 0 {
				pc += int(i.off)
			}
		case 0x05:
			pc += int(i.off)
		case 0x95:
			return r[0]
		default:
			t.Fatalf("unknown instruction %#x", i.code)
		}
	}
	t.Fatal("the program ran off its end")
	return 0
}

// TestDeviceProgram: for random rules and accesses the program decides as the
// words do: for each kind of access, the last rule that speaks of it; and as
// version 1's exceptions would, where those can say it.
func TestDeviceProgram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	one := func(n int) int64 { return int64(random.IntN(n+1)) - 1 }
	answers, sets := map[uint32]int{}, 0
	for range 2000 {
		rules := make([]deviceRule, 1+random.IntN(6))
		for i := range rules {
			rules[i] = deviceRule{random.IntN(2) == 0, "abc"[random.IntN(3)], one(3), one(3), uint8(1 + random.IntN(7))}
		}
		set, expressible := deviceSet{}, true
		for _, r := range rules {
			expressible = expressible && set.add(r) == nil
		}
		set.exceptions = set.pruned()
		code := deviceProgram(rules)
		for range 20 {
			kind, major, minor := uint32(1+random.IntN(2)), uint32(random.IntN(3)), uint32(random.IntN(3))
			access := []uint32{1, 2, 4, 6}[random.IntN(4)]
			device := deviceRule{kind: " bc"[kind], major: int64(major), minor: int64(minor)}
			want := uint32(1)
			for bit := uint32(1); bit < 8; bit <<= 1 {
				allowed := false
				for _, r := range rules {
					if r.covers(device) && uint32(r.access)&bit != 0 {
						allowed = r.allow
					}
				}
				if access&bit != 0 && !allowed {
					want = 0
				}
			}
			got := interpret(t, code, access, kind, major, minor)
			answers[got]++
			if got != want {
				t.Fatalf("%v: access %d to %v: %d, want %d", rules, access, device, got, want)
			}
			// Version 1 wants reading and writing in one exception.
			if v1 := set.decide(device, uint8(access)); expressible && access != 6 {
				sets++
				if v1 != (want == 1) {
					t.Fatalf("%v: access %d to %v: version 1's %+v says %v, want %d", rules, access, device, set, v1, want)
				}
			}
		}
	}
	if answers[0] < 1000 || answers[1] < 1000 || sets < 1000 {
		t.Errorf("the cases are lopsided: %v, %d", answers, sets)
	}
}

// decide is what the kernel does with exceptions (security/device_cgroup.c).
func (s *deviceSet) decide(device deviceRule, access uint8) bool {
	for _, e := range s.exceptions {
		if e.covers(device) && ((s.allowed && e.access&access != 0) || (!s.allowed && access&^e.access == 0)) {
			return !s.allowed
		}
	}
	return s.allowed
}

// TestDeviceProgramReal: the kernel takes the program, and it bites.
func TestDeviceProgramReal(t *testing.T) {
	h := realHost(t)
	requireV2(t, h.v2 != nil, "cgroup2 is not mounted")
	h = &Host{v2: h.v2}
	g := create(t, h, Options{Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{rule(false, "", -1, -1, "rwm")}}})
	node := filepath.Join(t.TempDir(), "node")
	for script, want := range map[string]int{
		"echo > /dev/null && head -c1 /dev/zero > /dev/null":             0,
		"exec 2> /dev/null; exec 3< /dev/kmsg":                           2,
		"exec 2> /dev/null; mknod " + node + " c 1 11 && exec 3<" + node: 2,
	} {
		status, err := born(t, g, "/bin/sh", "-c", script).Wait()
		if err != nil || status.Code != want {
			t.Errorf("%s: %v, %v; want exit status %d", script, status, err, want)
		}
	}
	// An update takes the program's place, rather than stand beside it.
	for range 2 {
		err := g.Update(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{rule(true, "c", 1, 11, "r")}})
		if err != nil {
			t.Fatal(err)
		}
	}
	kmsg := func(want int) {
		t.Helper()
		if status, err := born(t, g, "/bin/sh", "-c", "exec 2> /dev/null; exec 3< /dev/kmsg").Wait(); err != nil || status.Code != want {
			t.Errorf("/dev/kmsg: %v, %v; want exit status %d", status, err, want)
		}
	}
	kmsg(0)
	// So does one of a later process, in both directions.
	for _, want := range []int{2, 0} {
		again, err := Open(h, g.State())
		if err != nil {
			t.Fatal(err)
		}
		err = again.Update(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{rule(want == 0, "c", 1, 11, "r")}})
		again.Close()
		if err != nil && want == 2 {
			t.Fatal(err)
		} else if err != nil {
			t.Fatal("loosening: ", err)
		}
		kmsg(want)
	}
}

// TestHugetlbV2 has the one controller that hybrid machines often leave to
// version 2: it is enabled on the way down, and its limit reads back.
func TestHugetlbV2(t *testing.T) {
	h := realHost(t)
	tree := h.find(&hugetlb)
	requireV2(t, tree != nil && tree.v2, "the hugetlb controller is not version 2's")
	sizes, _ := filepath.Glob("/sys/kernel/mm/hugepages/hugepages-2048kB")
	require(t, len(sizes) > 0, "there are no huge pages of 2 MB")
	restoreControllers(t, h)
	g := create(t, h, Options{Path: testPath("huge") + "/a", Resources: &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}}})
	for _, file := range []string{"hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"} {
		if got := read(t, g.Dir("hugetlb")+"/"+file); got != "4194304" {
			t.Errorf("%s is %s", file, got)
		}
	}
	if got := read(t, filepath.Dir(g.Dir("hugetlb"))+"/cgroup.subtree_control"); got != "hugetlb" {
		t.Errorf("the group above gives %q", got)
	}
	// Nothing may run in a group whose children have controllers.
	child, err := g.Child("below", &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 2 << 20}}})
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	if err := g.Attach(sleeper(t).Process.Pid); err == nil || !strings.Contains(err.Error(), "children have controllers") {
		t.Errorf("Attach beside a child with controllers = %v", err)
	}
	l := program.NewLauncher()
	defer l.Close()
	proc := bornFrom(t, l, child, "/bin/sleep", "1000")
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if status, err := proc.Wait(); err != nil || status.Signal != syscall.SIGKILL {
		t.Errorf("%v, %v", status, err)
	}
	if err := child.Remove(); err != nil {
		t.Error(err)
	}
	// And the other way round.
	busy := create(t, h, Options{ID: "busy", Resources: &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}}})
	if err := busy.Attach(sleeper(t).Process.Pid); err != nil {
		t.Fatal(err)
	}
	_, err = busy.Child("below", &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 2 << 20}}})
	if err == nil || !strings.Contains(err.Error(), "has processes itself") {
		t.Errorf("Child of a group with a process = %v", err)
	}
}

// restoreControllers takes back what the test enables in version 2, from the
// top to where groups are made.
func restoreControllers(t *testing.T, h *Host) {
	t.Helper()
	if h.v2 == nil {
		return
	}
	place, err := h.v2.place()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range levels(h.v2.mount, place) { // taken back in the other order
		file := dir + "/cgroup.subtree_control"
		before := strings.Fields(read(t, file))
		t.Cleanup(func() {
			for _, c := range strings.Fields(read(t, file)) {
				if slices.Contains(before, c) {
					continue
				}
				if err := os.WriteFile(file, []byte("-"+c), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A signal that arrives while the kernel verifies the rules' program does not
// keep them from being loaded.
func TestDevicesLoadedDespiteSignals(t *testing.T) {
	require(t, os.Geteuid() == 0, "loading a BPF program takes root")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self, stop := unix.Gettid(), make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		for {
			select {
			case <-stop:
				return
			default: // SIGURG is what Go's scheduler sends its threads
				_ = unix.Tgkill(unix.Getpid(), self, unix.SIGURG)
			}
		}
	})
	defer sender.Wait()
	defer close(stop)
	rules := []deviceRule{{allow: true, kind: 'c', major: 1, minor: 3, access: accessRead}}
	for range 300 {
		fd, err := loadDevices(rules)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
	}
}
