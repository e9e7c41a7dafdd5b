package network

import (
	"time"

	"isoperf/bench/harness"
	"isoperf/workloads/traffic"
)

// window is how long one sample is measured.
const window = time.Second

// samples is how many a cell gets: a look has one, a report five.
func samples(e harness.Extent) int { return min(5, max(1, e.Burst/40)) }

// Streams are the paths by direction, MTU and number of streams.
func (b *Bench) Streams(e harness.Extent) []harness.Case {
	return b.cases(e, Stream, 2*time.Second, func(p path, c Cell) []Cell {
		var list []Cell
		for _, dir := range []string{"out", "in"} {
			for _, streams := range []int{1, 4} {
				for _, ip := range []int{4, 6} {
					if !e.Wide && (streams > 1 || ip == 6) || ip == 6 && streams > 1 {
						continue
					}
					c.Dir, c.Streams, c.IP = dir, streams, ip
					list = append(list, c)
				}
			}
		}
		return list
	})
}

// Requests are the paths by MTU: what an answer takes.
func (b *Bench) Requests(e harness.Extent) []harness.Case {
	return b.cases(e, Request, 3*time.Second, func(p path, c Cell) []Cell {
		if c.MTU > 1500 {
			return nil // a request is one byte
		}
		if e.Wide {
			c.Window = 5 * time.Second
		}
		return b.bothIP(e, c)
	})
}

// Connections are the paths: what a connection takes.
func (b *Bench) Connections(e harness.Extent) []harness.Case {
	return b.cases(e, Connect, 2*time.Second, func(p path, c Cell) []Cell {
		if c.MTU > 1500 {
			return nil
		}
		return b.bothIP(e, c)
	})
}

// Datagrams are the paths by MTU: how many of them a path carries.
func (b *Bench) Datagrams(e harness.Extent) []harness.Case {
	return b.cases(e, Datagram, 8*time.Second, func(p path, c Cell) []Cell {
		c.Dir = "out"
		if p.published {
			c.Dir = "in"
		}
		return b.bothIP(e, c)
	})
}

// Setups are the paths that give a container a network.
func (b *Bench) Setups(e harness.Extent) []harness.Case {
	list := b.cases(e, Setup, 500*time.Millisecond, func(p path, c Cell) []Cell {
		if p.attach == nil || c.MTU != 1500 && (!e.Wide || c.MTU != 65520) {
			return nil
		}
		return []Cell{c}
	})
	for i := range list {
		list[i].Samples = max(6, e.Burst/10)
	}
	return list
}

// Distances are the paths by the round-trip time to the peer.
func (b *Bench) Distances(e harness.Extent) []harness.Case {
	return b.cases(e, Distance, 4*time.Second, func(p path, c Cell) []Cell {
		if p.local || c.MTU == 9000 {
			return nil
		}
		var list []Cell
		for _, dir := range []string{"out", "in"} {
			for _, rtt := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
				c.Dir, c.Streams, c.IP, c.RTT, c.Window = dir, 1, 4, rtt, 2*time.Second
				list = append(list, c)
			}
		}
		return list
	})
}

// Moves are two paths by the calls that move the bytes: whether zero copy pays.
func (b *Bench) Moves(e harness.Extent) []harness.Case {
	return b.cases(e, Methods, 2*time.Second, func(p path, c Cell) []Cell {
		if p.name != "veth" && p.name != loopbackPath || c.MTU == 9000 {
			return nil
		}
		var list []Cell
		c.Dir, c.Streams, c.IP = "out", 1, 4
		for _, c.Send = range traffic.Methods(traffic.Send) {
			c.Receive = traffic.Read
			list = append(list, c)
		}
		c.Send = traffic.Write
		for _, c.Receive = range traffic.Methods(traffic.Receive)[1:] {
			list = append(list, c)
		}
		return list
	})
}

// cases are what of gives of each path and MTU; a look leaves jumbo frames out.
func (b *Bench) cases(e harness.Extent, family string, cost time.Duration, of func(path, Cell) []Cell) []harness.Case {
	var list []harness.Case
	for _, p := range paths() {
		for _, mtu := range p.mtus {
			if !e.Wide && mtu == 9000 {
				continue
			}
			for _, c := range of(p, Cell{Family: family, Path: p.name, MTU: mtu, Window: window}) {
				list = append(list, b.newCase(c, samples(e), cost))
			}
		}
	}
	return list
}

// bothIP is a cell by IP version.
func (b *Bench) bothIP(e harness.Extent, c Cell) []Cell {
	c.IP = 4
	if !e.Wide {
		return []Cell{c}
	}
	six := c
	six.IP = 6
	return []Cell{c, six}
}
