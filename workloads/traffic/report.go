package traffic

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Report is what a kind says at its end: one line of JSON on standard output.
type Report struct {
	Kind    string
	Method  string   `json:",omitempty"` // that moved the data
	Block   int      // bytes of a call, a request or a datagram
	Options string   // as asked
	Streams []Stream // by thread; of answer: none
	Asked   *Asked   `json:",omitempty"` // ask, connect
	Arrived *Arrived `json:",omitempty"` // udp-receive
	Offered *Offered `json:",omitempty"` // udp-send
	Error   string   `json:",omitempty"` // why it ended before its time
}

// Ends of a stream.
const (
	Stopped = "stopped" // it was told to
	Done    = "done"    // it had moved all that it was to
	Closed  = "closed"  // the other end closed first
	Failed  = "failed"  // see Report.Error
)

// Stream is one socket's end, as the kernel says at its end.
type Stream struct {
	Local, Remote string // addresses with ports
	End           string // Stopped and its like
	Bytes, Calls  int64  // that this thread moved
	SendBuffer    int    // SO_SNDBUF, bytes; the kernel counts its own overhead in: twice what is asked
	ReceiveBuffer int    // SO_RCVBUF, the same
	PathMTU       int    // IP_MTU, IPV6_MTU
	TCP           *TCP   `json:",omitempty"`
	// Of MSG_ZEROCOPY: how many calls the kernel has said to be done with, and how
	// many of those it copied after all (SO_EE_CODE_ZEROCOPY_COPIED).
	ZeroCopyDone, ZeroCopyCopied int64 `json:",omitempty"`
}

// TCP is what TCP_INFO says, tcp(7).
type TCP struct {
	Congestion                 string // the algorithm in use
	MSS                        int    // bytes, to send
	RTT, RTTVariance, RTTLeast int64  // ns; the least: 0 when the kernel has not seen one
	Window                     int    // congestion window, segments
	ReceiveSpace               int    // bytes that the receiver's tuning aims at
	Retransmits                int    // segments, in all
	DeliveryRate               int64  // B/s, the latest estimate
}

// Asked counts requests, or connections.
type Asked struct {
	Due        int64 // that the schedule had
	Sent       int64 // of connections: established
	Answered   int64
	Failed     int64 // connections that came to nothing
	Late       int64 // begun more than one Every after they were due
	Lost       int64 // datagrams that were not answered within LostAfter
	Unanswered int64 // when it ended
	Strange    int64 // answers to what was not asked, or twice
}

// Offered counts datagrams that were sent.
type Offered struct {
	Due    int64 // that the schedule had until the end
	Sent   int64
	Behind int64 // ns that the last one was late
	Full   int64 // calls that found no room in the socket's buffer
}

// Arrived counts datagrams that came. Of each sender, Next-Count of them are not
// there yet, or lost.
type Arrived struct {
	Senders    []Sender
	Reordered  int64 // came after one that was sent later
	Duplicates int64
	Strange    int64 // no datagrams of udp-send
	Overflowed int64 // dropped by the kernel since the socket's buffer was full: SO_MEMINFO
}

// Sender is one stream of datagrams, by the number in them.
type Sender struct {
	Stream int
	Count  int64 // distinct datagrams that came
	Bytes  int64
	Next   int64 // one more than the highest number that came
}

// begins is what a report's line does with.
const begins = `{"Kind":`

// String is the line, without its end.
func (r Report) String() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // it has no value that JSON has not
	}
	return string(text)
}

// ParseReport finds the report in what a load wrote to standard output.
func ParseReport(output string) (Report, error) {
	var r Report
	for text := range strings.Lines(output) {
		if strings.HasPrefix(text, begins) {
			if err := json.Unmarshal([]byte(text), &r); err != nil {
				return r, fmt.Errorf("read a report of traffic: %w; was it written by the same version?", err)
			}
			return r, nil
		}
	}
	return r, errors.New("find a report of traffic: there is none; the load ended before it could write it, see its standard error")
}
