package network

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"isoperf/runtime/network/loopback"
	"isoperf/runtime/program"
)

// Loopback adds the ops that bring lo up in a network namespace that the child
// has just entered; see loopback.Up, which a runtime without any other network
// imports alone.
func Loopback(p *program.Program) { loopback.Up(p) }

// socket is a socket for connections to an address, closed on exec.
func socket(name string, to netip.Addr, kind int) program.Op {
	symbol, domain := "SOCK_DGRAM", "AF_INET"
	if to.Is6() {
		domain = "AF_INET6"
	}
	if kind == unix.SOCK_STREAM {
		symbol = "SOCK_STREAM"
	}
	return program.Op{
		Name: name, Call: unix.SYS_SOCKET,
		Args: [6]program.Arg{program.Int(family(to)), program.Int(kind | unix.SOCK_CLOEXEC), program.Int(0)},
		Text: fmt.Sprintf("socket(%s, %s|SOCK_CLOEXEC, 0)", domain, symbol),
	}
}
