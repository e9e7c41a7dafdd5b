package device

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a netlink socket of one network namespace.
type socket struct {
	fd       int
	sequence uint32
}

func dial() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("make a netlink socket: %w", err)
	}
	// The kernel answers at once; a lost answer must not hang a container.
	limit := unix.NsecToTimeval((5 * time.Second).Nanoseconds())
	if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make a netlink socket: %w", err)
	}
	return &socket{fd: fd}, nil
}

func (s *socket) close() { unix.Close(s.fd) }

// link is what is of interest of a device.
type link struct {
	index int
	flags uint32
}

// link finds a device by its name; unix.ENODEV: there is none.
func (s *socket) link(name string) (l link, err error) {
	err = s.ask(unix.RTM_GETLINK, unix.NLM_F_ACK, linkMessage(0, 0, 0), attribute(unix.IFLA_IFNAME, zeroed(name)))(func(m []byte) {
		l = link{index: int(binary.NativeEndian.Uint32(m[4:])), flags: binary.NativeEndian.Uint32(m[8:])}
	})
	return l, err
}

// indices are the numbers of all devices.
func (s *socket) indices() (map[int]bool, error) {
	all := map[int]bool{}
	err := s.ask(unix.RTM_GETLINK, unix.NLM_F_DUMP, linkMessage(0, 0, 0))(func(m []byte) { all[int(binary.NativeEndian.Uint32(m[4:]))] = true })
	if err != nil {
		return nil, fmt.Errorf("list the devices: %w", err)
	}
	return all, nil
}

// addresses are the messages of a device's permanent addresses of global scope;
// see RFC 3549, section 2.3.3.2.
func (s *socket) addresses(index int) (list [][]byte, err error) {
	err = s.ask(unix.RTM_GETADDR, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfAddrmsg))(func(m []byte) {
		flags, scope, at := uint32(m[2]), m[3], binary.NativeEndian.Uint32(m[4:])
		for kind, value := range attributes(m[unix.SizeofIfAddrmsg:]) {
			if kind == unix.IFA_FLAGS && len(value) >= 4 {
				flags = binary.NativeEndian.Uint32(value)
			}
		}
		if int(at) == index && flags&unix.IFA_F_PERMANENT != 0 && scope == unix.RT_SCOPE_UNIVERSE {
			list = append(list, append([]byte(nil), m...))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list its addresses: %w", err)
	}
	return list, nil
}

// addAddress adds an address as another namespace had it.
func (s *socket) addAddress(index int, m []byte) error {
	header := append([]byte(nil), m[:unix.SizeofIfAddrmsg]...)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	var parts [][]byte
	for kind, value := range attributes(m[unix.SizeofIfAddrmsg:]) {
		switch kind {
		case unix.IFA_ADDRESS, unix.IFA_LOCAL, unix.IFA_BROADCAST, unix.IFA_FLAGS:
			parts = append(parts, attribute(kind, value))
		}
	}
	return s.send(unix.RTM_NEWADDR, header, parts...)
}

// setUp brings a device up, or takes it down.
func (s *socket) setUp(index int, up bool) error {
	flags := uint32(0)
	if up {
		flags = unix.IFF_UP
	}
	return s.send(unix.RTM_NEWLINK, linkMessage(index, flags, unix.IFF_UP))
}

// linkMessage is a struct ifinfomsg.
func linkMessage(index int, flags, change uint32) []byte {
	m := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(m[4:], uint32(index))
	binary.NativeEndian.PutUint32(m[8:], flags)
	binary.NativeEndian.PutUint32(m[12:], change)
	return m
}

// attribute is a struct rtattr with its value.
func attribute(kind uint16, value []byte) []byte {
	a := make([]byte, (4+len(value)+3)&^3)
	binary.NativeEndian.PutUint16(a, uint16(4+len(value)))
	binary.NativeEndian.PutUint16(a[2:], kind)
	copy(a[4:], value)
	return a
}

// attributes are those in a message.
func attributes(m []byte) func(func(uint16, []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(m) >= 4 {
			n := int(binary.NativeEndian.Uint16(m))
			if n < 4 || n > len(m) || !yield(binary.NativeEndian.Uint16(m[2:])&0x3fff, m[4:n]) {
				return
			}
			m = m[min(len(m), (n+3)&^3):]
		}
	}
}

func zeroed(s string) []byte { return append([]byte(s), 0) }

func word(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// send has the kernel do something, and waits until it has.
func (s *socket) send(kind uint16, header []byte, parts ...[]byte) error {
	return s.ask(kind, unix.NLM_F_ACK, header, parts...)(func([]byte) {})
}

// ask sends a request; what is called for each message of the answer is given
// then.
func (s *socket) ask(kind uint16, flags int, header []byte, parts ...[]byte) func(func([]byte)) error {
	s.sequence++
	m := make([]byte, unix.SizeofNlMsghdr)
	m = append(m, header...)
	for _, p := range parts {
		m = append(m, p...)
	}
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], kind)
	binary.NativeEndian.PutUint16(m[6:], uint16(flags|unix.NLM_F_REQUEST))
	binary.NativeEndian.PutUint32(m[8:], s.sequence)
	return func(each func([]byte)) error {
		if err := unix.Sendto(s.fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		return s.receive(each)
	}
}

// receive reads one answer to its end: the last message of a list, or an
// acknowledgement.
func (s *socket) receive(each func([]byte)) error {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := unix.Recvfrom(s.fd, buffer, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the kernel's answer: %w", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // not the kernel
		}
		for m := buffer[:n]; len(m) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(m))
			if size < unix.SizeofNlMsghdr || size > len(m) {
				return fmt.Errorf("read the kernel's answer: it is cut")
			}
			body := m[unix.SizeofNlMsghdr:size]
			kind, sequence := binary.NativeEndian.Uint16(m[4:]), binary.NativeEndian.Uint32(m[8:])
			m = m[min(len(m), (size+3)&^3):]
			switch {
			case sequence != s.sequence: // of an answer before
			case kind == unix.NLMSG_DONE:
				return nil
			case kind == unix.NLMSG_ERROR && len(body) >= 4:
				if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
					return unix.Errno(-code)
				}
				return nil
			case len(body) >= unix.SizeofIfAddrmsg:
				each(body)
			}
		}
	}
}
