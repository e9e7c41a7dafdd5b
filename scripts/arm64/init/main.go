//go:build linux

// Command init is the only program of the virtual machine that run.sh boots:
// process 1, which runs one Go test binary and powers off.
//
//	initramfs ──copied──► tmpfs as the root (pivot_root refuses an initramfs)
//	     └─► proc, sysfs, dev, tmp, cgroup2 ──► /test/binary with the lines of
//	         /test/args ──► "isoperf-exit N" on the console ──► power off
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// moved is set for the second run of init, on the root that can be pivoted.
const moved = "ISOPERF_INIT_MOVED=1"

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init: this is process 1 of a test machine, see run.sh; it does nothing elsewhere")
		os.Exit(2)
	}
	if os.Getenv("ISOPERF_INIT_MOVED") == "" {
		fail("move to a tmpfs", moveRoot("/root"))
	}
	code := 125
	err := mountAll()
	if err == nil {
		code, err = runTest()
	}
	if err != nil {
		fmt.Printf("init: %v\n", err)
	}
	fmt.Printf("isoperf-exit %d\n", code)
	powerOff()
}

// fail ends the machine; run.sh sees no exit line, and shows this one.
func fail(what string, err error) {
	if err != nil {
		fmt.Printf("init: %s: %v\n", what, err)
		powerOff()
	}
}

func powerOff() {
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Printf("init: power off: %v; the time-out of run.sh ends this machine\n", err)
	}
	for {
		time.Sleep(time.Hour)
	}
}

// moveRoot copies the initramfs into a tmpfs at dir, makes that the root, and
// starts init again there. It returns only on failure.
func moveRoot(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs at %q: %w", dir, err)
	}
	err := filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "/" {
			return err
		}
		if path == dir {
			return filepath.SkipDir
		}
		return copyEntry(path, dir+path, d)
	})
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Chdir(dir), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), unix.Chdir("/")); err != nil {
		return fmt.Errorf("make %q the root: %w", dir, err)
	}
	return fmt.Errorf("execute /init: %w", unix.Exec("/init", []string{"/init"}, append(os.Environ(), moved)))
}

// copyEntry copies a directory, a symbolic link or a file; device nodes are
// left to devtmpfs.
func copyEntry(from, to string, d fs.DirEntry) error {
	switch {
	case d.IsDir():
		return os.MkdirAll(to, 0o755)
	case d.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case !d.Type().IsRegular():
		return nil
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}

// mountAll mounts what tests expect to find.
func mountAll() error {
	for _, m := range []struct{ source, target, fstype, data string }{
		{"proc", "/proc", "proc", ""},
		{"sysfs", "/sys", "sysfs", ""},
		{"devtmpfs", "/dev", "devtmpfs", ""},
		{"tmpfs", "/tmp", "tmpfs", "mode=1777"},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", ""},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("make the mount point %q: %w", m.target, err)
		}
		if err := unix.Mount(m.source, m.target, m.fstype, 0, m.data); err != nil {
			return fmt.Errorf("mount %s at %q: %w", m.fstype, m.target, err)
		}
	}
	return nil
}

// runTest runs the test binary in its directory and gives its exit code.
func runTest() (int, error) {
	args, err := os.ReadFile("/test/args")
	if err != nil {
		return 125, fmt.Errorf("read the arguments of the test: %w", err)
	}
	cmd := exec.Command("/test/binary", strings.Split(strings.TrimSpace(string(args)), "\n")...)
	cmd.Dir = "/test"
	cmd.Env = []string{"PATH=/bin", "HOME=/tmp", "TMPDIR=/tmp", "GOTRACEBACK=all"}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), nil
	case err != nil:
		return 125, fmt.Errorf("run the test binary: %w", err)
	}
	return 0, nil
}
