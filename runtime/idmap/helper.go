package idmap

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// finder finds a program in $PATH.
type finder func(name string) (string, error)

func findProgram(name string) (string, error) { return exec.LookPath(name) }

// command is a program of the host that runs. The engine starts it: os/exec
// holds its caller until the kernel has loaded the program, so that two of them
// come one after the other.
type command struct {
	path   string
	proc   *program.Process
	output int // a memfd: its stdin, empty, stdout and stderr
}

// execute starts a program with the messages of the C locale and nothing else in
// its environment.
func execute(path string, args ...string) (*command, error) {
	output, err := unix.MemfdCreate("isoperf-output", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a memfd for the output of %q: %w", path, err)
	}
	p := program.New(program.VM, 0)
	p.Stdio(output, output, output)
	p.Exec(path, append([]string{path}, args...), []string{"LC_ALL=C"})
	proc, err := program.Start(p)
	if err != nil {
		unix.Close(output)
		return nil, fmt.Errorf("start %q: %w", path, err)
	}
	return &command{path, proc, output}, nil
}

// wait waits for the program's end, and returns what it wrote.
func (c *command) wait() (program.Status, string, error) {
	defer unix.Close(c.output)
	status, err := c.proc.Wait()
	c.proc.Release()
	if err != nil {
		return status, "", fmt.Errorf("run %q: %w", c.path, err)
	}
	text := make([]byte, 16<<10) // more than either has to say
	n, err := unix.Pread(c.output, text, 0)
	if err != nil {
		return status, "", fmt.Errorf("read the output of %q: %w", c.path, err)
	}
	return status, strings.TrimSpace(string(text[:n])), nil
}

// writer is newuidmap or newgidmap at work.
type writer struct {
	*command
	side side
	pid  int
}

// startWriters starts what writes the maps that the caller may not write; with
// an error as well, it returns those that run.
func (m Maps) startWriters(pid int, direct [2]bool, find finder) ([]writer, error) {
	var writers []writer
	for i, side := range m.sides() {
		if direct[i] {
			continue
		}
		path, err := find(side.program)
		if err != nil {
			return writers, missing(side.program, err)
		}
		args := []string{strconv.Itoa(pid)}
		for _, m := range side.list {
			for _, n := range []uint32{m.ContainerID, m.HostID, m.Size} {
				args = append(args, strconv.FormatUint(uint64(n), 10))
			}
		}
		c, err := execute(path, args...)
		if err != nil {
			return writers, err
		}
		writers = append(writers, writer{c, side, pid})
	}
	return writers, nil
}

func missing(name string, err error) error {
	// os/exec quotes the name once more.
	var lookup *exec.Error
	if errors.As(err, &lookup) {
		err = lookup.Err
	}
	return fmt.Errorf("find %q in $PATH: %w; install it (package uidmap, or shadow-utils), or use --map-root", name, err)
}

func (w writer) wait() error {
	status, output, err := w.command.wait()
	if err != nil {
		return err
	}
	if status.Success() {
		return nil
	}
	return fmt.Errorf("write %s of process %d with %s: %v, %q; %s",
		w.side.file, w.pid, w.path, status, output, w.hint(output))
}

// hint says why the program may have failed.
func (w writer) hint(output string) string {
	if weak := weakness(w.path); weak != "" {
		return weak
	}
	if strings.Contains(output, "not allowed") {
		return fmt.Sprintf("a range is not the caller's: compare it with /etc/%s, or use --map-root", w.side.subid)
	}
	return writeHint(fmt.Sprintf("/proc/%d/%s", w.pid, w.side.file))
}

// weakness says why a program that needs privileges gets none when it is
// executed; "" when nothing is known against it.
func weakness(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fmt.Sprintf("it cannot be looked at (%v)", err)
	}
	if on, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && on != 0 {
		return "the caller has no_new_privs, so the program gets no privileges; start from a shell without it, or use --map-root"
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err == nil && fs.Flags&unix.ST_NOSUID != 0 {
		return "its file system is mounted nosuid, so it gets no privileges; remount it with suid, or use --map-root"
	}
	_, err := unix.Getxattr(path, "security.capability", nil)
	if setuid := st.Mode&unix.S_ISUID != 0 && st.Uid == 0; !setuid && err != nil {
		return fmt.Sprintf("it has neither the setuid bit of root nor a file capability: chown root %s && chmod u+s %s, or install package uidmap again", path, path)
	}
	return ""
}
