package limits

import (
	"cmp"
	"math"
	"slices"
	"time"

	"isoperf/workloads/load"
)

// throttleSlice is the time for which the kernel hands out bytes and requests
// at once: HZ/10 ticks (DFL_THROTL_SLICE_HD, block/blk-throttle.h). A group may
// be ahead of its limit by what one slice allows.
const throttleSlice = 100 * time.Millisecond

// ioSettling is how long a load runs before its window begins: the first slice is
// given at once, so the first second is a figure of its own.
const ioSettling = time.Second

// ioLimit is a limit on a device, in bytes per second of the load's requests,
// and the load.
type ioLimit struct {
	rate    float64 // bytes per second
	block   int64   // of one request
	threads int
	tick    time.Duration
}

// ioWindow is what the load's own events say. Errors are relative to the limit.
type ioWindow struct {
	wall    time.Duration // from one completion to another
	bytes   int64         // done between them
	rate    float64       // bytes per second
	failure float64
	budget  float64       // by how much failure may be off, although the kernel is right
	burst   float64       // the first second's bytes / the limit's - 1
	most    float64       // what burst may be, although the kernel is right
	stall   time.Duration // the longest without a completion
}

// measureIO goes from the first completion after ioSettling to the last one in
// time, each time when the group was stopped if there are such moments. Between two completions no request is halfway; but at each the kernel may
// be ahead by up to a slice, and late by a tick. ok is false when there are fewer
// than three completions.
func measureIO(events []load.Event, l ioLimit, begin int64, length time.Duration) (w ioWindow, ok bool) {
	events = slices.DeleteFunc(slices.Clone(events), func(e load.Event) bool { return e.Kind != load.Step })
	slices.SortFunc(events, func(a, b load.Event) int { return cmp.Compare(a.To, b.To) })
	from, to := begin+int64(ioSettling), begin+int64(ioSettling+length)
	var early int64
	var inside []load.Event
	for _, e := range events {
		switch {
		case e.To < from:
			early += e.Value
		case e.To <= to:
			inside = append(inside, e)
		}
	}
	allowed := l.rate * ioSettling.Seconds()
	w.burst = float64(early)/allowed - 1
	w.most = float64(throttleSlice+l.tick)/float64(ioSettling) + float64(l.threads)*float64(l.block)/allowed
	if len(inside) < 3 {
		return w, false
	}
	inside = betweenWaits(inside)
	first, last := inside[0], inside[len(inside)-1]
	for i, e := range inside[1:] {
		w.bytes += e.Value
		w.stall = max(w.stall, time.Duration(e.To-inside[i].To))
	}
	w.wall = time.Duration(last.To - first.To)
	if w.wall <= 0 {
		return w, false
	}
	w.rate = float64(w.bytes) / w.wall.Seconds()
	w.failure = w.rate/l.rate - 1
	// Threads end their batches at different times.
	between := float64(l.threads-1) * float64(max(float64(l.block), l.rate*(2*time.Millisecond).Seconds()/float64(l.threads)))
	w.budget = float64(throttleSlice+l.tick)/float64(w.wall) + between/(l.rate*w.wall.Seconds())
	return w, true
}

// betweenWaits leaves out what was done before the first and after the last completion
// that was followed by a wait of more than half a slice, if there are two: at both
// the group had used all that it was allowed, and the slice was equally old.
func betweenWaits(list []load.Event) []load.Event {
	var waits []int
	for i := 1; i < len(list); i++ {
		if list[i].To-list[i-1].To > int64(throttleSlice)/2 {
			waits = append(waits, i-1)
		}
	}
	if len(waits) < 2 {
		return list
	}
	return list[waits[0] : waits[len(waits)-1]+1]
}

// length is how long a limit is measured: 50 slices and ten requests at least.
func (l ioLimit) length() time.Duration {
	each := time.Duration(math.Ceil(float64(l.block) / l.rate * float64(time.Second)))
	return max(51*throttleSlice, 10*each+each/2)
}
