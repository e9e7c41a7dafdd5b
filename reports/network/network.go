// Package network reads the network families of a result file, so that the
// answer, the page and the pictures state the same thing: what isolation costs
// on the wire.
//
//	result file ──Read──► View: cells ──┬─► Findings: the questions that people ask, answered in words
//	 samples, Checked,    one a case,   ├─► Tables: a family's figures
//	 Series, failures     proved or not └─► Stream, Setup, … for the pictures
//
// A sample counts only if its path was proved: the file says what was checked,
// nothing was doubted, and its main figure is a number. A cell without such a
// sample is "not proven" with the reason, and never a number.
//
// A ratio is one of cells that were measured in the same run: how many times
// slower than host networking (path "veth", the same MTU, direction, streams and
// IP version), and than the loopback. Files that were pooled keep their runs
// apart (sample.File.Runs).
//
// Goodput is what has arrived, without headers: bytes per second, printed as
// Gbit/s of 10^9 bits. A gigabit is 1.25e8 bytes.
package network

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/sample"
)

// The families.
const (
	Stream   = "Network"        // bytes per second of TCP
	Distance = "NetworkRTT"     // the same with a round-trip time added
	Request  = "NetworkRequest" // answers to requests at intended times
	Connect  = "NetworkConnect" // connections with one request each
	Datagram = "NetworkUDP"     // datagrams, at a bounded loss
	Setup    = "NetworkSetup"   // until the network is ready, and gone again
	Send     = "NetworkSend"    // ways to send and to receive
)

// Families are the families that are read here, in the order of a report.
func Families() []string {
	return []string{Stream, Distance, Request, Connect, Datagram, Setup, Send}
}

// Told says whether a family is.
func Told(family string) bool { return slices.Contains(Families(), family) }

// host is the path that stands for host networking, and loopback the machine's
// own: what all others are set against.
const (
	host     = "veth"
	loopback = "loopback"
)

// kind is what a path is to one who chooses.
type kind int

const (
	base     kind = iota // no isolation, or no way out: to compare with
	rootless             // an ordinary user can have it
	rootful              // it takes root, or a set-uid helper
	port                 // a published port, into a container
)

// driver is a row of the table of paths.
type driver struct {
	path  string
	kind  kind
	about string
	// of is the path out that a published port belongs to.
	of string
}

// drivers are the paths that are known, in the order of a report.
func drivers() []driver {
	return []driver{
		{loopback, base, "the machine's own loopback", ""},
		{"netns", base, "loopback in a network namespace of its own", ""},
		{host, base, "host networking: one veth pair to the peer", ""},
		{"bridge", rootful, "a container on a bridge with the uplink", ""},
		{"nat", rootful, "a container behind a bridge with NAT", ""},
		{"slirp4netns", rootless, "a container behind slirp4netns's own TCP/IP", ""},
		{"pasta", rootless, "a container behind pasta, by its tap device", ""},
		{"nat-port", port, "a published port: NAT", "nat"},
		{"slirp4netns-port", port, "a published port: slirp4netns", "slirp4netns"},
		{"pasta-port", port, "a published port: pasta, by its tap device", "pasta"},
		{"pasta-local", port, "from the host's loopback into the container's: pasta, spliced", "pasta"},
	}
}

// driverOf is the row of a path; one that is not known is nobody's choice.
func driverOf(path string) driver {
	for _, d := range drivers() {
		if d.path == path {
			return d
		}
	}
	return driver{path: path, kind: base}
}

// rank is the place of a path in a report; what is not known stands last.
func rank(path string) int {
	all := drivers()
	if i := slices.IndexFunc(all, func(d driver) bool { return d.path == path }); i >= 0 {
		return i
	}
	return len(all)
}

// Key is what a cell measures, from its case's name.
type Key struct {
	Family  string
	Path    string
	Dir     string        // of the data: "out" of the container, or "in"
	MTU     int           // bytes; 0: the path's own
	Streams int           // 0: it is not a question of streams
	IP      int           // 4 or 6; 0: not said
	RTT     time.Duration // that was added
	Send    string        // how it is sent, of the family Send
	Receive string
}

func keyOf(c *sample.Case) Key {
	number := func(name string) int {
		n, err := strconv.Atoi(c.Param(name))
		if err != nil {
			return 0
		}
		return n
	}
	k := Key{
		Family: c.Family(), Path: c.Param("path"), Dir: c.Param("dir"), Send: c.Param("send"), Receive: c.Param("receive"),
		MTU: number("mtu"), Streams: number("streams"), IP: number("ip"),
	}
	if d, err := time.ParseDuration(c.Param("rtt")); err == nil {
		k.RTT = d
	}
	return k
}

// on is the same thing measured of another path.
func (k Key) on(path string) Key {
	k.Path = path
	if path == loopback {
		k.MTU = 0
	}
	return k
}

// compare orders keys as a report shows them.
func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.IP, o.IP), cmp.Compare(k.Streams, o.Streams), cmp.Compare(rank(k.Path), rank(o.Path)),
		strings.Compare(k.Path, o.Path), cmp.Compare(k.MTU, o.MTU), cmp.Compare(k.RTT, o.RTT), -strings.Compare(k.Dir, o.Dir),
		cmp.Compare(order(k.Send), order(o.Send)), cmp.Compare(order(k.Receive), order(o.Receive)))
}

// order is the place of a way to send or to receive.
func order(way string) int {
	return slices.Index([]string{"write", "sendfile", "zerocopy", "read", "trunc", "splice"}, way)
}

// MTUText is an MTU in a table.
func (k Key) MTUText() string {
	if k.MTU == 0 {
		return "-"
	}
	return strconv.Itoa(k.MTU)
}

// way is an MTU and a direction in a table: "65520 in".
func (k Key) way() string {
	if k.MTU == 0 {
		return k.Dir
	}
	return strings.TrimSpace(strconv.Itoa(k.MTU) + " " + k.Dir)
}

// direction is a direction in words.
func direction(dir string) string {
	switch dir {
	case "out":
		return "out of the container"
	case "in":
		return "into the container"
	}
	return dir
}
