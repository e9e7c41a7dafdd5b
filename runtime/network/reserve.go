package network

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// reservation is sockets that hold the published ports of the host. Nothing
// arrives there, since the rules lead elsewhere before; but whoever else wants
// a port learns that it is taken, and so does the container if it was before.
type reservation []int

func reserve(ports []Port) (reservation, error) {
	var held reservation
	for _, p := range ports {
		fd, err := hold(p)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("publish port %q: %w; does something else listen there? (ss -ltnup)", p, err), held.release())
		}
		held = append(held, fd)
	}
	return held, nil
}

// hold binds a socket.
func hold(p Port) (int, error) {
	kind := map[string]int{"tcp": syscall.SOCK_STREAM, "udp": syscall.SOCK_DGRAM}[p.Protocol]
	family, addr := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(p.HostPort)})
	switch {
	case p.Host.Is6():
		family, addr = unix.AF_INET6, &unix.SockaddrInet6{Port: int(p.HostPort), Addr: p.Host.As16()}
	case p.Host.IsValid():
		addr = &unix.SockaddrInet4{Port: int(p.HostPort), Addr: p.Host.As4()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	// Connections of the past (TIME_WAIT) are no reason to refuse the port, as
	// with every server. Then only one that listens keeps others out.
	if p.Protocol == "tcp" {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, addr)
	}
	if err == nil && p.Protocol == "tcp" {
		err = unix.Listen(fd, 1)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (r reservation) release() error {
	var failed []error
	for _, fd := range r {
		failed = append(failed, unix.Close(fd))
	}
	return errors.Join(failed...)
}

// taken says whether somebody has the port.
func taken(p Port) bool {
	fd, err := hold(p)
	if err == nil {
		unix.Close(fd)
	}
	return err == unix.EADDRINUSE
}
