package traffic

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Options is what a kind takes beside load.Spec's fields, as its Extra. The zero
// value is what an ordinary application does.
type Options struct {
	Listen     bool       // this end waits for the other, which connects; answer and udp-receive always do
	Method     string     // which call moves the data, of Methods; "": the kind's ordinary one
	Window     int        // SO_SNDBUF and SO_RCVBUF, bytes; 0: the kernel tunes them
	Congestion string     // TCP_CONGESTION; "": the kernel's default
	UDP        bool       // ask and answer by datagrams
	Bind       netip.Addr // of this end's socket when it connects; invalid: the kernel's choice
}

// Methods of moving data. The first of a direction is the ordinary one.
const (
	Write    = "write"    // send: from a buffer
	Sendfile = "sendfile" // from a memory file's page cache
	ZeroCopy = "zerocopy" // MSG_ZEROCOPY, Linux 4.14: the buffer's own pages
	Splice   = "splice"   // vmsplice and splice by way of a pipe; to receive: splice to /dev/null
	Read     = "read"     // receive: into a buffer
	Truncate = "trunc"    // MSG_TRUNC, tcp(7): the data is dropped, not copied
	Segment  = "segment"  // udp-send: UDP_SEGMENT, Linux 4.18: the kernel cuts the datagrams
)

// Methods are those that a kind has, the ordinary one first.
func Methods(kind string) []string {
	switch kind {
	case Send:
		return []string{Write, Sendfile, ZeroCopy, Splice}
	case Receive:
		return []string{Read, Truncate, Splice}
	case SendUDP:
		return []string{Write, Segment}
	}
	return nil
}

// String is what ParseOptions reads.
func (o Options) String() string {
	var words []string
	if o.Listen {
		words = append(words, "listen")
	}
	if o.UDP {
		words = append(words, "udp")
	}
	if o.Method != "" {
		words = append(words, "method="+o.Method)
	}
	if o.Window != 0 {
		words = append(words, "window="+strconv.Itoa(o.Window))
	}
	if o.Congestion != "" {
		words = append(words, "congestion="+o.Congestion)
	}
	if o.Bind.IsValid() {
		words = append(words, "bind="+o.Bind.String())
	}
	return strings.Join(words, ",")
}

// ParseOptions is the reverse of Options.String.
func ParseOptions(text string) (Options, error) {
	var o Options
	if text == "" {
		return o, nil
	}
	for _, word := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "listen":
			o.Listen = true
		case "udp":
			o.UDP = true
		case "method":
			o.Method = value
		case "window":
			if o.Window, err = strconv.Atoi(value); err == nil && o.Window < 0 {
				err = strconv.ErrRange
			}
		case "congestion":
			o.Congestion = value
		case "bind":
			o.Bind, err = netip.ParseAddr(value)
		default:
			return o, fmt.Errorf("no option of traffic is called %q: listen, udp, method=, window=, congestion=, bind=", word)
		}
		if err != nil {
			return o, fmt.Errorf("read the option %q: %w", word, err)
		}
	}
	return o, nil
}
