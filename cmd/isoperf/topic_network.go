package main

import "github.com/spf13/cobra"

// networkTopic is `isoperf help network`: what the paths and figures mean.
func networkTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "network",
		Short: "About isoperf bench network: paths, figures, proof",
		Long: `What isoperf bench network measures.

Paths. Each is made for its measurement in namespaces of its own: a host with an
uplink, a peer at the uplink's other end, a container behind the path. Nothing
of this machine's network is touched, and all of it ends with one process.
  loopback            this machine's own loopback
  netns               loopback in a network namespace
  veth                host networking: a process of the host, to the peer
  bridge              a container on a bridge with the uplink
  nat                 a container behind a bridge with NAT
  slirp4netns, pasta  a container behind a translator, an unprivileged process
  nat-port, slirp4netns-port, pasta-port
                      from the peer, by a published port, into the container
  pasta-local         from the host's loopback to the container's: pasta moves
                      bytes between two sockets, and makes no packets
An ordinary user can have all of them (a user namespace of one id); slirp4netns
and pasta need /dev/net/tun for everybody (chmod 0666 /dev/net/tun).

Data. dir=out: from the container to the peer; dir=in: the other way, on the
same connection. mtu is that of every link on the path, and is read back. Bytes
count when they have arrived. The first 0.3 s of a connection are left out, and
shown as a curve. Senders write, receivers read, 128 KiB at a time, as
applications do; network-send shows what other calls would change. A receiver
is woken when so much is there (SO_RCVLOWAT), or less where that takes 2 ms: to
wake it costs the sender more. One that is woken by each segment, as iperf3's,
gets less; in a virtual machine with two CPUs 0.7 of it at MTU 1500, and half at
65520.

Proof. The container's link must have carried what arrived (within 5 % and the
headers), the translator must have used CPU time, the MTU must be what was asked
for. Otherwise there is no number, but the reason.

CPU time. sender, receiver and translator are processes of their own, and their
times are those of their own clocks. softirq is that of the whole machine; a
part of it is in the times of the ends as well. All of them share this machine's
CPUs: on two CPUs, a path with three processes has less of each.

Families. network: TCP, bytes per second. network-request: what an answer of a
byte takes, by a schedule of one each 500 us that waits for nobody, from when it
was due. network-connect: connected, asked, answered and closed, one after the
other. network-udp: the highest rate of datagrams of which 99.5 % arrive.
network-setup: until a container reaches the peer, in parts; and until its
network is gone. network-rtt: TCP to a peer far away (netem; not all kernels
have it). network-send: the calls that move the bytes.`,
	}
}
