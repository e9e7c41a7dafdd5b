package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/network"
)

// fewest is the least number of bytes that iperf3 is given: it ends when it has
// sent them, and by then most of fewer could still be in the socket's buffer.
const fewest = 32 << 20

// commands are iperf3's for a number of bytes, and with sockets of a buffer (bytes;
// 0: the kernel tunes it); on a path on which they are too few, for a second. Both
// ends note every tenth of a second, the shortest that it can.
func commands(bytes int64, buffer int, outward bool) network.Pair {
	until := "-n" + strconv.FormatInt(bytes, 10)
	if bytes < fewest {
		until = "-t1"
	}
	p := network.Pair{
		Server: words("iperf3 -s -1 -J -i 0.1 -B {listen} -p {port}"),
		Client: append(words("iperf3 -c {dial} -p {port} -J -i 0.1 -l 128K"), until),
	}
	if !outward {
		p.Client = append(p.Client, "-R")
	}
	if buffer > 0 {
		p.Client = append(p.Client, "-w"+strconv.Itoa(buffer)) // of both ends
	}
	return p
}

func words(s string) []string { return strings.Fields(s) }

// output is what iperf3 -J writes, as far as it is read here.
type output struct {
	Error string
	Start struct {
		MSS float64 `json:"tcp_mss_default"`
	}
	Intervals []struct{ Sum interval }
	End       struct {
		Sent     interval `json:"sum_sent"`
		Received interval `json:"sum_received"`
	}
}

type interval struct {
	Start, End, Seconds float64 // seconds
	Bytes               float64
	Retransmits         float64
}

// said is what iperf3 says of a run.
type said struct {
	goodput     float64 // bytes per second, of what the receiver received
	bytes       float64 // of the whole run, that were received
	again       float64 // about the bytes of those that were sent again
	retransmits float64
	still       time.Duration // the longest time in which nothing arrived
}

// read reads what the two ends wrote.
func read(client, server string, outward bool) (s said, err error) {
	ends := [2]output{}
	for i, text := range []string{client, server} {
		if err := json.Unmarshal([]byte(text), &ends[i]); err != nil {
			return s, fmt.Errorf("read iperf3's output %.200q: %w", text, err)
		}
		if ends[i].Error != "" {
			return s, fmt.Errorf("iperf3 says %q", ends[i].Error)
		}
	}
	receiver := ends[0]
	if outward {
		receiver = ends[1]
	}
	s.bytes, s.retransmits = ends[0].End.Received.Bytes, ends[0].End.Sent.Retransmits
	s.again = s.retransmits * ends[0].Start.MSS
	s.still = receiver.still()
	s.goodput, err = receiver.goodput(warm.Seconds())
	return s, err
}

// still is the longest time of whole intervals in which nothing arrived, from the
// first byte on.
func (o output) still() (longest time.Duration) {
	now, begun := 0.0, false
	for _, i := range o.Intervals {
		switch {
		case i.Sum.Bytes > 0:
			now, begun = 0, true
		case begun:
			now += i.Sum.Seconds
		}
		longest = max(longest, time.Duration(now*float64(time.Second)))
	}
	return longest
}

// goodput is that of the intervals, without those that begin in the first seconds
// and without the last, in which the data may have ended. Where nothing arrived in
// any of these, it is that of all of them: a path that stands still is slow, and not
// without a figure.
func (o output) goodput(warm float64) (float64, error) {
	const slip = 0.01 // that its timer may be early by
	var all, late interval
	for _, i := range o.Intervals[:max(0, len(o.Intervals)-1)] {
		all.add(i.Sum)
		if i.Sum.Start >= warm-slip {
			late.add(i.Sum)
		}
	}
	switch {
	case late.Seconds <= 0:
		return 0, errors.New("iperf3 was done before it could be measured; the path has become faster meanwhile: run it again")
	case late.Bytes > 0:
		return late.Bytes / late.Seconds, nil
	case all.Bytes > 0:
		return all.Bytes / all.Seconds, nil
	}
	return 0, errors.New("iperf3's receiver received nothing until its last tenth of a second; does the path work?")
}

func (i *interval) add(j interval) { i.Bytes, i.Seconds = i.Bytes+j.Bytes, i.Seconds+j.Seconds }
