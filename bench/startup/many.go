package startup

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// together are the runtimes that are started many at a time.
var together = []string{"fork-exec", "isorun", "runc", "crun", "youki", "bwrap", "unshare"}

// many are the chosen peers that can be started many at a time: those that the
// user named, or the quick ones of the table.
func (b *Bench) many() []peer {
	var list []peer
	for _, p := range b.chosen() {
		if len(b.config.Runtimes) > 0 && p.slow == 0 && p.takes != inside || slices.Contains(together, p.name) {
			list = append(list, p)
		}
	}
	return list
}

// AtOnce are the cases with several starts at a time: 1 to twice as many as
// there are CPUs, each of them back to back.
func (b *Bench) AtOnce(e harness.Extent) []harness.Case {
	var cases []harness.Case
	v := b.which()[0]
	for _, p := range b.many() {
		for n := 1; n <= 2*runtime.NumCPU(); n++ {
			cases = append(cases, harness.Case{
				Name:    fmt.Sprintf("StartupAtOnce/runtime=%s/n=%d", p.name, n),
				Samples: max(harness.CrowdRuns*10*n, e.Burst), Run: 10 * n, Cost: p.cost(), Drops: true, Ballast: true,
				Open: func() (harness.Sampler, error) { return b.openCrowd(p, v, n, 0) },
			})
		}
	}
	return cases
}

// loads are the shares of the best rate at which the open loop starts.
var loads = []int{25, 50, 75, 90}

// Open are the cases with intended start times: a share of the rate that a
// closed loop reaches here, at even intervals. Who only starts the next when the
// last has ended never sees what a queue does to the ones behind it.
func (b *Bench) Open(e harness.Extent) []harness.Case {
	var cases []harness.Case
	v := b.which()[0]
	for _, p := range b.many() {
		if p.takes == programs {
			continue
		}
		for _, load := range loads {
			cases = append(cases, harness.Case{
				Name:    fmt.Sprintf("StartupOpen/runtime=%s/load=%d", p.name, load),
				Samples: 2 * max(50, e.Burst), Run: max(50, e.Burst), Cost: 2 * p.cost(), Drops: true, Ballast: true, Long: true,
				Open: func() (harness.Sampler, error) { return b.openCrowd(p, v, 8*runtime.NumCPU(), load) },
			})
		}
	}
	return cases
}

// crowd are starters, each with a container of its own name.
type crowd struct {
	starters []*starter
	load     int // percent; 0: as fast as they go
}

func (b *Bench) openCrowd(p peer, v variant, n, load int) (harness.Sampler, error) {
	w, err := b.open()
	if err != nil {
		return nil, err
	}
	f, err := w.tried(p, v)
	if err != nil {
		return nil, refused(err)
	}
	c := &crowd{load: load}
	for range n {
		g := *f
		g.setup.id = w.name(p)
		if g.start, err = p.launch(w, g.setup); err == nil {
			var s *starter
			if s, err = w.newStarter(&g, 0); err == nil {
				s.shared = true
				c.starters = append(c.starters, s)
				continue
			}
		}
		c.Close()
		return nil, refused(err)
	}
	return c, nil
}

// Sample makes n starts in all. What they leave running is ended when all have
// been: before, nobody knows whose it is.
func (c *crowd) Sample(n int, emit func([]sample.Value, error)) {
	known, err := adopted()
	if err != nil {
		emit(nil, err)
		return
	}
	if c.load > 0 {
		c.open(n, emit)
	} else {
		c.atOnce(n, emit)
	}
	left, err := awaitOrphans(known, patience)
	if err == nil && len(left) > 0 {
		err = errors.Join(fmt.Errorf("%s has left %q running for %v", c.starters[0].setup.peer.name, commandOf(left[0]), patience), endOrphans(known))
	}
	if err != nil {
		emit(nil, err)
	}
}

// atOnce starts as fast as it goes.
func (c *crowd) atOnce(n int, emit func([]sample.Value, error)) {
	began, results := c.closed(n)
	last, done := began, 0
	for _, r := range results {
		if r.err == nil {
			done++
			last = max(last, r.o.entered+r.o.total)
		}
	}
	wall := float64(last-began) / float64(max(1, done))
	told := false // the wall time is one of the run, not of each of its starts
	for _, r := range results {
		if r.err != nil {
			emit(nil, r.err)
			continue
		}
		values := []sample.Value{{Unit: "ready-ns", Value: float64(r.o.ready)}, {Unit: "total-ns", Value: float64(r.o.total)}}
		if !told {
			told, values = true, append([]sample.Value{{Unit: "wall-ns", Value: wall}}, values...)
		}
		emit(values, nil)
	}
}

// result is a start of a crowd.
type result struct {
	o        one
	intended int64 // CLOCK_MONOTONIC in nanoseconds
	err      error
}

// closed has every starter start the next one when its last has ended, until
// there are n.
func (c *crowd) closed(n int) (began int64, results []result) {
	tickets := make(chan struct{}, n)
	for range n {
		tickets <- struct{}{}
	}
	close(tickets)
	var mu sync.Mutex
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, s := range c.starters {
		all.Go(func() {
			<-start
			for range tickets {
				o, err := s.cycle()
				mu.Lock()
				results = append(results, result{o: o, err: err})
				mu.Unlock()
			}
		})
	}
	began = program.Now()
	close(start)
	all.Wait()
	return began, results
}

// open finds the rate of a closed loop, then starts at intended times. A start
// whose time has come while no starter is free waits, and its wait counts.
func (c *crowd) open(n int, emit func([]sample.Value, error)) {
	probe := crowd{starters: c.starters[:min(len(c.starters), 2*runtime.NumCPU())]}
	began, results := probe.closed(max(20, n/4))
	for _, r := range results {
		if r.err != nil {
			emit(nil, r.err)
			return
		}
	}
	each := (program.Now() - began) / int64(len(results))
	interval := each * 100 / int64(c.load)
	due := make(chan int64, n)
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, s := range c.starters {
		all.Go(func() {
			for intended := range due {
				r := result{intended: intended}
				r.o, r.err = s.cycle()
				mu.Lock()
				results = append(results, r)
				mu.Unlock()
			}
		})
	}
	results = nil
	first := program.Now() + int64(time.Millisecond)
	for i := range n {
		at := first + int64(i)*interval
		time.Sleep(time.Duration(at - program.Now()))
		due <- at
	}
	close(due)
	all.Wait()
	slices.SortFunc(results, func(a, b result) int { return int(a.intended - b.intended) })
	for _, r := range results {
		if r.err != nil {
			emit(nil, r.err)
			continue
		}
		emit([]sample.Value{
			{Unit: "interval-ns", Value: float64(interval)}, {Unit: "late-ns", Value: float64(r.o.entered - r.intended)},
			{Unit: "total-ns", Value: float64(r.o.total)}, {Unit: "response-ns", Value: float64(r.o.entered + r.o.total - r.intended)},
		}, nil)
	}
}

// Close gives back what the starters took.
func (c *crowd) Close() error {
	for _, s := range c.starters {
		s.Close()
	}
	return nil
}
