// Package history says since which commit a case is slower, from result files of
// many commits.
//
//	runs, in order ──Of──► environments: runs that may be compared
//	                          └─► series: a case's median in each of its runs
//	                                └─ change points (divisive.go) ─► levels
//	                                     └─ did the controls step there too? ─► the machine, not the commit
//	                                          └─ is the newest run still on the worse level? ─► verdict
//	                                               ▼
//	              Write, Markdown, JSON, CSV; package plot draws a series
//
// A comparison of two files knows the noise of two runs; a history knows what the
// case does from run to run, so that a smaller change is seen, and it names the
// commit. A single run is never held against a commit: three runs make a level.
package history

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"isoperf/bench/sample"
	"isoperf/reports/compare"
	"isoperf/reports/stats"
)

// Alpha is the probability of naming any commit where nothing changed, over all
// series of an environment, as far as runs are what the noise of the series says.
const Alpha = 0.05

// mostRuns is how many runs of a series are looked at, the newest: the search
// grows with the square of their number.
const mostRuns = 600

// Run is a result file of a commit.
type Run struct {
	Name   string    // of the file in the store
	Commit string    // as it is to be printed
	Time   time.Time // of the commit, or of the run
	File   *sample.File
}

// Options are the rules. The zero value is the default.
type Options struct {
	Floor  float64           // the least change that counts; 0: compare.DefaultFloor
	Match  func(string) bool // cases to look at; nil: all
	Ignore []string          // configuration keys that do not keep runs apart
	Since  string            // the commit up to which changes are accepted, with those before it; empty: none are
}

// Point is a case in a run.
type Point struct {
	Run    int // index in History.Runs
	Median float64
	Lo, Hi float64 // the median's 95 % range within the run
	N      int     // samples
}

// Level is a stretch of points in which nothing changed.
type Level struct {
	From, To int // points [From, To)
	Median   float64
}

// Change is where one level ends and the next begins.
type Change struct {
	Point    int          // the first one of the new level
	Commit   string       // of that: the first that was measured to be different
	Before   string       // the commit of the run before it
	Ratio    stats.Factor // of the new level by the old one
	P        float64      // times the number of places and of series
	Worse    bool
	Still    bool      // the newest level is still worse than the one before the change
	Machine  string    // which controls moved there too; empty: none did
	Accepted bool      // it is not later than Options.Since
	Suspects []Suspect // the most likely places, 95 % of it all together, the named one first
}

// Suspect is a commit that may be the first of the new level.
type Suspect struct {
	Commit string
	Share  float64 // the probability of it, 0 to 1
}

// Counts says whether the change is laid at a commit's door now.
func (c Change) Counts() bool { return c.Worse && c.Still && !c.Accepted && c.Machine == "" }

// Series is a case in all runs of one environment.
type Series struct {
	Case, Unit, Better string
	Environment        int // index in History.Environments
	Points             []Point
	Levels             []Level
	Changes            []Change
	Scatter            float64 // of runs about their level, as a ratio: 0.012 is 1.2 %
	Sees               float64 // the least step that five runs after it would show, as a ratio; +Inf: unknown
	Verdict            compare.Verdict
	Why                string
	Need               int  // about how many more runs would tell; 0: unknown
	Past               bool // its environment is no longer measured; it does not count

	track *track
}

// Key names the row as compare does.
func (s Series) Key() string { return s.Case + " " + s.Unit }

// Environment is what runs must have in common to be compared.
type Environment struct {
	Config []sample.Pair
	Runs   []int  // indexes in History.Runs
	Words  string // where it differs from the newest one: "kernel 6.1"; empty: it is that
	Past   bool   // the same machine has a newer kernel, or the like
}

// History is what the runs say.
type History struct {
	Runs         []Run
	Environments []Environment
	Series       []Series
	Floor        float64
	Since        string
	Verdict      compare.Verdict // Slower, CannotTell, Faster, Same
	Notes        []string

	controls []Series
}

// Of finds what changed. Runs are in order, the oldest first.
func Of(runs []Run, o Options) History {
	h := History{Runs: runs, Floor: o.Floor, Since: o.Since}
	if h.Floor <= 0 {
		h.Floor = compare.DefaultFloor
	}
	h.environments(o.Ignore)
	h.collect(o.Match)
	for e := range h.Environments {
		h.judgeAll(e)
	}
	h.Verdict = h.verdict()
	return h
}

// environments puts runs together that may be compared.
func (h *History) environments(ignore []string) {
	for i, r := range h.Runs {
		config := slices.DeleteFunc(slices.Clone(r.File.Config), func(p sample.Pair) bool { return slices.Contains(ignore, p.Key) })
		at := slices.IndexFunc(h.Environments, func(e Environment) bool { return len(compare.Differing(e.Config, config)) == 0 })
		if at < 0 {
			at = len(h.Environments)
			h.Environments = append(h.Environments, Environment{Config: config})
		}
		h.Environments[at].Runs = append(h.Environments[at].Runs, i)
	}
	for i := range h.Environments {
		e := &h.Environments[i]
		last := e.Runs[len(e.Runs)-1]
		for _, other := range h.Environments {
			newest := other.Runs[len(other.Runs)-1]
			if newest > last && sameMachine(e.Config, other.Config) {
				e.Past = true
			}
			if newest == len(h.Runs)-1 {
				e.Words = unlike(e.Config, other.Config)
			}
		}
	}
}

// sameMachine says whether two configurations differ only in what changes on one
// machine: then the older one is of the past.
func sameMachine(a, b []sample.Pair) bool {
	keep := func(list []sample.Pair) []sample.Pair {
		return slices.DeleteFunc(slices.Clone(list), func(p sample.Pair) bool {
			return slices.Contains([]string{"kernel", "cpu", "cgroup", "virt"}, p.Key)
		})
	}
	return len(compare.Differing(keep(a), keep(b))) == 0
}

// unlike are the pairs of a that b does not have.
func unlike(a, b []sample.Pair) string {
	var list []string
	for _, p := range a {
		if !slices.Contains(b, p) {
			list = append(list, p.Key+" "+p.Value)
		}
	}
	return strings.Join(list, ", ")
}

// collect makes the series. Of a file without figures for a case, the series has no
// point.
func (h *History) collect(match func(string) bool) {
	index := map[string]int{}
	for e, env := range h.Environments {
		for _, r := range env.Runs {
			medians, err := compare.Medians(h.Runs[r].File)
			if err != nil {
				h.Notes = append(h.Notes, fmt.Sprintf("%s: %v", h.Runs[r].Name, err))
				continue
			}
			for _, m := range medians {
				if !m.Control && match != nil && !match(m.Case) {
					continue
				}
				h.add(index, e, r, m)
			}
		}
	}
}

func (h *History) add(index map[string]int, environment, run int, m compare.Median) {
	list := &h.Series
	if m.Control {
		list = &h.controls
	}
	key := fmt.Sprint(environment, m.Control, m.Case, " ", m.Unit)
	at, ok := index[key]
	if !ok {
		at = len(*list)
		index[key] = at
		*list = append(*list, Series{Case: m.Case, Unit: m.Unit, Better: m.Better, Environment: environment, Past: h.Environments[environment].Past})
	}
	s := &(*list)[at]
	s.Points = append(s.Points, Point{run, m.Median, m.Lo, m.Hi, m.N})
}

// positive says whether all medians have a logarithm.
func (s *Series) positive() bool {
	return !slices.ContainsFunc(s.Points, func(p Point) bool { return !(p.Median > 0) || math.IsInf(p.Median, 0) })
}

// follow takes the newest points as a track; a level may begin where the commit
// changes.
func (h *History) follow(s *Series) {
	if cut := len(s.Points) - mostRuns; cut > 0 {
		s.Points = s.Points[cut:]
	}
	var logs []float64
	var starts []bool
	for i, p := range s.Points {
		logs = append(logs, math.Log(p.Median))
		starts = append(starts, i == 0 || h.Runs[p.Run].Commit != h.Runs[s.Points[i-1].Run].Commit)
	}
	s.track = newTrack(logs, starts)
}

// Count is how many series that count have a verdict.
func (h History) Count(v compare.Verdict) (n int) {
	for _, s := range h.Series {
		if !s.Past && s.Verdict == v {
			n++
		}
	}
	return n
}

// verdict is the worst of the series that count. What is new or gone is neither.
func (h History) verdict() compare.Verdict {
	switch {
	case h.Count(compare.Slower) > 0:
		return compare.Slower
	case h.Count(compare.CannotTell)+h.Count(compare.Apart) > 0:
		return compare.CannotTell
	case h.Count(compare.Faster) > 0:
		return compare.Faster
	case h.Count(compare.Same) > 0:
		return compare.Same
	}
	return compare.CannotTell
}
