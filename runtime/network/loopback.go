package network

import (
	"fmt"

	"golang.org/x/sys/unix"

	"isoperf/runtime/network/loopback"
	"isoperf/runtime/program"
)

// Loopback adds the ops that bring lo up in a network namespace that the child
// has just entered; see loopback.Up, which a runtime without any other network
// imports alone.
func Loopback(p *program.Program) { loopback.Up(p) }

// socket is an IPv4 socket, closed on exec.
func socket(name string, kind int) program.Op {
	symbol := "SOCK_DGRAM"
	if kind == unix.SOCK_STREAM {
		symbol = "SOCK_STREAM"
	}
	return program.Op{
		Name: name, Call: unix.SYS_SOCKET,
		Args: [6]program.Arg{program.Int(unix.AF_INET), program.Int(kind | unix.SOCK_CLOEXEC), program.Int(0)},
		Text: fmt.Sprintf("socket(AF_INET, %s|SOCK_CLOEXEC, 0)", symbol),
	}
}
