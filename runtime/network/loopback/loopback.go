// Package loopback brings the loopback interface of a network namespace up, as
// ops of a program: the one thing that every namespace of a container's own
// needs, and all of the network that a runtime without a network driver has.
package loopback

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// Up adds the ops that bring lo up inside a network namespace that the child
// is in: it gets 127.0.0.1 and ::1 with that. It takes CAP_NET_ADMIN in the user
// namespace that owns the network namespace. See netdevice(7).
func Up(p *program.Program) {
	sock := p.Add(program.Op{
		Name: "lo socket", Call: unix.SYS_SOCKET,
		Args: [6]program.Arg{program.Int(unix.AF_INET), program.Int(unix.SOCK_DGRAM | unix.SOCK_CLOEXEC), program.Int(0)},
		Text: "socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, 0)",
	})
	// struct ifreq: the name, then the flags.
	request := make([]byte, unix.IFNAMSIZ+24)
	copy(request, "lo")
	binary.NativeEndian.PutUint16(request[unix.IFNAMSIZ:], unix.IFF_UP)
	p.Add(program.Op{
		Name: "lo up", Call: unix.SYS_IOCTL,
		Args: [6]program.Arg{program.Result(sock), program.Int(unix.SIOCSIFFLAGS), program.Bytes(request)},
		Text: fmt.Sprintf("ioctl(%v, SIOCSIFFLAGS, {\"lo\", IFF_UP})", program.Result(sock)),
	})
	end := program.Close(program.Result(sock))
	end.Name = "lo socket closed"
	p.Add(end)
}
