package container

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/jsontext"
	"isoperf/runtime/program"
)

// load adds the op that loads a filter. Where the filter leaves calls to a
// listener, the child waits until that has the descriptor: what of it the
// listener is asked for, it can answer then. See "seccomp" in the OCI runtime
// specification, and SECCOMP_FILTER_FLAG_NEW_LISTENER in seccomp(2), Linux 5.0.
func (pl *Plan) load(filter program.Op) {
	pl.loaded = pl.program.Add(filter)
	if pl.filter.Listener {
		pl.notified = pl.program.Tell("filter loaded")
		pl.heard = pl.program.Wait("listener told")
	}
}

// hear takes the descriptor of the filter's listener from the child, sends it to
// the listener, and lets the child go on.
func (c *Container) hear() error {
	c.listened = true
	if err := c.process.Await(c.plan.notified); err != nil {
		return err
	}
	start := program.Now()
	profile := c.plan.spec.Linux.Seccomp
	number := int(c.process.Result(c.plan.loaded))
	fd, err := unix.PidfdGetfd(c.process.Pidfd(), number, 0) // Linux 5.6
	if err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: take the descriptor from process %d: %w; a listener of a process that enters a container takes root", c.process.Pid(), err)
	}
	defer unix.Close(fd)
	// The number comes from memory that the child can write.
	if what, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err != nil || what != "anon_inode:seccomp notify" {
		return fmt.Errorf("linux.seccomp.listenerPath: descriptor %d of process %d is %q, and no listener's", number, c.process.Pid(), what)
	}
	if err := sendListener(profile.ListenerPath, c.processState(profile.ListenerMetadata), fd); err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: send the descriptor to %q: %w", profile.ListenerPath, err)
	}
	c.event("tell listener", start)
	c.process.Open(c.plan.heard)
	return nil
}

// sendListener sends one message over a connection of its own.
func sendListener(path string, state []byte, fd int) error {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	if err := unix.Connect(socket, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	rights := unix.UnixRights(fd)
	for len(state) > 0 {
		n, err := unix.SendmsgN(socket, state, rights, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		state, rights = state[n:], nil
	}
	return nil
}

// processState is what a listener is told: the specification's "container process
// state".
func (c *Container) processState(metadata string) []byte {
	sc := c.plan.spec
	status, first := "creating", c.process.Pid()
	if e := c.plan.options.Entered; e != nil {
		status, first = "running", e.Pid
	}
	version := sc.Version
	if version == "" {
		version = specs.Version
	}
	w := jsontext.Writer{}
	text := func(name, value string) { w.Name(name); w.String(value) }
	w.Open('{')
	text("ociVersion", version)
	w.Name("fds")
	w.Strings([]string{specs.SeccompFdName})
	w.Name("pid")
	w.Int(int64(c.process.Pid()))
	if metadata != "" {
		text("metadata", metadata)
	}
	w.Name("state")
	w.Open('{')
	text("ociVersion", version)
	text("id", sc.ID)
	text("status", status)
	w.Name("pid")
	w.Int(int64(first))
	text("bundle", sc.Bundle)
	if len(sc.Annotations) > 0 {
		w.Name("annotations")
		w.Open('{')
		for _, name := range slices.Sorted(maps.Keys(sc.Annotations)) {
			text(name, sc.Annotations[name])
		}
		w.Close('}')
	}
	w.Close('}')
	w.Close('}')
	return w.Text
}
