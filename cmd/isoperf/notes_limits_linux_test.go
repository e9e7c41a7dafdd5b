package main

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
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/cgroup"
)

// The tests of part 5 of the lecture notes, and of what they say of control
// groups before. A CPU is measured for two seconds with a tolerance of half the
// limit: a process without the limit would use five times as much.

// The controllers: what is there is listed, outside and inside.
func TestNotesControllers(t *testing.T) {
	rootOnly(t, func(t *testing.T, s *stage) {
		text, _ := s.run(t, "doctor")
		for _, name := range []string{"cpuset", "cpu", "io", "memory", "pids"} {
			if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
				return strings.HasPrefix(strings.TrimSpace(line), "ok ") && strings.Contains(line, " "+name+" controller ")
			}) {
				t.Errorf("doctor does not list %s:\n%s", name, text)
			}
		}
		s.zoo(t)
		b := s.shell(t, "run", "-r", "./zoo-fs", "-p", "6", "/bin/bash")
		b.want("6", "cat /sys/fs/cgroup/pids/pids.max 2> /dev/null || cat /sys/fs/cgroup/pids.max")
		b.want("", "cat /proc/self/cgroup | while read line; do case $line in *:/) ;; *) echo $line;; esac; done")
	})
}

// `part5 -c 20 -r ./zoo-fs -P /bin/bash`; stress is copied in from outside; it
// gets 20 % of a CPU, two of them 10 % each.
func TestNotesCPU(t *testing.T) {
	rootOnly(t, func(t *testing.T, s *stage) {
		s.zoo(t)
		needs(t, "stress")
		b := s.shell(t, "run", "-c", "20", "-r", "./zoo-fs", "-P", "/bin/bash")
		group := groupOf(t, b.pid)
		group.limited(t)
		b.want("127", "stress -c 1 2> /dev/null; echo $?")
		copyProgram(t, "stress", "zoo-fs")
		b.ask("stress -c 1 > /dev/null & first=$!")
		workers := b.workers(1)
		share(t, workers)
		if !eventually(func() bool { return group.throttled(t) >= 5 }) {
			t.Errorf("it was throttled in %d periods only", group.throttled(t))
		}
		b.ask("stress -c 1 > /dev/null & second=$!")
		halves(t, b.workers(2))
		b.ask("kill $first $second; wait")
	})
}

// `echo 2000 > cgroup.procs`: a process that runs outside is moved in, and
// shares the 20 % from then on.
func TestNotesMovedIn(t *testing.T) {
	rootOnly(t, func(t *testing.T, s *stage) {
		needs(t, "stress")
		free := spinner(t)
		b := s.shell(t, "run", "-c", "20", "/bin/bash")
		b.ask("stress -c 1 > /dev/null & p=$!")
		group := groupOf(t, b.pid)
		if list := group.read(t, "cgroup.procs"); strings.Contains("\n"+list+"\n", fmt.Sprintf("\n%d\n", free)) {
			t.Fatalf("process %d is in the group already: %s", free, list)
		}
		if err := os.WriteFile(filepath.Join(group.dir, "cgroup.procs"), []byte(strconv.Itoa(free)), 0); err != nil {
			t.Fatal(err)
		}
		halves(t, append(b.workers(1), free))
		b.ask("kill $p; wait")
		// The container's group can be removed when it is empty.
		if err := syscall.Kill(free, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	})
}

// Groups below the 20 % divide it; running processes are moved in by the
// library.
func TestNotesSubdivided(t *testing.T) {
	rootOnly(t, func(t *testing.T, _ *stage) {
		needs(t, "stress")
		host, err := cgroup.Detect()
		if err != nil {
			t.Fatal(err)
		}
		limit := func(quota int64) *specs.LinuxResources {
			period := uint64(100000)
			return &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}}
		}
		plan, err := host.Plan(cgroup.Options{ID: "asp", Resources: limit(20000)})
		if err != nil {
			t.Fatal(err)
		}
		asp, err := plan.Create()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { removed(t, asp) })
		var moved []int
		for i, quota := range []int64{20000, 5000} { // the second has less than its half
			child, err := asp.Child(fmt.Sprintf("part%d", i), limit(quota))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { removed(t, child) })
			pid := spinner(t)
			if err := child.Attach(pid); err != nil {
				t.Fatal(err)
			}
			moved = append(moved, pid)
		}
		shares := share(t, moved)
		if shares[1] > 0.09 {
			t.Errorf("the part with 5 %% gets %.2f of a CPU", shares[1])
		}
	})
}

func removed(t *testing.T, g *cgroup.Group) {
	if err := errors.Join(g.Kill(), g.Remove()); err != nil {
		t.Error(err)
	}
}

// `echo 6 > pids.max`: bash's fork fails.
func TestNotesPids(t *testing.T) {
	rootOnly(t, func(t *testing.T, s *stage) {
		s.zoo(t)
		b := s.shell(t, "run", "-r", "./zoo-fs", "-p", "6", "/bin/bash")
		group := groupNamed(t, b.pid, "pids")
		if max := group.read(t, "pids.max"); max != "6" {
			t.Errorf("pids.max is %s outside", max)
		}
		fmt.Fprintln(b.in, "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done")
		for text := ""; !strings.Contains(text, "fork: retry: Resource temporarily unavailable"); {
			line, err := b.out.ReadString('\n')
			if text += line; err != nil {
				t.Fatalf("%v after %q", err, text)
			}
		}
		if now := group.read(t, "pids.current"); now != "6" {
			t.Errorf("%s processes run, want bash and 5 more", now)
		}
		b.stop() // or bash tries again for 15 s
	})
}

// A group for a user who is not root: systemd is asked for it; without one the
// error says what there is to do.
func TestNotesOrdinaryUserLimited(t *testing.T) {
	inWorld(t, func(t *testing.T, s *stage) {
		host, err := cgroup.Detect()
		if err != nil {
			t.Fatal(err)
		}
		_, bus := os.Stat(os.Getenv("XDG_RUNTIME_DIR") + "/bus")
		if host.Mode() != "v2" || os.Getenv("XDG_RUNTIME_DIR") == "" || bus != nil {
			t.Logf("control groups %s, the user's session: %v; so it has to refuse", host.Mode(), bus)
			out := s.want(t, exitOwn, "", "run", "-c", "20", "true")
			if !strings.Contains(out, "as root") && !strings.Contains(out, "systemd") {
				t.Errorf("the error does not say what to do: %s", out)
			}
			return
		}
		needs(t, "stress")
		b := s.shell(t, "run", "-c", "20", "/bin/bash")
		group := groupOf(t, b.pid)
		group.limited(t)
		b.ask("stress -c 1 > /dev/null & p=$!")
		share(t, b.workers(1))
		b.ask("kill $p; wait")
	}, studentName)
}

// spinner is a stress of the machine itself: the process that spins.
func spinner(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("stress", "-c", "1", "-t", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range append(descendants(cmd.Process.Pid), cmd.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		_ = cmd.Wait()
	})
	var found []int
	if !eventually(func() bool { found = descendants(cmd.Process.Pid); return len(found) == 1 }) {
		t.Fatal("stress has no child that spins")
	}
	return found[0]
}

// workers are the processes of stress that spin, seen from outside.
func (b *shell) workers(n int) []int {
	b.t.Helper()
	var found []int
	if !eventually(func() bool {
		found = nil
		for _, pid := range descendants(b.pid) {
			if parent, err := strconv.Atoi(statusLine(pid, "PPid")); err == nil && statusLine(parent, "Name") == "stress" {
				found = append(found, pid)
			}
		}
		return len(found) == n
	}) {
		b.t.Fatalf("%d processes spin, not %d", len(found), n)
	}
	return found
}

// share measures the CPUs that each process gets in two seconds; together it
// must be some, and not much more than 20 %.
func share(t *testing.T, pids []int) []float64 {
	t.Helper()
	const most = 0.3
	before, start := make([]float64, len(pids)), time.Now()
	for i, pid := range pids {
		before[i] = cpuSeconds(t, pid)
	}
	time.Sleep(2 * time.Second)
	var shares []float64
	sum := 0.0
	for i, pid := range pids {
		shares = append(shares, (cpuSeconds(t, pid)-before[i])/time.Since(start).Seconds())
		sum += shares[i]
	}
	t.Logf("seen from outside, the processes get %.3f of a CPU", shares)
	if sum > most || sum == 0 {
		t.Errorf("processes %v get %.3f of a CPU, want at most %.2f", pids, shares, most)
	}
	return shares
}

// halves checks that two processes share 20 % evenly. The scheduler does not
// promise that for two seconds, so it has a few turns.
func halves(t *testing.T, pids []int) {
	t.Helper()
	var shares []float64
	for range 4 {
		if shares = share(t, pids); min(shares[0], shares[1]) > 0.3*max(shares[0], shares[1]) {
			return
		}
	}
	t.Errorf("the two get %.3f of a CPU, not halves", shares)
}

// cpuSeconds is the time that a process has run, of /proc/PID/stat.
func cpuSeconds(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return float64(user+system) / 100 // USER_HZ
}

// hostGroup is a control group, seen from outside.
type hostGroup struct {
	dir string
	v2  bool
}

// groupOf is the group of a process whose CPU is limited.
func groupOf(t *testing.T, pid int) hostGroup { t.Helper(); return groupNamed(t, pid, "cpu") }

// groupNamed is the group of a process that a controller limits, of
// /proc/PID/cgroup and /proc/mounts.
func groupNamed(t *testing.T, pid int, controller string) hostGroup {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, v2 := range []bool{false, true} {
		for line := range strings.Lines(string(text)) {
			f := strings.SplitN(strings.TrimSpace(line), ":", 3)
			if !v2 && !slices.Contains(strings.Split(f[1], ","), controller) || v2 && f[0] != "0" {
				continue
			}
			for mount := range strings.Lines(string(mounts)) {
				m := strings.Fields(mount)
				if v2 && m[2] == "cgroup2" || m[2] == "cgroup" && slices.Contains(strings.Split(m[3], ","), controller) {
					return hostGroup{dir: filepath.Join(m[1], f[2]), v2: v2}
				}
			}
		}
	}
	t.Fatalf("process %d is in no group of %s", pid, controller)
	return hostGroup{}
}

func (g hostGroup) read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// limited checks that the limit is 20 %, as "numerator denominator".
func (g hostGroup) limited(t *testing.T) {
	t.Helper()
	limit := ""
	if g.v2 {
		limit = g.read(t, "cpu.max")
	} else {
		limit = g.read(t, "cpu.cfs_quota_us") + " " + g.read(t, "cpu.cfs_period_us")
	}
	if limit != "20000 100000" {
		t.Errorf("outside the limit of %s is %s", g.dir, limit)
	}
}

// throttled is in how many periods the quota was used up.
func (g hostGroup) throttled(t *testing.T) int {
	t.Helper()
	for line := range strings.Lines(g.read(t, "cpu.stat")) {
		if rest, ok := strings.CutPrefix(line, "nr_throttled "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(rest))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("cpu.stat has no nr_throttled")
	return 0
}
