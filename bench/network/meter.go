package network

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"isoperf/runtime/program"
)

// reading is what the counters of a path say at one instant.
type reading struct {
	at                      int64 // CLOCK_MONOTONIC, nanoseconds
	bytes                   int64 // that have arrived
	client                  time.Duration
	server                  time.Duration
	translator              time.Duration // 0: there is none
	softirq                 time.Duration // of the whole machine, in steps of 10 ms; part of it may be in the ends' own time
	sent, got               uint64        // bytes of the container's link, with headers
	sentPackets, gotPackets uint64
}

// meter reads the counters of two ends and what is between them.
type meter struct {
	world                    *world
	client, server, receives *endpoint
}

func (m meter) read() (r reading, err error) {
	if r.softirq, err = softirq(); err != nil {
		return r, err
	}
	for range 10 {
		begin := program.Now()
		if err := m.world.between(&r); err != nil {
			return r, err
		}
		r.bytes = arrived(m.receives)
		if r.at = program.Now(); r.at-begin < apart {
			break
		}
	}
	if r.client, err = cpu(m.client.proc.Pid()); err != nil {
		return r, err
	}
	r.server, err = cpu(m.server.proc.Pid())
	return r, err
}

// apart is how long there may be, in nanoseconds, between what the link says and
// what the receiver says: a busy machine may have this program wait there, for
// long enough that the two differ by more than they may.
const apart = int64(time.Millisecond)

// between reads what is between the ends: the container's link, and the
// translator's CPU clock. Both go when the translator dies: then that is the error.
func (w *world) between(r *reading) error {
	err := w.count(r)
	if err != nil {
		if broken := w.linked(time.Second); broken != nil {
			return broken
		}
	}
	return err
}

func (w *world) count(r *reading) error {
	link, err := w.route.device.netlink.LinkByName(w.route.deviceName)
	if err != nil {
		return fmt.Errorf("read the counters of link %q of the %s: %w", w.route.deviceName, w.route.device.name, err)
	}
	if s := link.Attrs().Statistics; s != nil {
		r.sent, r.got = s.TxBytes, s.RxBytes
		r.sentPackets, r.gotPackets = s.TxPackets, s.RxPackets
	}
	if pid := w.translator(); pid != 0 {
		r.translator, err = cpu(pid)
	}
	return err
}

// arrived are the bytes of all streams of a receiver.
func arrived(e *endpoint) (sum int64) {
	for i := range max(1, e.spec.Threads) {
		sum += e.board.Slots[i].Count.Load()
	}
	return sum
}

// translator is the process between container and host; 0: there is none.
func (w *world) translator() int {
	if w.link == nil {
		return 0
	}
	return w.link.Helper()
}

// softirq is the time that the machine has spent in soft interrupts; see
// proc(5), /proc/stat.
func softirq() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the time of soft interrupts: %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	word := bytes.Fields(line)
	if len(word) < 8 {
		return 0, fmt.Errorf("read the time of soft interrupts: /proc/stat begins with %q", line)
	}
	ticks, err := strconv.ParseInt(string(word[7]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the time of soft interrupts: %w", err)
	}
	return time.Duration(ticks) * (time.Second / 100), nil // USER_HZ is 100 on all that this runs on
}

// way is the route that the client's packets take, for the record.
func (w *world) way() string {
	list, err := w.route.client.netlink.RouteGet(net.ParseIP(w.route.dial))
	if err != nil || len(list) == 0 {
		return fmt.Sprintf("unknown: %v", err)
	}
	name := strconv.Itoa(list[0].LinkIndex)
	if link, err := w.route.client.netlink.LinkByIndex(list[0].LinkIndex); err == nil {
		name = link.Attrs().Name
	}
	s := w.route.dial + " dev " + name
	if list[0].Gw != nil {
		s = w.route.dial + " via " + list[0].Gw.String() + " dev " + name
	}
	return s
}

// mtu reads back the MTU of the container's link.
func (w *world) mtu() (int, error) {
	link, err := w.route.device.netlink.LinkByName(w.route.deviceName)
	if err != nil {
		return 0, fmt.Errorf("read the MTU of link %q back: %w", w.route.deviceName, err)
	}
	return link.Attrs().MTU, nil
}
