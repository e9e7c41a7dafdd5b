package lifecycle

import (
	"context"
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/container"
	"isoperf/runtime/program"
	"isoperf/runtime/spec"
)

// ExecOptions say what is to enter a container.
type ExecOptions struct {
	ID string
	// Process makes the process, from a copy of the container's own.
	Process func(own *specs.Process) (*specs.Process, error)
	Stdio   [3]int
	// Preserve is how many descriptors from 3 on it gets, too.
	Preserve int
	// PidFile is a file that gets its number; empty: none.
	PidFile string
	// ConsoleSocket is a unix socket that gets its terminal; empty: none.
	ConsoleSocket string
	// Detach leaves it alone when it is executed.
	Detach bool
	// IgnorePaused has it enter a paused container, where it waits.
	IgnorePaused bool
	// Cgroups are groups below the container's; see cgroup.ParseBelow.
	Cgroups []string
}

// Execution is a process that is to enter a container.
type Execution struct {
	Spec    *spec.Container
	Options container.Options // without Console, where there is no console socket
	exec    ExecOptions
	pidfd   int
	console int
}

// Exec looks whether a process can enter a container. No lock is taken: the
// container may end at any time.
func (r *Runtime) Exec(o ExecOptions) (_ *Execution, err error) {
	c, err := r.Open(o.ID)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	switch s := c.Status(); {
	case s == Stopped || s == Creating:
		return nil, fmt.Errorf("cannot exec in a %s container", s)
	case s == Paused && !o.IgnorePaused:
		return nil, errPaused
	}
	e := &Execution{exec: o, pidfd: -1, console: -1}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	if e.pidfd, err = c.openProcess(); err != nil {
		return nil, fmt.Errorf("open process %d: %w", c.Pid, err)
	}
	entered, err := container.Enter(c.Pid, e.pidfd)
	if err != nil {
		return nil, err
	}
	e.Options = container.Options{Stdio: o.Stdio, Preserve: o.Preserve, Entered: entered}
	if !alive(c.Pid, c.Start) { // its namespaces may have been another's
		return nil, errors.New("cannot exec in a stopped container")
	}
	if entered.Group, err = c.join(o.Cgroups); err != nil {
		return nil, err
	}
	if !o.IgnorePaused && entered.Group != nil && entered.Group.Stands() {
		return nil, fmt.Errorf("%w: a control group above the container's is frozen", errPaused)
	}
	return e, e.plan(c)
}

// errPaused is in runc's words.
var errPaused = errors.New("cannot exec in a paused container (use --ignore-paused to override)")

// join opens the control groups; nil: the container has none.
func (c *Container) join(list []string) (*cgroup.Group, error) {
	below, err := cgroup.ParseBelow(list)
	if err != nil {
		return nil, fmt.Errorf("--cgroup: %w", err)
	}
	if len(c.Group.Dirs) == 0 {
		if len(list) > 0 {
			return nil, errors.New("--cgroup: the container has no control group: leave it out")
		}
		return nil, nil
	}
	host, err := cgroup.Detect()
	if err != nil {
		return nil, err
	}
	return cgroup.Join(host, c.Group, below, c.Pid)
}

// plan makes the process's description.
func (e *Execution) plan(c *Container) error {
	sc, err := c.Spec()
	if err != nil {
		return err
	}
	if sc.Process == nil || sc.Linux == nil {
		return fmt.Errorf("read the configuration of container %q: it has no process, or no linux section", c.ID)
	}
	process := *sc.Process
	p, err := e.exec.Process(&process)
	if err != nil {
		return err
	}
	if e.Spec, err = sc.With(p, e.Options.Entered.Flags); err != nil {
		return err
	}
	terminal, socket := e.Spec.Process.Terminal, e.exec.ConsoleSocket
	switch {
	case socket != "" && !(terminal && e.exec.Detach):
		return errors.New("cannot use console socket if runc will not detach or allocate tty")
	case socket == "" && terminal && e.exec.Detach:
		return errors.New("cannot allocate tty if runc will detach without setting console socket")
	case socket != "":
		if e.console, err = connectConsole(socket); err != nil {
			return err
		}
		e.Options.Console = e.console
	}
	return nil
}

// Detach starts the process and leaves it alone.
func (e *Execution) Detach(ctx context.Context) error {
	e.Options.Hold = &container.Hold{Start: -1, Failure: -1}
	ct, err := container.Start(ctx, e.Spec, e.Options, nil)
	if err != nil {
		return e.Explain(err)
	}
	if err := ct.SetUp(); err != nil {
		return e.Explain(ct.Abort(err))
	}
	pid := ct.Pid() // the second child's, from here on
	if err := ct.LeaveRunning(); err != nil {
		return e.Explain(ct.Abort(err))
	}
	if e.exec.PidFile == "" {
		return nil
	}
	if err := writePidFile(e.exec.PidFile, pid); err != nil {
		// Nobody would know of it. It is a child still, so the number is its own.
		return errors.Join(err, unix.Kill(pid, unix.SIGKILL))
	}
	return nil
}

// Started is for one that is stood for: it writes the pid file.
func (e *Execution) Started(ct *container.Container) error {
	if e.exec.PidFile == "" {
		return nil
	}
	if e.Options.Entered.Flags&unix.CLONE_NEWPID != 0 {
		if err := ct.Process().Adopt(); err != nil {
			return err
		}
	}
	return writePidFile(e.exec.PidFile, ct.Pid())
}

// Explain says of a command that cannot be executed what engines look for.
func (e *Execution) Explain(err error) error {
	var op *program.OpError
	if e.Spec == nil || !errors.As(err, &op) || op.Op.Call != unix.SYS_EXECVE {
		return err
	}
	command := e.Spec.Process.Args[0]
	return fmt.Errorf("unable to start container process: exec: %q: %w", command, notExecutable(command, op.Errno))
}

// Close gives its descriptors back.
func (e *Execution) Close() {
	if entered := e.Options.Entered; entered != nil {
		entered.Close()
		if entered.Group != nil {
			entered.Group.Close()
		}
	}
	for _, fd := range []*int{&e.pidfd, &e.console} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}
