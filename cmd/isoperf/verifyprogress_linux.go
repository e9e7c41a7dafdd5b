package main

import (
	"fmt"
	"sync"
	"time"
)

// bar shows how far a run is whose steps take seconds each: a line that is
// redrawn on a terminal; elsewhere a line for each step.
type bar struct {
	*cli
	begin time.Time
	whole time.Duration // an estimate
	quit  chan struct{}
	done  sync.WaitGroup

	mu   sync.Mutex
	what string
}

// startProgress starts the line; stop ends it.
func (c *cli) startProgress(whole time.Duration) *bar {
	b := &bar{cli: c, begin: time.Now(), whole: whole, quit: make(chan struct{})}
	if terminal(c.stderr) {
		b.done.Go(b.redraw)
	}
	return b
}

func (b *bar) redraw() {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-b.quit:
			b.clearProgress()
			return
		case <-tick.C:
			fmt.Fprintf(b.stderr, "\r\033[K%.*s", width(b.stderr)-1, b.line())
		}
	}
}

// line is the state in words.
func (b *bar) line() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	gone := time.Since(b.begin)
	share := 0
	if b.whole > 0 {
		share = min(99, int(100*gone/b.whole))
	}
	return fmt.Sprintf("%3d %%  %v left  %s", share, max(0, b.whole-gone).Round(time.Second), b.what)
}

// measures says what is being measured from now on.
func (b *bar) measures(what string) {
	b.mu.Lock()
	b.what = what
	b.mu.Unlock()
	if !terminal(b.stderr) {
		fmt.Fprintln(b.stderr, b.line())
	}
}

func (b *bar) stop() {
	close(b.quit)
	b.done.Wait()
}
