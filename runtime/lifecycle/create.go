package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/cgroup/systemd"
	"isoperf/runtime/container"
	"isoperf/runtime/notify"
	"isoperf/runtime/program"
	"isoperf/runtime/spec"
	"isoperf/runtime/state"
)

// CreateOptions say what to create.
type CreateOptions struct {
	ID, Bundle string
	// Stdio are the command's standard input, output and error.
	Stdio [3]int
	// PidFile is a file that gets the number of the first process; empty: none.
	PidFile string
	// ConsoleSocket is a unix socket that gets the terminal, when the command has
	// one; empty: none.
	ConsoleSocket string
	// KeepKeyring leaves the container the caller's session keyring.
	KeepKeyring bool
	// Preserve is how many descriptors from 3 on the command gets, too; Listen,
	// how many of them, the first, it is told of: a service manager's sockets.
	Preserve, Listen int
}

// creation is a container that is being created.
type creation struct {
	options CreateOptions
	spec    *spec.Container
	plan    *container.Plan
	entry   *state.Entry
	state   *state.State
	scope   *systemd.Scope
	hold    container.Hold
	console int
}

// Create makes a container, up to the execution of its command. The calling
// goroutine must be locked to its thread. When it fails nothing is left.
func (r *Runtime) Create(ctx context.Context, o CreateOptions) (err error) {
	sc, text, err := spec.LoadText(o.Bundle)
	if err != nil {
		return err
	}
	sc.ID = o.ID
	sc.LoopbackUp = true
	if err := r.serve(sc, o.Listen); err != nil {
		return err
	}
	if err := sc.Check(); err != nil {
		return fmt.Errorf("bundle %q: %w", o.Bundle, err)
	}
	r.step("read config.json")
	scope, err := r.Scope(sc.Linux.CgroupsPath, o.ID)
	if err != nil {
		return err
	}
	c := &creation{scope: scope, options: o, spec: sc, hold: container.Hold{Start: -1, Failure: -1}, console: -1}
	defer c.closeAll()
	if err := c.openConsole(); err != nil {
		return err
	}
	if c.entry, err = r.Root.Create(o.ID); err != nil {
		return err
	}
	defer c.entry.Close()
	defer func() {
		if err != nil {
			err = undo(c.entry, err)
			if c.plan != nil {
				c.plan.Poststop(func(err error) { r.warn(err.Error()) })
			}
		}
	}()
	if err := c.entry.Write(state.ConfigFile, []byte(text)); err != nil {
		return fmt.Errorf("keep the configuration: %w", err)
	}
	if r.Notify != "" {
		if err := notify.Make(c.entry.Path(state.NotifyDir)); err != nil {
			return err
		}
	}
	if c.hold.Start, c.hold.Failure, err = c.entry.Hold(); err != nil {
		return fmt.Errorf("create container %q: %w", o.ID, err)
	}
	r.step("make the state directory")
	return c.run(ctx, r)
}

// undo removes the directory of a container that could not be made. When a control
// group of it is still there, nothing else would lead to that.
func undo(e *state.Entry, err error) error {
	var left *cgroup.LeftError
	if errors.As(err, &left) {
		return fmt.Errorf("%w; delete container %q with --force once that can go", err, e.ID)
	}
	return errors.Join(err, e.Remove())
}

// run makes the processes, and leaves them alone.
func (c *creation) run(ctx context.Context, r *Runtime) error {
	pl, err := c.begin(r)
	if err != nil {
		return err
	}
	c.plan = pl
	c.state = &state.State{
		OCIVersion: c.spec.Version, ID: c.options.ID, Bundle: c.spec.Bundle, Rootfs: c.spec.RootPath(),
		Created: time.Now(), Owner: os.Getuid(), Annotations: c.spec.Annotations,
		Hooks: later(c.spec.Hooks),
	}
	c.state.Group, _ = pl.Group()
	c.state.SharesPids = sharesPids(c.spec)
	// Before anything is made that would not be found otherwise.
	if before := pl.Before(); before != 0 {
		if err := c.entry.Write(state.MountFile, strconv.AppendUint(nil, before, 10)); err != nil {
			return fmt.Errorf("keep the mount of the root: %w", err)
		}
	}
	if err := c.entry.Save(c.state); err != nil {
		return err
	}
	if err := r.alone(c.state, c.spec.Linux.CgroupsPath); err != nil {
		return err
	}
	r.step("plan, write state.json")
	ct, err := pl.Start(ctx, nil)
	if err != nil {
		return explain(c.spec, err)
	}
	c.closeAll() // the child has its own
	if err := c.settle(r, ct); err != nil {
		return explain(c.spec, ct.Abort(err))
	}
	if r.Warn != nil {
		for _, text := range pl.Warnings() {
			r.Warn(text)
		}
	}
	return nil
}

// begin plans the child.
func (c *creation) begin(r *Runtime) (*container.Plan, error) {
	o := container.Options{GroupName: r.groupName(c.options.ID), Scope: c.scope, Stdio: c.options.Stdio, Hold: &c.hold, Kept: true, Spare: true, KeepKeyring: c.options.KeepKeyring,
		Hooking: c.hooking, Preserve: c.options.Preserve}
	if c.console >= 0 {
		o.Console = c.console
	}
	return container.Begin(c.spec, o)
}

// alone says whether no other container of this root has a control group of the
// path that config.json names: what is done to one would be done to both. It is
// asked when this one's state is written, so that of two that are created at once
// one sees the other.
func (r *Runtime) alone(s *state.State, path string) error {
	if path == "" || len(s.Group.Dirs) == 0 {
		return nil
	}
	dir, _, _ := strings.Cut(s.Group.Dirs[0], "\t")
	if unix.Access(dir, unix.F_OK) != nil {
		return nil // whoever makes it first has it
	}
	ids, err := r.Root.List()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if id == s.ID {
			continue
		}
		other, err := r.Open(id)
		if err != nil {
			continue // it is broken, or has been removed meanwhile
		}
		status := other.Status()
		other.Close()
		for _, line := range other.Group.Dirs {
			if theirs, _, _ := strings.Cut(line, "\t"); theirs == dir {
				return fmt.Errorf("linux.cgroupsPath: %q is the control group of container %q, which is %s: choose another path, or delete that one", path, id, status)
			}
		}
	}
	return nil
}

// groupName names a container's control group, where config.json does not: the
// same ID may be in another root, too.
func (r *Runtime) groupName(id string) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(r.Root)) // it never fails
	return fmt.Sprintf("%s@%08x", id, sum.Sum32())
}

// hooking writes down, before the first hook, whom to kill: with the container, a
// hook that hangs is ended, too.
func (c *creation) hooking(pid int) (err error) {
	c.state.Pid, c.state.Creating = pid, true
	if c.state.Start, _, _, err = born(pid); err != nil {
		return fmt.Errorf("find process %d: %w; mount /proc", pid, err)
	}
	return c.entry.Save(c.state)
}

// settle writes down that there is a container, and lets it go.
func (c *creation) settle(r *Runtime, ct *container.Container) (err error) {
	if err := ct.SetUp(); err != nil {
		return err
	}
	if r.Ready != nil {
		r.Ready(ct)
	}
	c.state.Pid, c.state.Creating = ct.Pid(), false
	if c.state.Start, _, _, err = born(c.state.Pid); err != nil {
		return fmt.Errorf("find process %d: %w; mount /proc", c.state.Pid, err)
	}
	c.state.Group.Dirs = nil
	if g := ct.Group(); g != nil {
		c.state.Group = g.State()
	}
	if err := c.entry.Save(c.state); err != nil {
		return err
	}
	if c.options.PidFile != "" {
		if err := writePidFile(c.options.PidFile, c.state.Pid); err != nil {
			return err
		}
	}
	r.step("write state.json")
	if err := ct.Leave(); err != nil {
		if c.options.PidFile != "" {
			_ = os.Remove(c.options.PidFile) // of the two errors this one matters
		}
		return err
	}
	r.step("let it go")
	return nil
}

// openConsole connects to the socket that gets the terminal.
func (c *creation) openConsole() error {
	terminal, path := c.spec.Process.Terminal, c.options.ConsoleSocket
	switch {
	case terminal && path == "":
		return errors.New("process.terminal: cannot allocate tty if runc will detach without setting console socket: give --console-socket")
	case !terminal && path != "":
		return errors.New("--console-socket: cannot use console socket if runc will not detach or allocate tty: set process.terminal, or leave it out")
	case path == "":
		return nil
	}
	fd, err := connectConsole(path)
	if err != nil {
		return err
	}
	c.console = fd
	return nil
}

func (c *creation) closeAll() {
	for _, fd := range []*int{&c.hold.Start, &c.hold.Failure, &c.console} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// writePidFile writes the number into a file, whole: a reader sees none, or it.
func writePidFile(name string, pid int) error {
	part := filepath.Join(filepath.Dir(name), "."+filepath.Base(name))
	// What has the name already may be a link that another user has put there.
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("--pid-file: %w", err)
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return fmt.Errorf("--pid-file: %w", err)
	}
	_, err = f.Write(strconv.AppendInt(nil, int64(pid), 10))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, name)
	}
	if err != nil {
		_ = os.Remove(part) // of the two errors this one matters
		return fmt.Errorf("--pid-file: %w", err)
	}
	return nil
}

// explain says of a command that is not there what engines look for.
func explain(sc *spec.Container, err error) error {
	var op *program.OpError
	if !errors.As(err, &op) || op.Op.Call != unix.SYS_FACCESSAT2 {
		return err
	}
	told := fmt.Errorf("start container process: exec: %q: %w", sc.Process.Args[0], notExecutable(sc.Process.Args[0], op.Errno))
	var left *cgroup.LeftError
	if errors.As(err, &left) {
		return errors.Join(told, left)
	}
	return told
}

// connectConsole connects to the socket that gets a terminal.
func connectConsole(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("--console-socket: make a socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("--console-socket: connect to %q: %w", path, err)
	}
	return fd, nil
}
