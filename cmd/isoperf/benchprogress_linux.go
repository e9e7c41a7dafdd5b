package main

import (
	"fmt"
	"io"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/reports/answer"
)

// progress shows the run between samples: one line on a terminal, and once,
// after the first round, the figures so far.
func (c *cli) progress(w *sample.Writer) func(harness.State) {
	var drawn time.Time
	return func(s harness.State) {
		if s.FirstLook {
			c.clearProgress()
			if f, err := sample.ReadFile(w.Path()); err == nil {
				preview(c.stderr, f)
			}
			return
		}
		if !terminal(c.stderr) || time.Since(drawn) < 100*time.Millisecond {
			return
		}
		drawn = time.Now()
		line := fmt.Sprintf("%3d %%  %s left  %s", 100*s.Done/max(1, s.Want), s.Left.Round(time.Second), listName(s.Case))
		if s.Extends {
			line = "until the intervals are tight  " + listName(s.Case)
		}
		fmt.Fprintf(c.stderr, "\r\033[K%.*s", width(c.stderr)-1, line)
	}
}

func (c *cli) clearProgress() {
	if terminal(c.stderr) {
		fmt.Fprint(c.stderr, "\r\033[K")
	}
}

// preview prints the figures so far, when there are any to show.
func preview(w io.Writer, f *sample.File) {
	if len(f.Family("Clone")) == 0 {
		return
	}
	// A preview that cannot be printed is no reason to end the run.
	if err := answer.Preview(w, f); err != nil {
		fmt.Fprintf(w, "isoperf: first look: %v\n", err)
	}
}
