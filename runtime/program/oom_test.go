package program

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// unified says that this machine has cgroup v2 alone.
func unified() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// ownCgroup makes a cgroup of a controller's hierarchy, or of the only one, and
// removes it with the test.
func ownCgroup(t *testing.T, controller string) string {
	t.Helper()
	root := filepath.Join("/sys/fs/cgroup", controller)
	requireRoot(t)
	if unified() {
		root = "/sys/fs/cgroup"
		put(t, root, "cgroup.subtree_control", "+"+controller)
	}
	requireFile(t, root)
	dir := filepath.Join(root, fmt.Sprintf("isoperf-test-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-")))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !eventually(func() bool { return os.Remove(dir) == nil }) {
			t.Errorf("remove %s: %v", dir, os.Remove(dir))
		}
	})
	return dir
}

func put(t testing.TB, dir, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// helpMemory starts a child that fills pipes, whose pages count for the cgroup
// of whoever writes, in the cgroup at args[1].
func helpMemory(args []string) error {
	p := New(map[string]Mode{"vm": VM, "stub": Stub, "fork": Fork}[args[0]], 0)
	const pipes, full = 16, 1 << 20
	data := Buffer(full)
	var fds [pipes][2]int
	for i := range fds {
		if err := unix.Pipe2(fds[i][:], unix.O_CLOEXEC); err != nil {
			return err
		}
		if _, err := unix.FcntlInt(uintptr(fds[i][1]), unix.F_SETPIPE_SZ, full); err != nil {
			return err
		}
		p.Keep(fds[i][1])
	}
	gate := p.Wait("in its cgroup")
	for i := range fds {
		p.Add(Op{Name: "fill", Call: unix.SYS_WRITE, Args: [6]Arg{Int(fds[i][1]), data, Int(full)}})
	}
	p.Add(Exit(0))
	proc, err := Start(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(args[1], "cgroup.procs"), []byte(strconv.Itoa(proc.Pid())), 0o644); err != nil {
		return err
	}
	proc.Open(gate)
	status, err := proc.Wait()
	fmt.Println(status)
	return err
}

// TestOutOfMemory: an OOM kill in a stub child's cgroup leaves the launcher
// alone. In mode vm the kernel kills every process of the memory, and that is
// the launcher's: the reason for the mode stub.
func TestOutOfMemory(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		dir := ownCgroup(t, "memory")
		limit := "memory.limit_in_bytes"
		if unified() {
			limit = "memory.max"
		}
		put(t, dir, limit, "4194304")
		out, err := helper("memory", mode.String(), dir).CombinedOutput()
		if mode != VM {
			if err != nil || string(out) != "signal: killed\n" {
				t.Errorf("the launcher ended with %v and printed %q; its child should have been killed alone", err, out)
			}
			return
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("the launcher ended with %v and printed %q; in mode vm it should be killed with its child", err, out)
		}
	})
}
