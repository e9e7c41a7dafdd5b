package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// The world's addresses: the machine's, and that of a neighbour beyond its
// default route, who also is its name server.
const (
	machineAddr   = "198.51.100.1"
	neighbourAddr = "198.51.100.9"
	machineAddr6  = "2001:db8::1"
	neighbour6    = "2001:db8::9"
	knownName     = "known.example."
	knownAddr     = "192.0.2.77"
)

// lonelyEnv makes a world without an uplink.
const lonelyEnv = "ISOPERF_TEST_LONELY"

// sixEnv makes one with IPv6.
const sixEnv = "ISOPERF_TEST_IPV6"

// neighbourEnv is the neighbour's process, of which root may take the namespace.
const neighbourEnv = "ISOPERF_TEST_NEIGHBOUR"

// helpWorld makes the world, and runs the test in it. Its arguments are the
// test's name and the user's.
func helpWorld(args []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := worldFiles(); err != nil {
		return err
	}
	neighbour, end, err := worldNet()
	if err != nil {
		return err
	}
	defer end()
	if os.Getenv(lonelyEnv) != "" {
		if _, err := removeVeth("uplink0"); err != nil {
			return err
		}
	}
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run=^"+strings.ReplaceAll(args[0], "/", "$/^")+"$")
	cmd.Env = append(os.Environ(), worldEnv+"="+args[1], fmt.Sprintf("%s=%d", neighbourEnv, neighbour))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if args[1] == asOrdinary.String() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: ordinary, Gid: ordinary}
	}
	return cmd.Run()
}

// worldFiles puts a tap device for everybody (when this is root, who may make
// one), a resolv.conf and an empty /tmp in their places.
func worldFiles() error {
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777"); err != nil {
		return fmt.Errorf("mount /tmp: %w", err)
	}
	const resolv, tun = "/tmp/resolv.conf", "/tmp/tun"
	if err := os.WriteFile(resolv, []byte("nameserver "+neighbourAddr+"\nsearch example\n"), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(resolv, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind resolv.conf: %w", err)
	}
	if err := unix.Mknod(tun, unix.S_IFCHR, int(unix.Mkdev(10, 200))); err == nil {
		if err := os.Chmod(tun, 0o666); err != nil {
			return err
		}
		if err := unix.Mount(tun, "/dev/net/tun", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind a tap device: %w", err)
		}
	}
	return nil
}

// worldNet gives the machine lo, an uplink and a neighbour that serves: names,
// and to whoever connects, the address that it sees.
func worldNet() (neighbour int, end func(), err error) {
	p := program.New(program.Stub, unix.CLONE_NEWNET)
	p.DieWithParent()
	Loopback(p)
	made := p.Tell("made")
	p.Add(program.Pause())
	launcher := program.NewLauncher()
	proc, err := launcher.Start(p)
	if err != nil {
		return 0, nil, err
	}
	end = func() {
		_ = proc.Signal(syscall.SIGKILL)
		_, _ = proc.Wait()
		launcher.Close()
	}
	if err := proc.Await(made); err != nil {
		return 0, end, err
	}
	ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", proc.Pid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, end, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "uplink0", 1400
	err = errors.Join(
		setUp("lo"),
		netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: innerLink, PeerMTU: 1400, PeerNamespace: netlink.NsFd(ns)}),
		address("uplink0", machineAddr+"/24"), setUp("uplink0"),
		configure(ns, netip.MustParseAddr(neighbourAddr), netip.MustParsePrefix(machineAddr+"/24")),
		netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(neighbourAddr)}),
		inNet(ns, func() error {
			return errors.Join(serveNames(neighbourAddr+":53"), serveEcho("tcp4", ":7000"), serveEcho("udp4", neighbourAddr+":7000"))
		}))
	if err == nil && os.Getenv(sixEnv) != "" {
		err = errors.Join(sixth(ns), netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(neighbour6)}))
	}
	return proc.Pid(), end, err
}

// sixth gives the machine and its neighbour IPv6.
func sixth(neighbour int) error {
	return errors.Join(address("uplink0", machineAddr6+"/64"), inNet(neighbour, func() error {
		return errors.Join(address(innerLink, neighbour6+"/64"),
			serveEcho("tcp6", "["+neighbour6+"]:7000"), serveEcho("udp6", "["+neighbour6+"]:7000"))
	}))
}

func setUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	return netlink.LinkSetUp(link)
}

func address(name, prefix string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	addr, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	if addr.IP.To4() == nil {
		addr.Flags = unix.IFA_F_NODAD // nobody else is there
	}
	return netlink.AddrAdd(link, addr)
}

// inNet runs f on a thread in another network namespace.
func inNet(ns int, f func() error) error {
	launcher := program.NewLauncher()
	defer launcher.Close()
	var err error
	launcher.Do(func() {
		if err = unix.Setns(ns, unix.CLONE_NEWNET); err == nil {
			err = f()
		}
	})
	return err
}

// serveEcho tells whoever connects, or sends a packet, its address.
func serveEcho(network, addr string) error {
	if strings.HasPrefix(network, "udp") {
		pc, err := net.ListenPacket(network, addr)
		if err != nil {
			return err
		}
		go func() {
			buf := make([]byte, 1500)
			for {
				n, from, err := pc.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = pc.WriteTo([]byte(string(buf[:n])+" from "+from.String()), from)
			}
		}()
		return nil
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				if _, err := io.ReadFull(c, make([]byte, len(greeting))); err == nil {
					_, _ = io.WriteString(c, "from "+c.RemoteAddr().String())
				}
			}()
		}
	}()
	return nil
}

// serveNames is a name server that knows one name.
func serveNames(addr string) error {
	pc, err := net.ListenPacket("udp4", addr)
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply, err := answer(buf[:n]); err == nil {
				_, _ = pc.WriteTo(reply, from)
			}
		}
	}()
	return nil
}

func answer(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, errors.New("not one question")
	}
	q := m.Questions[0]
	m.Response, m.RCode, m.Additionals = true, dnsmessage.RCodeSuccess, nil
	switch {
	case q.Name.String() != knownName:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(knownAddr).As4()},
		}}
	}
	return m.Pack()
}

// greeting comes first: Debian 12's pasta does not finish the handshake of a
// published port before the client has sent something.
const greeting = "hello"

// dial connects and returns what the other end says.
func dial(ctx context.Context, network, addr string) (string, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(end)
	}
	if _, err := io.WriteString(c, greeting); err != nil {
		return "", err
	}
	if strings.HasPrefix(network, "udp") {
		buf := make([]byte, 1500)
		n, err := c.Read(buf)
		return string(buf[:n]), err
	}
	text, err := io.ReadAll(c)
	return string(text), err
}

// mustDial dials from the machine.
func mustDial(t *testing.T, network, addr string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	text, err := dial(ctx, network, addr)
	if err != nil {
		t.Errorf("from the host to %s %s: %v", network, addr, err)
	}
	return text
}

func contextWithPatience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 4*patience)
}

// bindReadOnly makes a directory of the world read-only.
func bindReadOnly(dir string) error {
	return errors.Join(unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
}
