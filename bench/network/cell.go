package network

import (
	"fmt"
	"strings"
	"time"
)

// What is measured of a path.
const (
	Stream   = "Network"        // bytes per second of TCP
	Request  = "NetworkRequest" // answers to requests at intended times
	Connect  = "NetworkConnect" // connections, with one request each
	Datagram = "NetworkUDP"     // datagrams per second, at a bounded loss
	Setup    = "NetworkSetup"   // until the network is ready, and gone again
	Distance = "NetworkRTT"     // bytes per second with a round-trip time added
	Methods  = "NetworkSend"    // bytes per second by the calls that move them
)

// Cell is one thing to measure of one path.
type Cell struct {
	Family  string        `json:"family"`
	Path    string        `json:"path"`
	Dir     string        `json:"dir,omitempty"` // of the data: "out" of the container, or "in"
	MTU     int           `json:"mtu,omitempty"` // bytes, of every link on the path; 0: the path's own
	Streams int           `json:"streams,omitempty"`
	IP      int           `json:"ip,omitempty"`  // 4 or 6
	RTT     time.Duration `json:"rtt,omitempty"` // added by netem; 0: none
	Window  time.Duration `json:"window"`        // how long one sample is measured
	// How long it runs before that; 0: the usual.
	Warm time.Duration `json:"warm,omitempty"`
	// The calls that move a stream's bytes, of traffic.Methods; empty: write and
	// read, as applications do.
	Send    string `json:"send,omitempty"`
	Receive string `json:"receive,omitempty"`
	// SO_SNDBUF and SO_RCVBUF of both ends, bytes; 0: the kernel tunes them. A check
	// from outside asks for it; no family has it, so no name does.
	Buffer int `json:"buffer,omitempty"`
	// Somebody else's ends, instead of ours; nil: ours.
	Foreign *Pair `json:"foreign,omitempty"`
}

// Name is the case's name in a result file.
func (c Cell) Name() string {
	parts := []string{c.Family, "path=" + c.Path}
	if c.Family == Methods {
		parts = append(parts, "send="+c.Send, "receive="+c.Receive)
	}
	if c.Dir != "" {
		parts = append(parts, "dir="+c.Dir)
	}
	if c.MTU != 0 {
		parts = append(parts, fmt.Sprintf("mtu=%d", c.MTU))
	}
	if c.Streams != 0 {
		parts = append(parts, fmt.Sprintf("streams=%d", c.Streams))
	}
	if c.Family == Distance {
		parts = append(parts, "rtt="+c.RTT.String())
	}
	if c.IP != 0 {
		parts = append(parts, fmt.Sprintf("ip=%d", c.IP))
	}
	return strings.Join(parts, "/")
}
