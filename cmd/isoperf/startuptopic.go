package main

import "github.com/spf13/cobra"

// startupTopic is `isoperf help startup`: what the figures of the startup
// families mean.
func startupTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "startup",
		Short: "About startup: events, containers, peers, spans",
		Long: `What the figures of the startup families mean.

Events. All times begin when clone3(2) of the runtime's process is entered.
ready-ns ends at the first instruction of the payload, which reads the clock and
writes it to its standard output; total-ns ends when the runtime's process was
reaped. user-ns and sys-ns are the CPU time of that process and of what it
waited for, peak-B the largest resident memory of one of them, weighed once,
before the first sample. The payload is a static program of 1.5 KB that this
project writes itself, the same file for every runtime. A machine has a clock of
its own: there the host stamps the moment at which the payload's bytes come.

Containers. usual: the bundle that "runc spec" writes (pid, network, ipc, uts
and mount namespaces, a cgroup with rules for devices, seven mounts, masked
paths, three capabilities, no new privileges). The others differ in one thing:
seccomp (Docker's filter), limits (CPU, memory, processes), host-net (no network
namespace), bare (no cgroup, no masks, all capabilities), rootless (as an
ordinary user), cold (caches dropped before each start: the whole machine's).
startup-variants starts these and the usual one in turns, and what a variant
adds is told against that usual one, never against the one of startup, which is
measured at another time.
--bundle takes yours, --rootfs another root; the payload is then shown inside,
in a /dev in memory, and nothing is written to your files. --exec runs a command
of yours instead, which does not say when it began.

Peers. isoperf list startup shows them, isoperf doctor which are here, and
scripts/peers installs them. Peers that take no bundle make the same as near as
they can; what a container lacks is what its payload saw, not what is assumed.
Who is missing, broken or refuses is a row that says so; who hangs is killed
with all that it started. One that has made itself root's, of which an ordinary
user cannot be rid, is named, and the run ends. Isoperf measures in a process
below its first one: whichever of the two is killed, the other ends what was
started; only what a daemon holds (docker's image) stays. --runtime NAME=PATH
compares another binary, or two versions of one. Where control groups are
hybrid, which crun refuses, root starts all in a mount namespace in which they
are of version 1.

Spans (startup-spans). Our own runtime tells when each of its steps ended; every
nanosecond between the first and the last event belongs to one phase or to the
residual. Each such start has one beside it that tells nothing: the ratio of the
two is the price of the instrument.

At once (startup-at-once). 1 to twice as many starts at a time as there are
CPUs, each next one when one has ended; the knee is where more at once do not
make more per second. Open (startup-open): starts at intended times, at a share
of that rate; response-ns is from the intended time to reaped, so a start that
stands in a queue counts with its wait.`,
	}
}
