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
// and reads of 128 KiB; but a receiver looks again before it sleeps, see linger.
// What else there is was measured (go test -bench Methods; 2 CPUs of an EPYC
// virtual machine, Linux 6.18, MTU 65536 on loopback and 1500 on the veth pair,
// means of 3 runs of half a second, which differ by a tenth or so):
//
//	                loopback                      veth pair
//	send → receive  GB/s  ns/B to send, receive   GB/s  ns/B to send, receive
//	write    → read  6.3  0.14  0.16               2.9  0.21  0.28
//	sendfile → read  5.5  0.16  0.18               3.2  0.20  0.26
//	zerocopy → read  4.8  0.20  0.20               2.4  0.24  0.35
//	splice   → read  5.6  0.15  0.17               2.8  0.23  0.23
//	write  → trunc   7.0  0.12  0.14               2.5  0.21  0.32
//	write  → splice  4.6  0.16  0.21               2.6  0.22  0.33
//
// So none of them is much better than the ordinary one, once the receiver is awake.
// While it slept at once, splice saved the sender a quarter, and a receiver that
// drops what comes (which no application does) made loopback half as fast again:
// what they saved was most of all a wait. MSG_ZEROCOPY gains nothing on a path within
// one machine: the kernel copied every one of its calls there, as it must when the
// other end keeps the pages. The report says how many.
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
