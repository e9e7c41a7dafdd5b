package network

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"isoperf/workloads/traffic"
)

// warmUp is how long the ends run before they are measured: TCP has then found
// its window. It begins with ten segments and at most doubles each round trip:
// twenty are enough for 50 MB under way even where every second segment is
// answered, with which a window grows by a half only.
func (c Cell) warmUp() time.Duration {
	if c.Warm != 0 {
		return c.Warm
	}
	return 300*time.Millisecond + 20*c.RTT
}

// underWay bounds the bytes that have left but have not arrived: each of the
// connections that a path is made of holds what its sender keeps until it is
// answered, and what its receiver has not been asked for. A translator's own
// sockets are as large as the host lets them grow.
func (w *world) underWay(s sent) (float64, error) {
	sum := 0
	for _, t := range s.sender.Streams {
		sum += t.SendBuffer
	}
	for _, t := range s.receiver.Streams {
		sum += t.ReceiveBuffer
	}
	if w.translator() != 0 {
		for _, name := range []string{"tcp_wmem", "tcp_rmem"} {
			largest, err := largestBuffer(name)
			if err != nil {
				return 0, err
			}
			sum += largest * len(s.sender.Streams)
		}
	}
	return float64(sum), nil
}

// largestBuffer is how far TCP lets a socket's buffer grow, in bytes: the third
// number of tcp_rmem and tcp_wmem, tcp(7).
func largestBuffer(name string) (int, error) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
	if err != nil {
		return 0, fmt.Errorf("read how large a socket's buffer may be: %w", err)
	}
	words := strings.Fields(string(text))
	if len(words) != 3 {
		return 0, fmt.Errorf("read how large a socket's buffer may be: %s is %q, and not three numbers", name, text)
	}
	n, err := strconv.Atoi(words[2])
	if err != nil {
		return 0, fmt.Errorf("read how large a socket's buffer may be: %w", err)
	}
	return n, nil
}

// roundTrip is the shortest round trip that a kernel has seen of the streams; 0:
// none. An end that only receives sees that of the handshake, one that sends
// many. Behind a translator the container's end does not count, since the
// translator answers it: facing is what the translator's own sockets have seen.
func (w *world) roundTrip(s sent, outward, translated bool, facing time.Duration) time.Duration {
	client, server := s.receiver, s.sender
	if outward {
		client, server = s.sender, s.receiver
	}
	trips := []time.Duration{facing, leastRTT(client), leastRTT(server)}
	if translated {
		near := 1
		if w.route.client == w.peer {
			near = 2
		}
		trips[near] = 0
	}
	return least(trips)
}

func leastRTT(r traffic.Report) time.Duration {
	var trips []time.Duration
	for _, t := range r.Streams {
		if t.TCP != nil {
			trips = append(trips, time.Duration(t.TCP.RTTLeast))
		}
	}
	return least(trips)
}

// least is the shortest that is known; 0: none is.
func least(trips []time.Duration) time.Duration {
	trips = slices.DeleteFunc(trips, func(d time.Duration) bool { return d <= 0 })
	if len(trips) == 0 {
		return 0
	}
	return slices.Min(trips)
}

// facing is the shortest round trip that the host's sockets have seen to the
// peer, which are a translator's; 0: there are none, or the kernel cannot tell
// (sock_diag(7), CONFIG_INET_DIAG).
func (w *world) facing(c Cell) (time.Duration, error) {
	h, err := netlink.NewHandle(unix.NETLINK_INET_DIAG)
	if err != nil {
		return 0, ignoreMissing(err)
	}
	defer h.Close()
	family := uint8(unix.AF_INET)
	if c.IP == 6 {
		family = unix.AF_INET6
	}
	list, err := h.SocketDiagTCPInfo(family)
	if err != nil {
		return 0, ignoreMissing(err)
	}
	peer := net.ParseIP(c.pick(peerV4, peerV6))
	var trips []time.Duration
	for _, s := range list {
		if s.InetDiagMsg != nil && s.TCPInfo != nil && s.InetDiagMsg.ID.Destination.Equal(peer) && s.TCPInfo.Min_rtt != ^uint32(0) {
			trips = append(trips, time.Duration(s.TCPInfo.Min_rtt)*time.Microsecond)
		}
	}
	return least(trips), nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return fmt.Errorf("ask for the host's connections (sock_diag): %w", err)
}

// lateness is what a round trip may take longer than the delay that was asked
// for: both ends and the host are processes of one machine, which may be busy.
const lateness = 2 * time.Millisecond

// proveDistance holds the round trip that was seen against the one asked for.
func proveDistance(asked, seen time.Duration) error {
	switch {
	case asked == 0:
		return nil
	case seen == 0:
		return errors.New("not proven: no kernel has seen a round trip (TCP_INFO)")
	case seen < asked*98/100 || seen > asked+asked/10+lateness:
		return fmt.Errorf("not proven: the shortest round trip that was seen is %v, and not %v", seen, asked)
	}
	return nil
}
