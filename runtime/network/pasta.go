package network

import (
	"context"
	"fmt"
	"os"
	"strconv"
)

// connectPasta runs pasta. The container gets addresses of its own subnet, as
// with slirp4netns, rather than a copy of the host's: so they are known before
// it starts, and the host's own address leads to the host. pasta takes no other
// ports of either side than the published ones; by itself it would pass the
// host's loopback services on to the container's.
//
// The version in Debian 12 (March 2023) has three limits that this cannot mend:
// a server behind a published port that speaks first is heard only once the
// client has sent something, unless the client uses the host's loopback; a
// connection to the host's loopback that both sides close at once stays half
// open inside, so that a client which waits for the server's end waits for ever
// (pasta alone does the same: pasta … -- nc GATEWAY PORT </dev/null); and without
// HostLoopback it does not ask a name server on a loopback address, as
// systemd-resolved's is.
func (l *Link) connectPasta(ctx context.Context, t Target) error {
	c := l.config
	path, err := find(pastaProgram, "passt", "passt")
	if err != nil {
		return err
	}
	r, err := l.record(t)
	if err != nil {
		return err
	}
	for _, p := range c.Publish {
		if taken(p) {
			return fmt.Errorf("publish port %q: something else listens there (ss -ltnup)", p)
		}
	}
	if c.IPv6 {
		if err := t.withoutDAD(); err != nil {
			return err
		}
	}
	h, err := l.helper(c.pastaCommand(path, t), r)
	if err != nil {
		return err
	}
	l.address = c.host(containerHost)
	if err := l.prove(ctx, t, h); err != nil {
		return err
	}
	// It leaves out what it cannot have.
	for _, p := range c.Publish {
		if !taken(p) {
			return fmt.Errorf("publish port %q: pasta does not listen there; is it an address of this host, and of a protocol for which there is a default route? (ip -6 route)", p)
		}
	}
	return nil
}

// pastaCommand is how pasta is started.
func (c Config) pastaCommand(path string, t Target) command {
	cmd := command{name: pastaProgram, path: path, files: []int{t.Net}}
	cmd.args = []string{
		"--foreground", "--quiet", "--config-net", "--ns-ifname", tapName, "--mtu", strconv.Itoa(c.mtu()),
		"--address", c.host(containerHost).String(), "--netmask", "24",
		"--gateway", c.host(gatewayHost).String(), "--dns-forward", c.host(nameHost).String(),
		"--tcp-ns", "none", "--udp-ns", "none",
	}
	if !c.HostLoopback {
		cmd.args = append(cmd.args, "--no-map-gw")
	}
	if c.IPv6 {
		// The address is given like that of IPv4, so none is advertised as well.
		cmd.args = append(cmd.args, "--address", c.host6(containerHost6).String(), "--gateway", c.host6(gatewayHost).String(), "--no-ra")
	} else {
		cmd.args = append(cmd.args, "--ipv4-only")
	}
	cmd.args = append(cmd.args, c.pastaPorts("tcp")...)
	cmd.args = append(cmd.args, c.pastaPorts("udp")...)
	if os.Geteuid() == 0 {
		// Or it becomes nobody, who may not join the namespace.
		cmd.args = append(cmd.args, "--runas", "0:0")
	}
	if t.User == 0 {
		cmd.args = append(cmd.args, "--netns-only")
	} else {
		cmd.files = append(cmd.files, t.User)
		cmd.args = append(cmd.args, "--userns", fdPath(t.User))
	}
	cmd.args = append(cmd.args, "--netns", fdPath(t.Net))
	return cmd
}

// pastaPorts are the arguments that publish the ports of a protocol.
func (c Config) pastaPorts(protocol string) []string {
	option := map[string]string{"tcp": "--tcp-ports", "udp": "--udp-ports"}[protocol]
	var args []string
	for _, p := range c.Publish {
		if p.Protocol != protocol {
			continue
		}
		spec := fmt.Sprintf("%d:%d", p.HostPort, p.Container)
		if p.Host.IsValid() {
			spec = p.Host.String() + "/" + spec
		}
		args = append(args, option, spec)
	}
	if args == nil {
		args = []string{option, "none"}
	}
	return args
}
