package feature

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is the real machine: what New puts into Host.

func effectiveUID() int { return os.Geteuid() }

func getenv(name string) string { return os.Getenv(name) }

func groups() []int {
	more, _ := os.Getgroups() // the own group is one at any rate
	return append([]int{os.Getegid()}, more...)
}

func release() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// every is a flags argument with bits that no version of a call knows.
const every = ^uintptr(0)

// none is a file descriptor that is never open.
const none = ^uintptr(0)

// invalid is a system call with arguments that no kernel accepts: its error
// tells whether the call exists, and nothing happens.
type invalid struct {
	name  string
	since version
	nr    uintptr
	args  [6]uintptr
	// gated: the call refuses with EPERM for want of CAP_SYS_ADMIN over the
	// mount namespace before it looks at its arguments (may_mount() in
	// fs/namespace.c).
	gated bool
}

func calls() []invalid {
	return []invalid{
		{"clone3", version{5, 3}, unix.SYS_CLONE3, [6]uintptr{0, 0}, false}, // size 0: EINVAL, clone3(2)
		{"pidfd_open", version{5, 3}, unix.SYS_PIDFD_OPEN, [6]uintptr{none, every}, false},
		{"openat2", version{5, 6}, unix.SYS_OPENAT2, [6]uintptr{none, 0, 0, 0}, false}, // size 0: EINVAL
		{"open_tree", version{5, 2}, unix.SYS_OPEN_TREE, [6]uintptr{none, 0, every}, false},
		{"fsopen", version{5, 2}, unix.SYS_FSOPEN, [6]uintptr{0, every}, true},
		{"move_mount", version{5, 2}, unix.SYS_MOVE_MOUNT, [6]uintptr{none, 0, none, 0, every}, true},
		{"mount_setattr", version{5, 12}, unix.SYS_MOUNT_SETATTR, [6]uintptr{none, 0, every, 0, 0}, false},
	}
}

func call(name string) error {
	for _, c := range calls() {
		if c.name == name {
			_, _, errno := unix.Syscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
			if errno == 0 {
				return fmt.Errorf("call %s: it accepted arguments that no kernel accepts", name)
			}
			return errno
		}
	}
	return fmt.Errorf("call %s: not in the table of harmless calls", name)
}

// clone runs a child up to the execve of "", which always answers ENOENT:
// that errno is the proof that everything before it worked.
func clone(flags uint64) error {
	var attr syscall.SysProcAttr
	if flags&unix.CLONE_NEWUSER != 0 {
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		attr.Chroot = "/" // changes nothing, and needs CAP_SYS_CHROOT in the new namespace
	}
	// CLONE_NEWTIME shares its bit with the exit signal of clone(2).
	attr.Unshareflags = uintptr(flags & unix.CLONE_NEWTIME)
	attr.Cloneflags = uintptr(flags &^ unix.CLONE_NEWTIME)
	_, err := syscall.ForkExec("", []string{""}, &syscall.ProcAttr{Sys: &attr})
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

func memfd() error {
	fd, err := unix.MemfdCreate("isoperf-probe", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // MFD_EXEC came with 6.3
		fd, err = unix.MemfdCreate("isoperf-probe", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func perf(kernel bool) error {
	attr := unix.PerfEventAttr{
		Type:   unix.PERF_TYPE_HARDWARE,
		Config: unix.PERF_COUNT_HW_CPU_CYCLES,
		Size:   uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Bits:   unix.PerfBitDisabled | unix.PerfBitExcludeHv,
	}
	if !kernel {
		attr.Bits |= unix.PerfBitExcludeKernel
	}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func openDevice(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func writable(path string) error {
	return unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS)
}

func fileCaps(path string) bool {
	n, err := unix.Getxattr(path, "security.capability", nil)
	return err == nil && n > 0
}

// lookPath also looks where system programs are, because an ordinary user's
// PATH often leaves that out.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", err
}

func programVersion(ctx context.Context, path string) (string, error) {
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PAGER=cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 100 * time.Millisecond // a grandchild may hold the pipe
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	for line := range bytes.Lines(out) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return string(line), err
		}
	}
	if err == nil {
		err = errors.New("it printed nothing")
	}
	return "", err
}
