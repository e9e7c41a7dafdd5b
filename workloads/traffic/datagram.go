package traffic

import "encoding/binary"

// Header is what a datagram of udp-send begins with, in little-endian.
type Header struct {
	Stream uint32 // the sender's thread
	Number uint64 // from 0, each one more
	Due    int64  // instants, CLOCK_MONOTONIC, of the sender: when it was to be sent
	Begun  int64  // and when it was
}

// HeaderBytes is its length: no datagram is shorter.
const HeaderBytes = 32

// magic tells a datagram of udp-send from others.
const magic = 0x74726166

func (h Header) put(text []byte) {
	binary.LittleEndian.PutUint32(text, magic)
	binary.LittleEndian.PutUint32(text[4:], h.Stream)
	binary.LittleEndian.PutUint64(text[8:], h.Number)
	binary.LittleEndian.PutUint64(text[16:], uint64(h.Due))
	binary.LittleEndian.PutUint64(text[24:], uint64(h.Begun))
}

// header reads one; false when it is none.
func header(text []byte) (Header, bool) {
	if len(text) < HeaderBytes || binary.LittleEndian.Uint32(text) != magic {
		return Header{}, false
	}
	return Header{
		Stream: binary.LittleEndian.Uint32(text[4:]),
		Number: binary.LittleEndian.Uint64(text[8:]),
		Due:    int64(binary.LittleEndian.Uint64(text[16:])),
		Begun:  int64(binary.LittleEndian.Uint64(text[24:])),
	}, true
}

// seen remembers how many of the latest numbers of a sender came. One that comes
// later than that many others is Strange: it may be one that came before.
const seen = 1 << 16

// numbers are those that came of one sender.
type numbers struct {
	Sender
	came [seen / 64]uint64 // a bit each, of the latest
}

// take takes a number, and counts it.
func (n *numbers) take(number uint64, bytes int, a *Arrived) {
	at := int64(number)
	switch {
	case at < 0 || at < n.Next-seen:
		a.Strange++
		return
	case at >= n.Next:
		if at-n.Next >= seen {
			clear(n.came[:])
		} else {
			for i := n.Next; i <= at; i++ {
				n.came[i%seen/64] &^= 1 << (i % 64)
			}
		}
		n.Next = at + 1
	case n.came[at%seen/64]&(1<<(at%64)) != 0:
		a.Duplicates++
		return
	default:
		a.Reordered++
	}
	n.came[at%seen/64] |= 1 << (at % 64)
	n.Count++
	n.Bytes += int64(bytes)
}
