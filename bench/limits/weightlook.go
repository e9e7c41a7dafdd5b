package limits

import (
	"math"
	"time"

	"isoperf/bench/environment"
)

// snapshot is all counters, read one after another.
type snapshot struct {
	at    int64
	top   reading
	leaf  []reading
	loads []time.Duration // the CPU clocks of the leaves' processes
	all   environment.CPUTimes
}

// look reads all counters, again while this process was kept from running
// meanwhile; each reading has its own time, so what is left of that is no error.
func (s *weighted) look() (snapshot, error) {
	var best snapshot
	width := int64(math.MaxInt64)
	for range 10 {
		var now snapshot
		var err error
		if now.top, err = s.top.read(); err != nil {
			return now, err
		}
		last := now.top
		for _, l := range s.leaves {
			var used time.Duration
			if last, err = l.meter.read(); err == nil && l.worker != nil {
				used, err = l.worker.cpuTime()
			}
			if err != nil {
				return now, err
			}
			now.leaf, now.loads = append(now.leaf, last), append(now.loads, used)
		}
		if now.all, err = environment.ReadCPUTimes("/"); err != nil {
			return now, err
		}
		now.at = now.top.at
		if d := last.at - now.top.at; d < width {
			best, width = now, d
		}
		if width <= int64(slow) {
			break
		}
		if err := pause(s.bench.Context, time.Millisecond); err != nil {
			return now, err
		}
	}
	return best, nil
}
