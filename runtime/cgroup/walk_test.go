package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A container that may make groups does not get out of being killed and removed by
// where it makes them, or by freezing them.
func TestDeep(t *testing.T) {
	eachVersion(t, func(t *testing.T, h *Host) {
		g := create(t, h, Options{ID: "deep", Always: true})
		part, err := g.freezing()
		if err != nil {
			t.Fatal(err)
		}
		fd, name := part.fd, strings.Repeat("x", 255)
		for range 20 { // 5 KiB, of the 4 that a path may have
			if err := unix.Mkdirat(fd, name, 0o755); err != nil {
				t.Fatal(err)
			}
			next, err := openat(fd, name, dirFlags)
			if err != nil {
				t.Fatal(err)
			}
			if fd != part.fd {
				unix.Close(fd)
			}
			fd = next
		}
		defer unix.Close(fd)
		cmd := sleeper(t)
		freeze := write{file: "freezer.state", data: "FROZEN"}
		if part.tree.v2 {
			freeze = write{file: "cgroup.freeze", data: "1"}
		}
		if err := errors.Join(g.Attach(cmd.Process.Pid), writeFile(fd, "cgroup.procs", strconv.Itoa(cmd.Process.Pid)), writeFile(fd, freeze.file, freeze.data)); err != nil {
			t.Fatal(err)
		}
		if list, err := g.Processes(); err != nil || len(list) != 1 || list[0] != cmd.Process.Pid {
			t.Errorf("the processes are %v, %v; want %d", list, err, cmd.Process.Pid)
		}
		if err := g.Kill(); err != nil {
			t.Error(err)
		}
		if err := g.Remove(); err != nil {
			t.Error(err)
			_ = writeFile(fd, freeze.file, map[bool]string{true: "0", false: "THAWED"}[part.tree.v2])
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait() // it was killed
	})
}

// An existing group is taken when nobody else has anything in it, and it does not
// stand still. Below one that does, none is made.
func TestClaim(t *testing.T) {
	eachVersion(t, func(t *testing.T, h *Host) {
		o := Options{ID: "x", Path: testPath("claim"), Always: true}
		tree := h.v2
		if tree == nil {
			tree = h.find(&freezer)
		}
		dir := tree.mount + o.Path
		child := dir + "/child"
		if err := os.MkdirAll(child, 0o755); err != nil {
			t.Fatal(err)
		}
		refused := func(o Options, text string) {
			t.Helper()
			p, err := h.Plan(o) // which looks for what is there
			if err != nil {
				t.Fatal(err)
			}
			if g, err := p.Create(); !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), text) {
				t.Errorf("it was taken: %v, want an error with %q", err, text)
				if err == nil {
					_ = g.Remove()
				}
			}
		}
		refused(o, "groups below it")
		if err := os.Remove(child); err != nil {
			t.Fatalf("the child was removed: %v", err)
		}
		file, on, off := dir+"/cgroup.freeze", "1", "0"
		if !tree.v2 {
			file, on, off = dir+"/freezer.state", "FROZEN", "THAWED"
		}
		if err := writeFile(unix.AT_FDCWD, file, on); err != nil {
			t.Fatal(err)
		}
		refused(o, "it is frozen")
		below := o
		below.Path += "/new/below"
		refused(below, fmt.Sprintf("the group %q above it is frozen", dir))
		if exists(dir + "/new") {
			t.Error("a refused group is left")
		}
		if err := writeFile(unix.AT_FDCWD, file, off); err != nil {
			t.Fatal(err)
		}
		p, err := h.Plan(o)
		if err != nil {
			t.Fatal(err)
		}
		g, err := p.Create()
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Remove(); err != nil || exists(dir) {
			t.Errorf("the group that was taken is there still: %v", err)
		}
	})
}

// RemoveEmpty removes what nobody uses, and nothing else.
func TestRemoveEmpty(t *testing.T) {
	eachVersion(t, func(t *testing.T, h *Host) {
		g := create(t, h, Options{ID: "empty", Always: true})
		part, err := g.freezing()
		if err != nil {
			t.Fatal(err)
		}
		cmd := sleeper(t)
		if err := g.Attach(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		other, err := Find(h, g.State())
		if err != nil {
			t.Fatal(err)
		}
		var left *LeftError
		if err := other.RemoveEmpty(); !errors.Is(err, unix.EBUSY) || !errors.As(err, &left) {
			t.Errorf("with a process: %v", err)
		}
		other.Close()
		if cmd.Process.Signal(unix.Signal(0)) != nil || !exists(part.dir) {
			t.Error("the process or the group is gone")
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if other, err = Find(h, g.State()); err != nil {
			t.Fatal(err)
		}
		if err := other.RemoveEmpty(); err != nil || exists(part.dir) {
			t.Errorf("without: %v", err)
		}
	})
}
