package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/workloads/load"
	"isoperf/workloads/traffic"
)

// helperEnv names what a copy of the test binary is to be.
const helperEnv = "ISOPERF_TEST_HELPER"

// The test binary is the host, the ends, and the helpers of the tests.
func TestMain(m *testing.M) {
	Main()
	load.Main(traffic.Kinds()...)
	helpers := map[string]func() error{"measure": helpMeasure, "cover": helpCover, "limit": helpLimit, "open": helpOpen}
	if name := os.Getenv(helperEnv); name != "" {
		if err := helpers[name](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// helper is a copy of the test binary that does something else.
func helper(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	return cmd
}

// require skips the test unless cond holds; where everything must run, that is
// a failure.
func require(t testing.TB, cond bool, why string) {
	t.Helper()
	switch {
	case cond:
	case os.Getenv("ISOPERF_MUST_RUN") == "1":
		t.Fatalf("must run, but: %s", why)
	default:
		t.Skip(why)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// short is a cell of a short window, at the largest MTU: at 1500 what goes out
// through pasta soon stops.
func short(path, dir string) Cell {
	p, err := findPath(path)
	if err != nil {
		panic(err)
	}
	return Cell{Family: Stream, Path: path, Dir: dir, MTU: p.mtus[len(p.mtus)-1], Streams: 1, IP: 4, Warm: 50 * time.Millisecond, Window: 200 * time.Millisecond}
}

// open makes a stage that the test's end closes. What cannot be had here skips.
func open(t testing.TB, c Cell) *stage {
	t.Helper()
	s, err := newStage(c)
	var cannot harness.NotMeasured
	if errors.As(err, &cannot) {
		require(t, false, cannot.Why)
	}
	must(t, err)
	t.Cleanup(func() { must(t, s.close()) })
	return s
}

// eventually waits up to ten seconds for a condition.
func eventually(cond func() bool) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}

// below are the processes that a process has started, and those that they have.
func below(pid int) (list []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for word := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				list = append(append(list, child), below(child)...)
			}
		}
	}
	return list
}

// named is a process below another, by the name of its program; 0: none yet.
func named(pid int, name string) int {
	for _, child := range below(pid) {
		if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child)); strings.HasPrefix(strings.TrimSpace(string(text)), name) {
			return child
		}
	}
	return 0
}

// traces are the namespaces of a process and of those below it that are not this
// process's own, by inode, as /proc/PID/ns has them.
func traces(pid int) map[string]bool {
	found := map[string]bool{}
	for _, p := range append(below(pid), pid) {
		for _, kind := range []string{"net", "mnt", "pid", "user"} {
			own, _ := os.Readlink("/proc/self/ns/" + kind)
			if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", p, kind)); err == nil && ns != own {
				found[ns] = true
			}
		}
	}
	return found
}

// nothingLeft waits until no process of the machine is in one of the namespaces,
// or holds one open, and looks for what a model of a host is made of.
func nothingLeft(t testing.TB, traces map[string]bool) {
	t.Helper()
	if len(traces) < 2 {
		t.Fatalf("the host had the namespaces %v only: they were not looked at in time", traces)
	}
	var left []string
	if !eventually(func() bool { left = holders(traces); return len(left) == 0 }) {
		t.Errorf("left behind: %v", left)
	}
	links, err := net.Interfaces()
	must(t, err)
	for _, l := range links {
		if slices.Contains([]string{uplink, bridge, "isoperf0", "tap0", "veth0", "veth1"}, l.Name) {
			t.Errorf("the machine has the interface %q", l.Name)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	if strings.Contains(string(mounts), "isoperf-network") {
		t.Errorf("a mount is left:\n%s", mounts)
	}
	if rules, err := exec.Command("iptables-save").Output(); err == nil && strings.Contains(string(rules), "isoperf:bench") {
		t.Errorf("rules are left:\n%s", rules)
	}
}

// holders are the processes in namespaces, or that have them open. One that has
// ended, and is not collected yet, still says its pid namespace.
func holders(traces map[string]bool) (list []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range append(links, open...) {
		if to, err := os.Readlink(link); err == nil && traces[to] && !ended(link) {
			list = append(list, link+" "+to)
		}
	}
	return list
}

// ended says whether the process of a path below /proc is a zombie.
func ended(link string) bool {
	process, _, _ := strings.Cut(strings.TrimPrefix(link, "/proc/"), "/")
	text, err := os.ReadFile("/proc/" + process + "/stat")
	return err != nil || strings.Contains(string(text), ") Z ")
}

// helpMeasure measures a cell until it is told to end, as a run of isoperf does.
func helpMeasure() error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT)
	defer stop()
	var c Cell
	if err := json.Unmarshal([]byte(os.Args[1]), &c); err != nil {
		return err
	}
	s, err := New(Config{Context: ctx}).newCase(c, 1, time.Second).Open()
	if err != nil {
		return err
	}
	s.Sample(1, func(_ []sample.Value, serr error) { err = errors.Join(errors.New("a sample was taken"), serr) })
	return errors.Join(err, s.Close())
}

// helpOpen opens a cell, and writes why it cannot be measured.
func helpOpen() error {
	var c Cell
	if err := json.Unmarshal([]byte(os.Args[1]), &c); err != nil {
		return err
	}
	s, err := newStage(c)
	var cannot harness.NotMeasured
	switch {
	case err == nil:
		return errors.Join(errors.New("it can be measured"), s.close())
	case !errors.As(err, &cannot):
		return err
	}
	fmt.Println(cannot.Why)
	return nil
}

// helpCover puts a file or directory over another, in mounts of its own, and
// opens a cell.
func helpCover() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount(os.Args[2], os.Args[3], "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return helpOpen()
}

// helpLimit lets nobody of this user namespace make one, and has user 1 open a cell.
func helpLimit() error {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return err
	}
	self, err := os.Open("/proc/self/exe") // which user 1 might not reach by its path
	if err != nil {
		return err
	}
	defer self.Close()
	cmd := exec.Command("/proc/self/fd/3", os.Args[1])
	cmd.ExtraFiles = []*os.File{self}
	cmd.Env = append(os.Environ(), helperEnv+"=open")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1, Gid: 1}}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// text is a cell as a helper's argument.
func text(t testing.TB, c Cell) string {
	t.Helper()
	b, err := json.Marshal(c)
	must(t, err)
	return string(b)
}
