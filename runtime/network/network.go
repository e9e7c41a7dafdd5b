// Package network is what a container's network is made of: it starts a way
// out of a network namespace, proves that packets take it, and removes it.
//
//	Config ──Check, Settle──► Connect ──► Link ──► Close
//	  pure but for what it looks at │        │
//	                                ▼        └─ Done, Err: it broke on its own
//	   record, locked ──► helper or veth ──► probe inside: connect(2) ──► ready
//	        └── Sweep: after a kill -9 of the runtime, whatever the record names
//
// The modes:
//
//   - none: only lo, which the container's own program brings up (Loopback).
//   - host: the host's network; there is no namespace to connect.
//   - bridge: a veth pair to the bridge isoperf0, with NAT. It takes root, and
//     is IPv4 only: IPv6 would need a prefix to choose, rules of its own in
//     ip6tables, and the forwarding of IPv6, which makes the host itself deaf to
//     router advertisements.
//   - slirp4netns: a whole TCP/IP stack as a process (slirp4netns(1)).
//   - pasta: sockets of the host for flows of the container (pasta(1)).
//
// A Go process has many threads and cannot join a user namespace. What must
// happen inside is a program of the engine in mode stub, which joins first; so
// is every helper, which therefore dies with the runtime.
//
// Ready means: a TCP connection from inside the namespace was answered from
// beyond its gateway. See Connect for which address, by mode.
package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Mode is a way to connect a container.
type Mode string

// The modes; see the package comment.
const (
	None        Mode = "none"
	Host        Mode = "host"
	Bridge      Mode = "bridge"
	Slirp4netns Mode = "slirp4netns"
	Pasta       Mode = "pasta"
)

// Modes are all of them, in the order in which help texts show them.
func Modes() []Mode { return []Mode{None, Host, Bridge, Slirp4netns, Pasta} }

// Namespace says whether a container of this mode has a network namespace of
// its own.
func (m Mode) Namespace() bool { return m != Host }

// rootless says whether a process translates for the container.
func (m Mode) translated() bool { return m == Slirp4netns || m == Pasta }

// Config is a container's network, before it exists.
type Config struct {
	Mode    Mode
	Publish []Port
	// Hostname is what /etc/hosts calls the container; empty: nothing.
	Hostname string
	// MTU of the container's interface in bytes. 0: 65520 through a
	// translator, for which large packets are the cheap ones; on the bridge
	// that of the host's default route, at most 1500.
	MTU int
	// HostLoopback lets the container reach what listens on the host's
	// loopback addresses, through the gateway's address. Translators only.
	HostLoopback bool
	// Record is a directory for what must be swept after a kill -9 of the
	// runtime, made if missing. All bridged containers of a machine must share
	// one. Empty: nothing is recorded, which bridge does not allow.
	Record string
	// ID names the container: in the record and in the comments of its rules.
	ID string
	// Subnet is the IPv4 network of a translator, a /24: .2 is the gateway, .3
	// the name server, .100 the container. Zero: 10.0.2.0/24. Settle chooses
	// one that the host does not use.
	Subnet netip.Prefix
	// IPv6 gives the container IPv6, too. Translators only; Settle decides.
	// Check and Connect then ask it of the host: a default route and an address.
	IPv6 bool
	// Address is the container's, where only Connect knows it: set it from
	// Link.Address before asking for Files on the bridge. Zero: the mode's.
	Address netip.Addr
}

// Target is the namespace to connect, by the process that lives there. The
// descriptors stay the caller's.
type Target struct {
	PID  int // the process, in the caller's pid namespace; it must not end during Connect
	User int // descriptor of its user namespace; 0: no user namespace of its own
	Net  int // descriptor of its network namespace
}

// Step is a part of Connect or Close, for the profile.
type Step struct {
	Name       string
	Start, End int64 // CLOCK_MONOTONIC, nanoseconds
}

// Link is a connected network. Its methods may be called from any goroutine.
type Link struct {
	config  Config
	address netip.Addr
	pid     int // the helper's

	mu     sync.Mutex
	steps  []Step
	undo   []func() error // in the order in which things were made
	closed bool
	result error // of the first Close

	done chan struct{}
	err  error // set before done is closed
}

// readyWithin bounds Connect when its context has no deadline.
const readyWithin = 15 * time.Second

// Connect makes the network and returns when it is ready. The caller holds the
// container at a gate meanwhile, before its credentials change. On an error
// nothing is left behind.
//
// Ready is proved by a TCP connection from inside the namespace. On the bridge
// it goes to the gateway's address, where Connect listens for it. Through a
// translator it goes to an address of the host that is not a loopback one, or
// with HostLoopback to the gateway, which then is the host's loopback; Connect
// listens there, so it is a full handshake. On a host that has only loopback
// addresses a translator has nowhere to connect to: there the refusal of a
// connection to the gateway is the proof, which the translator sends (a reset
// or an ICMP message) and nobody else can, since the route is known to exist.
// With IPv6 a second connection goes to an IPv6 address of the host.
func Connect(ctx context.Context, c Config, t Target) (*Link, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("connect network %q: %w", c.Mode, context.Cause(ctx))
	}
	l := &Link{config: c, done: make(chan struct{})}
	var connect func(context.Context, Target) error
	switch c.Mode {
	case Bridge:
		connect = l.connectBridge
	case Slirp4netns:
		connect = l.connectSlirp
	case Pasta:
		connect = l.connectPasta
	default:
		return l, nil // the container's own program does the rest
	}
	if t.Net <= 0 {
		return nil, fmt.Errorf("connect network %q: there is no descriptor of the container's network namespace", c.Mode)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("it was not ready within %v", readyWithin))
		defer cancel()
	}
	if err := connect(ctx, t); err != nil {
		return nil, errors.Join(fmt.Errorf("connect network %q: %w", c.Mode, err), l.Close())
	}
	return l, nil
}

// Address is the container's IPv4 address; zero in modes none and host.
func (l *Link) Address() netip.Addr { return l.address }

// Helper is the id of the translator's process; 0: there is none.
func (l *Link) Helper() int { return l.pid }

// Config is what the link was made from, with the container's address.
func (l *Link) Config() Config {
	c := l.config
	c.Address = l.address
	return c
}

// Done is closed when the link has broken on its own: its helper has ended.
// Err says why. It is never closed by Close, nor in a mode without a helper.
func (l *Link) Done() <-chan struct{} { return l.done }

// Err is why the link broke; nil while it has not.
func (l *Link) Err() error {
	select {
	case <-l.done:
		return l.err
	default:
		return nil
	}
}

// Close removes everything that Connect made, in reverse order. Closing again
// does nothing, and returns what the first time did.
func (l *Link) Close() error {
	l.mu.Lock()
	if l.closed {
		defer l.mu.Unlock()
		return l.result
	}
	l.closed = true
	undo := l.undo
	l.undo = nil
	l.mu.Unlock()
	var failed []error
	for _, f := range slices.Backward(undo) {
		if err := f(); err != nil {
			failed = append(failed, err)
		}
	}
	err := errors.Join(failed...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result = err
	return err
}

// Steps are the parts of Connect, and of Close after it, in order of their
// end.
func (l *Link) Steps() []Step {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.steps)
}

// step notes a part that began at start and ends now.
func (l *Link) step(name string, start int64) { l.span(name, start, now()) }

func (l *Link) span(name string, start, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, Step{name, start, end})
}

// onClose adds what removes the thing just made.
func (l *Link) onClose(f func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.undo = append(l.undo, f)
}

// now is CLOCK_MONOTONIC in nanoseconds, the clock of timelines.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}
