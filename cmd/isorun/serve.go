package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"isoperf/runtime/container"
	"isoperf/runtime/foreground"
	"isoperf/runtime/notify"
	"isoperf/runtime/spec"
)

// serve gives a container in the foreground what a service manager has for it:
// sockets, and a place to say that it is ready, which is passed on with this
// process as the main one. The function ends that, when the container has ended.
func serve(c *spec.Container, o *foreground.Options, preserve string) (end func() error, err error) {
	end = func() error { return nil }
	listen := listening()
	if o.Container.Preserve, err = preserved(preserve, listen); err != nil || c.Process == nil {
		return end, err
	}
	if listen > 0 {
		c.Process.Env = append(c.Process.Env, "LISTEN_FDS="+strconv.Itoa(listen), "LISTEN_PID=1")
	}
	host := getenv("NOTIFY_SOCKET")
	if host == "" {
		return end, nil
	}
	dir, err := os.MkdirTemp("", "isorun-notify-")
	if err != nil {
		return end, fmt.Errorf("NOTIFY_SOCKET: make a directory for the container's socket: %w", err)
	}
	dir += "/notify"
	remove := func() error { return errors.Join(notify.Remove(dir), os.Remove(dir[:len(dir)-len("/notify")])) }
	var socket *notify.Socket
	if err = notify.Make(dir); err == nil {
		socket, err = notify.Bind(dir)
	}
	if err != nil {
		return end, errors.Join(err, remove())
	}
	notify.Show(c.Spec, dir)
	told := make(chan error, 1)
	started := false
	o.Started = func(ct *container.Container) error {
		pidfd, err := unix.FcntlInt(uintptr(ct.Process().Pidfd()), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("NOTIFY_SOCKET: %w", err)
		}
		started = true
		go func() {
			told <- socket.Relay(host, pidfd, os.Getpid())
			unix.Close(pidfd)
		}()
		return nil
	}
	return func() error {
		var err error
		if started {
			err = <-told // the container has ended, and so has this
		}
		socket.Close()
		return errors.Join(err, remove())
	}, nil
}
