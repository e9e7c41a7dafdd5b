// Package traffic is the generator of network traffic: loads, in the sense of
// package load, for both ends of a path. An end runs in the namespace from which
// the path is to be measured.
//
//	send ──► streams ──► receive          how many bytes a second arrive
//	ask ──► requests ──► answer ──► ask    how long an answer takes, by a schedule that waits for nobody
//	connect ──► a connection each ──► answer
//	udp-send ──► datagrams ──► udp-receive how many of how many arrive
//	each end ──► Board while it runs, Report at its end
//
// load.Spec: Path is the address "HOST:PORT" or "[HOST]:PORT" (IPv6), Threads how
// many streams, each on a thread of its own, Step bytes of one call, request or
// datagram, Every the time between two requests or datagrams, Extra the Options.
//
// The Board, while it runs: Phase is the port on which a listener waits (so that
// port 0 may be asked for), Ready how many streams are established, Slot.Count
// the bytes of one (a receiver's: those that arrived), Slot.At the instant at
// which that was so, Slot.Loops the calls, Slot.CPU the thread's CPU time a
// millisecond ago at most, Slot.Errno the last error. A stream that fails has the
// others end. answer and udp-receive work from the time at which they are Ready on;
// the others wait for Go. An end looks every 50 ms whether it is to stop, whatever
// its path does.
//
// The ordinary way to move data is the default, as it is of applications: writes
// and reads of 128 KiB; a receiver is woken when so much is there, see patient. What
// else there is was measured (go test -bench Methods; 2 CPUs of an EPYC virtual
// machine whose caches are far apart, Linux 6.18, MTU 65536 on loopback and 1500 on
// the veth pair, medians of 12 runs of half a second, which differ by a fifth or so):
//
//	                loopback                      veth pair
//	send → receive  GB/s  ns/B to send, receive   GB/s  ns/B to send, receive
//	write    → read  3.7  0.27  0.11               2.3  0.40  0.15
//	sendfile → read  3.3  0.31  0.12               2.0  0.41  0.19
//	zerocopy → read  3.1  0.33  0.15               2.0  0.44  0.22
//	splice   → read  3.3  0.35  0.11               1.9  0.39  0.21
//	write  → trunc   4.6  0.27  0.06               2.2  0.44  0.10
//	write  → splice  4.2  0.25  0.13               2.3  0.40  0.12
//
// So none of them is much better than the ordinary one, but for a receiver that drops
// what comes, which no application does. One that is woken by each segment, and looks
// again for 10 us before it sleeps, took 2.3 and 1.6 GB/s by write and read, and 0.8 ns
// a byte to send and receive both. MSG_ZEROCOPY gains nothing on a path within one
// machine: the kernel copied every one of its calls there, as it must when the other
// end keeps the pages. The report says how many.
package traffic

// Kinds of loads.
const (
	Send       = "send"
	Receive    = "receive"
	Ask        = "ask"
	Answer     = "answer"
	Connect    = "connect"
	SendUDP    = "udp-send"
	ReceiveUDP = "udp-receive"
)
