package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/namespace"
	"isoperf/runtime/network/device"
	"isoperf/runtime/program"
	"isoperf/runtime/program/inherit"
	"isoperf/runtime/rootfs"
	"isoperf/runtime/spec"
)

// Connect is what the launcher does to the network of a container that waits
// for it. The descriptors are those of its namespaces, user 0 when it has none
// of its own; they are closed afterwards.
type Connect func(ctx context.Context, pid, user, net int) error

// Container is a container that was started.
type Container struct {
	plan       *Plan
	process    *program.Process
	whole      bool               // the program was complete when the child was made
	group      *cgroup.Group      // nil: none
	record     *rootfs.HostRecord // of mounts on the host; nil: none
	commandPid int                // then: the command
	command    int                // the command's pidfd, when there is an init before it; 0: it is the process itself
	events     []Event
	listened   bool  // the listener of the seccomp filter was told
	deaf       error // why it could not be
}

// Event is a step of the launcher: nanoseconds of CLOCK_MONOTONIC.
type Event struct {
	Name       string
	Start, End int64
}

// Start plans a checked container and starts it, like New and Plan.Start, but
// sooner: the child is made first, and the rest is planned while it gets ready.
func Start(ctx context.Context, sc *spec.Container, o Options, connect Connect) (*Container, error) {
	pl, err := Begin(sc, o)
	if err != nil {
		return nil, err
	}
	return pl.start(ctx, connect)
}

// Begin plans as much of a checked container as it takes to make the child. Start
// plans the rest, while the child gets ready.
func Begin(sc *spec.Container, o Options) (*Plan, error) {
	o.Ahead = true
	return begin(sc, o)
}

// Start starts the container. The calling goroutine must be locked to a thread
// that does not end before the container does (see program.Launcher): the
// container dies with it. When Start fails nothing is left; otherwise Wait must
// be called. The context ends the connecting of the network.
func (pl *Plan) Start(ctx context.Context, connect Connect) (*Container, error) {
	return pl.start(ctx, connect)
}

func (pl *Plan) start(ctx context.Context, connect Connect) (*Container, error) {
	defer pl.spare.Close()
	defer pl.closeHooks()
	defer pl.prepared.close()
	c := &Container{plan: pl}
	if pl.ahead == 0 || !program.CanBegin() {
		if err := pl.complete(); err != nil {
			return nil, err
		}
	}
	if err := c.prepareMounts(); err != nil {
		return nil, err
	}
	// In the launcher's own cpuset still.
	inherit.Restore()
	if e := pl.options.Entered; e != nil && e.Group != nil {
		c.group = e.Group
		if !pl.placed() {
			pl.program.Cgroup = e.Group.FD()
		}
	}
	if pl.group != nil && !pl.group.Empty() && !pl.goes && !pl.placed() {
		if err := c.makeGroup(); err != nil {
			return nil, err
		}
		if c.group != nil {
			pl.program.Cgroup = c.group.FD()
		}
	}
	err := c.recordMounts()
	if err == nil {
		err = c.launch()
	}
	if err != nil {
		return nil, errors.Join(err, c.unmount(), c.removeGroup())
	}
	if pl.options.Spare && pl.spare == nil {
		program.TakeSpare(0) // it may not have been asked for any
	}
	err = c.place(ctx)
	if err == nil {
		err = c.complete()
	}
	if err == nil {
		err = c.guide(ctx, connect)
	}
	if err != nil {
		return nil, c.Abort(err)
	}
	return c, nil
}

// recordMounts leaves a record of the mounts that will be the host's, for Sweep.
func (c *Container) recordMounts() (err error) {
	if c.plan.before != 0 && c.plan.options.Record != "" {
		c.record, err = rootfs.RecordHost(c.plan.options.Record, c.plan.spec.RootPath(), c.plan.before)
	}
	return err
}

// launch clones the child, inside its control groups.
func (c *Container) launch() error {
	start := program.Now()
	begin := program.Begin
	if c.plan.done {
		begin = program.Start
	}
	c.whole = c.plan.done
	back, err := c.plan.initialAffinity()
	if err != nil {
		return err
	}
	defer back()
	clone := func() (err error) {
		c.process, err = begin(c.plan.program)
		return err
	}
	if c.group == nil {
		err = clone()
	} else {
		c.group.Later = true
		err = c.group.Within(clone)
	}
	if err != nil && c.process != nil {
		_ = c.process.Signal(unix.SIGKILL) // it is not to go on
		_, _ = c.process.Wait()
		c.process.Release()
	}
	c.event("launch", start)
	return err
}

// limit writes the limits that would have hit the launching thread, when the
// child has made its mounts: what the kernel keeps for those, and has in stock on
// another processor, must not meet a limit that leaves no room for it.
func (c *Container) limit() error {
	if c.plan.mounted != 0 {
		if err := c.process.Await(c.plan.mounted); err != nil {
			return err
		}
		start := program.Now()
		if err := c.group.Settle(); err != nil {
			return err
		}
		c.event("limit", start)
	}
	c.process.Open(c.plan.limited)
	return nil
}

// complete plans the rest, when the child was begun without it.
func (c *Container) complete() error {
	if c.plan.ahead == 0 {
		return nil
	}
	if c.whole {
		if pl := c.plan; pl.goes && pl.group != nil && !pl.group.Empty() {
			if err := c.makeGroup(); err != nil {
				return err
			}
		}
		c.process.Open(c.plan.ahead)
		return nil
	}
	start := program.Now()
	c.plan.proceed, c.plan.makeGroup = c.process.Continue, c.makeGroup
	if err := c.plan.complete(); err != nil {
		return err
	}
	err := c.process.Continue(c.plan.ahead)
	c.event("plan the rest", start)
	return err
}

func (c *Container) event(name string, start int64) {
	c.events = append(c.events, Event{Name: name, Start: start, End: program.Now()})
}

// guide does the launcher's part while the child runs its program.
func (c *Container) guide(ctx context.Context, connect Connect) error {
	pl := c.plan
	var user, net int
	if pl.connected != 0 {
		var err error
		if user, net, err = c.namespaces(); err != nil {
			return err
		}
		defer unix.Close(net)
		if user != 0 {
			defer unix.Close(user)
		}
	}
	if pl.mapped != 0 {
		start := program.Now()
		if err := pl.maps.Write(c.process.Pid()); err != nil {
			return err
		}
		c.event("write id maps", start)
		c.process.Open(pl.mapped)
	}
	if pl.moved != 0 {
		if err := c.moveDevices(); err != nil {
			return err
		}
	}
	if pl.grouped != 0 {
		if err := c.makeGroup(); err != nil {
			return err
		}
		c.process.Open(pl.grouped)
	}
	if pl.hooks != nil {
		if err := c.runHooks(ctx); err != nil {
			return err
		}
	}
	pl.reached = true
	if pl.limited != 0 { // gates open in their order
		if err := c.limit(); err != nil {
			return err
		}
	}
	if pl.connected != 0 {
		if connect == nil {
			return errors.New("start container: its network is to be connected, and nobody does")
		}
		start := program.Now()
		if err := connect(ctx, c.process.Pid(), user, net); err != nil {
			return err
		}
		c.event("connect network", start)
		c.process.Open(pl.connected)
	}
	if err := c.hearEarly(); err != nil {
		return err
	}
	if pl.forked != 0 {
		if err := c.process.Await(pl.confined); err != nil {
			return err
		}
		c.process.Open(pl.released)
		return c.findCommand()
	}
	return nil
}

// moveDevices moves network devices of the host into the child's namespace.
func (c *Container) moveDevices() error {
	if err := c.process.Await(c.plan.entered); err != nil {
		return err
	}
	start := program.Now()
	net, _ := namespace.ByName("net")
	fd, err := unix.Open(net.Path(c.process.Pid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("linux.netDevices: open the container's network namespace: %w", err)
	}
	defer unix.Close(fd)
	if err := device.Move(c.plan.spec.Linux.NetDevices, fd); err != nil {
		return err
	}
	c.event("move network devices", start)
	c.process.Open(c.plan.moved)
	return nil
}

// namespaces opens the child's, before it changes its credentials: after that an
// ordinary user cannot. user is 0 where it has none of its own.
func (c *Container) namespaces() (user, net int, err error) {
	if _, join := c.plan.spec.Flags(); joins(join, specs.UserNamespace) || joins(join, specs.PIDNamespace) {
		// The first child still has the launcher's network: wait for the second.
		if err := c.process.Adopt(); err != nil {
			return 0, 0, err
		}
	}
	open := func(name string) (int, error) {
		n, _ := namespace.ByName(name)
		path := n.Path(c.process.Pid())
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, fmt.Errorf("open %q: %w", path, err)
		}
		return fd, nil
	}
	if net, err = open("net"); err != nil {
		return 0, 0, err
	}
	if c.plan.created&unix.CLONE_NEWUSER != 0 {
		if user, err = open("user"); err != nil {
			unix.Close(net)
		}
	}
	return user, net, err
}

// findCommand finds the process that the init has made, to signal it.
func (c *Container) findCommand() error {
	if err := c.process.Await(c.plan.forked); err != nil {
		return err
	}
	pid := c.process.Pid()
	path := fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("find the command below its init: %w (it takes CONFIG_PROC_CHILDREN)", err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil // it has ended already
	}
	c.process.Watch(child)
	c.commandPid = child
	if c.command, err = unix.PidfdOpen(child, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("open a descriptor of process %d: %w", child, err)
	}
	return nil
}
