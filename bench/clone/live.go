package clone

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/runtime/namespace"
)

// Live are the cases with network namespaces that are alive: empty ones, of
// which 2,000 hardly slow the next one on Linux 6.18, and ones that hold a
// listener, which slow it. Below a thousand what they add is lost among what
// else moves a time.
func Live(e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, s := range []struct {
		holds string // in the case's name; "": nothing
		keep  func() (fd int, err error)
		live  []int
	}{
		{"", openNetns, []int{0, 10, 50, 100, 200, 500, 1000, 2000}},
		{"holds=listener/", listen, []int{0, 100, 500, 1000, 2000}},
	} {
		for _, live := range s.live {
			cases = append(cases, harness.Case{
				Name:    fmt.Sprintf("SweepNetns/live=%d/%sflag=net", live, s.holds),
				Samples: e.Burst, Run: 20, Ballast: true, Drops: true,
				Cost: 2*time.Millisecond + time.Duration(live)*time.Millisecond/10,
				Open: func() (harness.Sampler, error) { return openLive(live, s.keep) },
			})
		}
	}
	return cases
}

// openNetns is a descriptor of the calling thread's network namespace.
func openNetns() (int, error) {
	return unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// listen is a socket that hears of changes to links, addresses and routes in
// the calling thread's network namespace, as whoever manages a network there
// has, and keeps the namespace alive. The kernel has one list of such sockets
// for all namespaces, and goes through it for each thing that it tells, so also
// when the loopback of a new one is registered (do_one_broadcast in
// net/netlink/af_netlink.c).
func listen() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, err
	}
	var groups uint32
	for _, g := range []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE} {
		groups |= 1 << (g - 1)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openLive makes network namespaces on a thread and keeps each by a
// descriptor. The thread stays in the last one: without privilege it could not
// return to the first.
func openLive(live int, keep func() (fd int, err error)) (harness.Sampler, error) {
	var held []int
	drop := func() error {
		for _, fd := range held {
			if err := unix.Close(fd); err != nil {
				return err
			}
		}
		return nil
	}
	net, _ := namespace.ByName("net")
	s, err := openOnThread(net.Flag, func() error {
		for range live {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("make network namespace %d: %w", len(held)+1, err)
			}
			fd, err := keep()
			if err != nil {
				return fmt.Errorf("hold network namespace %d: %w", len(held)+1, err)
			}
			held = append(held, fd)
		}
		return nil
	})
	if err != nil {
		drop()
		return nil, err
	}
	return withClose{s, drop}, nil
}

// withClose is a sampler with more to remove.
type withClose struct {
	harness.Sampler
	more func() error
}

func (w withClose) Close() error {
	if err := w.Sampler.Close(); err != nil {
		return err
	}
	return w.more()
}
