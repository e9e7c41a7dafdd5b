package network

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What a program is called in the packages that have it.
const (
	slirpProgram   = "slirp4netns"
	pastaProgram   = "pasta"
	restoreProgram = "iptables-restore"
	saveProgram    = "iptables-save"
)

// longestID bounds an ID in bytes: it stands in a file's name, and in a rule's
// comment, which has 256.
const longestID = 128

// Limits of an MTU in bytes: what IPv4 demands (RFC 791), and what a tap
// device carries.
const (
	leastMTU = 68
	mostMTU  = 65520
)

// Check looks for what would fail: before anything is started, and with what
// to do about it.
func (c Config) Check() error {
	if _, err := ParseMode(string(c.Mode)); err != nil {
		return err
	}
	for _, check := range []func() error{c.checkText, c.checkPorts, c.checkMachine} {
		if err := check(); err != nil {
			return fmt.Errorf("check network %q: %w", c.Mode, err)
		}
	}
	return nil
}

// checkText checks what does not depend on the machine.
func (c Config) checkText() error {
	switch {
	case c.MTU != 0 && (c.MTU < leastMTU || c.MTU > mostMTU):
		return fmt.Errorf("an MTU of %d bytes is outside %d to %d", c.MTU, leastMTU, mostMTU)
	case c.MTU != 0 && (c.Mode == None || c.Mode == Host):
		return errors.New("there is no interface to set an MTU of; leave it out, or use bridge, slirp4netns or pasta")
	case c.HostLoopback && !c.Mode.translated():
		return errors.New("the host's loopback can be reached through slirp4netns and pasta only (in mode host it is the container's own)")
	case c.IPv6 && !c.Mode.translated():
		return errors.New("only slirp4netns and pasta give a container IPv6; leave it out")
	case c.IPv6 && c.MTU != 0 && c.MTU < leastMTU6:
		return fmt.Errorf("an MTU of %d bytes is less than the %d that IPv6 demands; leave IPv6 out", c.MTU, leastMTU6)
	case c.Subnet.IsValid() && (!c.Subnet.Addr().Is4() || c.Subnet.Bits() != 24):
		return fmt.Errorf("subnet %q is not an IPv4 /24", c.Subnet)
	case c.ID == "" && c.Record != "":
		return errors.New("a record needs the container's ID")
	case c.Mode == Bridge && c.Record == "":
		return errors.New("a bridge needs a directory for its record")
	case !plain(c.ID):
		return fmt.Errorf("ID %q is not made of at most %d letters, digits, and . _ + -, not first", c.ID, longestID)
	case c.Hostname != "" && (!plain(c.Hostname) || len(c.Hostname) > 64 || strings.ContainsAny(c.Hostname, "+")):
		return fmt.Errorf("hostname %q is not made of at most 64 letters, digits, and . _ -, not first", c.Hostname)
	}
	return nil
}

// plain says whether a name may stand in a path, a rule or a file's line.
func plain(s string) bool {
	for i, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case i > 0 && strings.ContainsRune("._+-", r):
		default:
			return false
		}
	}
	return len(s) <= longestID
}

func (c Config) checkPorts() error {
	if len(c.Publish) > 0 && !c.Mode.translated() && c.Mode != Bridge {
		why := "has no network to publish ports of"
		if c.Mode == Host {
			why = "listens on the host's ports as it is"
		}
		return fmt.Errorf("the container %s; leave the published ports out, or use bridge, slirp4netns or pasta", why)
	}
	least := 0
	if !capable(unix.CAP_NET_BIND_SERVICE) {
		least = leastPort()
	}
	for i, p := range c.Publish {
		switch {
		case p.HostPort == 0 || p.Container == 0 || p.Protocol != "tcp" && p.Protocol != "udp":
			return fmt.Errorf("published port %q is not complete", p)
		case int(p.HostPort) < least:
			return fmt.Errorf("port %d of the host is for root: a user may have those from %d; publish another, or lower sysctl net.ipv4.ip_unprivileged_port_start", p.HostPort, least)
		case p.Host.Is6() && c.Mode != Pasta:
			return fmt.Errorf("published port %q: only pasta publishes on IPv6 addresses", p)
		case p.Host.Is6() && !c.IPv6:
			return fmt.Errorf("published port %q: the container has no IPv6, for which the host needs a default route and an address (ip -6 route; ip -6 addr)", p)
		}
		for _, q := range c.Publish[:i] {
			if p.clash(q) {
				return fmt.Errorf("published ports %q and %q want the same port of the host", q, p)
			}
		}
	}
	return nil
}

// leastPort is the first port that an ordinary user may have; see ip(7).
func leastPort() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if n, perr := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && perr == nil {
		return n
	}
	return 1024
}

// capable says whether this process has a capability in its user namespace.
func capable(bit uint) bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return false
	}
	return data[bit/32].Effective&(1<<(bit%32)) != 0
}

func (c Config) checkMachine() error {
	switch c.Mode {
	case Bridge:
		if !capable(unix.CAP_NET_ADMIN) || !capable(unix.CAP_SYS_ADMIN) {
			return errors.New("a bridge takes root (CAP_NET_ADMIN and CAP_SYS_ADMIN); as an ordinary user use slirp4netns or pasta")
		}
		for _, name := range []string{restoreProgram, saveProgram} {
			if _, err := find(name, "iptables", "iptables"); err != nil {
				return err
			}
		}
	case Slirp4netns:
		if _, err := find(slirpProgram, "slirp4netns", "slirp4netns"); err != nil {
			return err
		}
		return checkTun("/dev/net/tun")
	case Pasta:
		if _, err := find(pastaProgram, "passt", "passt"); err != nil {
			return err
		}
		return checkTun("/dev/net/tun")
	}
	return nil
}

// find looks a program up on PATH.
func find(name, debian, fedora string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%s is not on PATH: %w; Debian and Ubuntu: apt install %s, Fedora: dnf install %s", name, errors.Unwrap(err), debian, fedora)
}

// checkTun checks that this user can open the device behind tap interfaces.
func checkTun(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
		return unix.Close(fd)
	case unix.ENOENT, unix.ENODEV, unix.ENXIO:
		return fmt.Errorf("open %q: %w; as root: modprobe tun, and if it still is missing mkdir -p /dev/net && mknod -m 0666 %s c 10 200", path, err, path)
	case unix.EACCES, unix.EPERM:
		return fmt.Errorf("open %q: %w; as root: chmod 0666 %s (what udev makes it: it gives no rights by itself)", path, err, path)
	}
	return fmt.Errorf("open %q: %w", path, err)
}
