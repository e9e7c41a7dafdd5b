package payload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// open makes the payload's file in memory. Its path works in this process and
// in a child that still has this one's descriptors, so it needs /proc.
func open() (*os.File, error) {
	const mfdExec = 0x10 // Linux 6.3; before, every memfd was executable
	fd, err := unix.MemfdCreate("isoperf-payload", unix.MFD_CLOEXEC|mfdExec)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("isoperf-payload", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("create the payload's memfd: %w (see vm.memfd_noexec)", err)
	}
	file := os.NewFile(uintptr(fd), fmt.Sprintf("/proc/self/fd/%d", fd))
	if _, err := file.Write(ELF()); err != nil {
		file.Close()
		return nil, fmt.Errorf("write the payload's memfd: %w; is there memory left?", err)
	}
	return file, nil
}

// Host is what the payload sees beside this process: its namespaces, its
// cgroup, its limits.
func Host() (Seen, error) {
	file, err := open()
	if err != nil {
		return Seen{}, err
	}
	defer file.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, file.Name(), "look").Output()
	if err != nil {
		return Seen{}, fmt.Errorf("run the payload beside this process: %w; is /proc mounted?", err)
	}
	return ParseLook(out)
}

// Weigh runs a command under the payload and returns its peak of resident
// memory in bytes: the largest of the command and of the descendants that it
// waited for, each alone. Since Linux 6.2 the kernel counts pages in batches
// (32 pages, or two per CPU where that is more), so the peak may be too small
// by a batch for each CPU that the command ran on.
//
// The command's input is empty and its output is dropped; when it fails, the
// error has the end of its first 4 KiB. A nil env is this process's. A command
// that is not on the PATH, does not exit with 0, or is not done when ctx is,
// has no weight. When ctx ends, the command and what is left in its process
// group are killed; who leaves that group is the caller's to end.
func Weigh(ctx context.Context, argv, env []string) (peakB int64, err error) {
	if len(argv) == 0 {
		return 0, errors.New("weigh a command: there is none; give its path and arguments")
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, fmt.Errorf("weigh %q: %w; is it installed?", argv[0], err)
	}
	file, err := open()
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, file.Name(), append([]string{"weigh", path}, argv[1:]...)...)
	cmd.Env, cmd.Stdout = env, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	said, err := runHearing(cmd)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return 0, fmt.Errorf("weigh %q: %w; it said %s", argv[0], err, clip(said))
	}
	kib, ok := parseHex(strings.TrimSuffix(out.String(), "\n"))
	switch {
	case !ok:
		return 0, fmt.Errorf("weigh %q: the payload wrote %s and no number; is descriptor 1 its own?", argv[0], clip(out.Bytes()))
	case kib <= 0:
		return 0, fmt.Errorf("weigh %q: it is too light for the kernel, which counts pages in batches per CPU; weigh something larger", argv[0])
	}
	return kib << 10, nil
}

// runHearing runs a command and returns the first 4 KiB of its standard error.
// It waits for the command and not for what the command left running.
func runHearing(cmd *exec.Cmd) (said []byte, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w; are there descriptors left?", err)
	}
	defer r.Close()
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, err
	}
	w.Close()
	heard := make(chan []byte)
	go func() {
		first, err := io.ReadAll(io.LimitReader(r, 4096))
		if err == nil {
			io.Copy(io.Discard, r)
		}
		heard <- first
	}()
	err = cmd.Wait()
	deadlineErr := r.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if deadlineErr != nil {
		r.Close()
	}
	return <-heard, err
}
