package network

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// resolvFile is resolv.conf(5), as far as it matters here.
type resolvFile struct {
	servers []netip.Addr
	rest    []string // search, domain and options lines
}

func parseResolv(text []byte) resolvFile {
	var r resolvFile
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if addr, err := netip.ParseAddr(fields[1]); err == nil {
				r.servers = append(r.servers, addr)
			}
		case "search", "domain", "options":
			r.rest = append(r.rest, strings.Join(fields, " "))
		}
	}
	return r
}

// reachable are the servers that a container can reach by itself: neither
// loopback ones nor, over IPv4 only, IPv6 ones.
func (r resolvFile) reachable() []netip.Addr {
	var list []netip.Addr
	for _, addr := range r.servers {
		if addr = addr.Unmap(); addr.Is4() && !addr.IsLoopback() && !addr.IsUnspecified() {
			list = append(list, addr)
		}
	}
	return list
}

// Paths of the host's name service.
const (
	resolvPath  = "/etc/resolv.conf"
	hostsPath   = "/etc/hosts"
	systemdPath = "/run/systemd/resolve/resolv.conf" // the servers behind 127.0.0.53
)

// HostFiles reads the host's resolv.conf and hosts, for Settle and Files.
// Where the host asks a server of its own, as with systemd-resolved, resolv
// lists the servers behind it, if that file is there. A missing file is empty.
func HostFiles() (resolv, hosts []byte, err error) {
	read := func(path string) []byte {
		text, rerr := os.ReadFile(path)
		if rerr != nil && !os.IsNotExist(rerr) && err == nil {
			err = fmt.Errorf("read the host's name service: %w", rerr)
		}
		return text
	}
	resolv, hosts = read(resolvPath), read(hostsPath)
	if err == nil && len(parseResolv(resolv).reachable()) == 0 {
		if behind := read(systemdPath); len(parseResolv(behind).reachable()) > 0 {
			resolv = behind
		}
	}
	return resolv, hosts, err
}

// Files are /etc/resolv.conf and /etc/hosts of the container, made from the
// host's. In mode host they are the host's own; otherwise nothing of the host's
// hosts is passed on. slirp4netns and pasta answer for the host's name server
// at the subnet's .3; on the bridge the container asks the host's servers
// itself, except those on a loopback address, which it cannot reach.
//
// On the bridge the address is known after Connect only; without Config.Address
// the container's name stands for 127.0.1.1.
func (c Config) Files(hostResolv, hostHosts []byte) (resolv, hosts []byte) {
	if c.Mode == Host {
		return bytes.Clone(hostResolv), bytes.Clone(hostHosts)
	}
	return c.resolv(parseResolv(hostResolv)), c.hosts()
}

func (c Config) resolv(host resolvFile) []byte {
	var b bytes.Buffer
	var servers []netip.Addr
	switch c.Mode {
	case None:
		b.WriteString("# no network, no name server\n")
		return b.Bytes()
	case Slirp4netns, Pasta:
		servers = []netip.Addr{c.host(nameHost)}
	case Bridge:
		if servers = host.reachable(); len(servers) == 0 {
			b.WriteString("# none of the host's name servers can be reached from a bridge\n")
		}
	}
	for _, addr := range servers {
		fmt.Fprintf(&b, "nameserver %v\n", addr)
	}
	for _, line := range host.rest {
		b.WriteString(line + "\n")
	}
	return b.Bytes()
}

func (c Config) hosts() []byte {
	var b bytes.Buffer
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	if c.Hostname == "" {
		return b.Bytes()
	}
	addr := c.Address
	switch {
	case addr.IsValid():
	case c.Mode.translated():
		addr = c.host(containerHost)
	default: // as hosts(5) has it on Debian for a machine without an address
		addr = netip.AddrFrom4([4]byte{127, 0, 1, 1})
	}
	names := c.Hostname
	if short, _, dotted := strings.Cut(c.Hostname, "."); dotted && short != "" {
		names += " " + short
	}
	fmt.Fprintf(&b, "%v\t%s\n", addr, names)
	return b.Bytes()
}
