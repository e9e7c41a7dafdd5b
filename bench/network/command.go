package network

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// command is a process at one end of a path.
type command struct {
	place *place
	proc  *program.Process
	said  sync.WaitGroup
	out   bytes.Buffer // what it has written, once it has ended
	errs  bytes.Buffer
	ended bool
}

// exec has a file run in the command's place; it keeps the descriptors that it
// inherits.
func (c *command) exec(host *place, file *os.File, argv, env []string, inherit ...int) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer null.Close()
	out, err := c.collect(&c.out)
	if err != nil {
		return err
	}
	defer out.Close()
	errs, err := c.collect(&c.errs)
	if err != nil {
		return err
	}
	defer errs.Close()
	p := program.New(program.Stub, 0)
	p.Stdio(int(null.Fd()), int(out.Fd()), int(errs.Fd()))
	for _, fd := range inherit {
		p.Inherit(fd)
	}
	p.Keep(int(file.Fd()))
	if c.place != host {
		p.Keep(c.place.net)
		p.Add(program.Setns(program.Int(c.place.net), unix.CLONE_NEWNET))
	}
	p.ExecAt(program.Int(file.Fd()), argv, env)
	if c.proc, err = program.Start(p); err != nil {
		return err
	}
	return c.proc.WaitExec()
}

// collect gives a pipe of which what is written ends in a buffer.
func (c *command) collect(to *bytes.Buffer) (*os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	c.said.Go(func() {
		_, _ = io.Copy(to, read) // what it said is for messages only
		read.Close()
	})
	return write, nil
}

// gone says whether the process has ended.
func (c *command) gone() bool {
	fds := []unix.PollFd{{Fd: int32(c.proc.Pidfd()), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, 0) // interrupted: it is looked at again
	return n > 0
}

// failure is why an end that has ended did so.
func (c *command) failure() error {
	status, err := c.wait()
	if err != nil {
		return err
	}
	return fmt.Errorf("the %s's end ended with %v: %s", c.place.name, status, strings.TrimSpace(c.errs.String()))
}

func (c *command) wait() (program.Status, error) {
	status, err := c.proc.Wait()
	c.ended = true
	c.proc.Release()
	c.said.Wait()
	return status, err
}

// close kills a process that still runs.
func (c *command) close() error {
	if c.proc == nil || c.ended {
		return nil
	}
	_ = c.proc.Signal(unix.SIGKILL) // it may have ended
	_, err := c.wait()
	return err
}
