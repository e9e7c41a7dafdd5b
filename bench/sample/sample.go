// Package sample is the result file: what every measurement writes and every
// report reads.
//
//	harness ──Writer──► file in the Go benchmark format ──Read──► File ──► reports
//
// One line is one sample, with several units; configuration lines stand
// above; everything that is not a sample (the fingerprint, failures, what
// could not be measured) is a comment line of JSON, so that benchstat reads
// the same file as it is:
//
//	goos: linux
//	kernel: 6.18.44
//	# isoperf {"version":"…","start":"…"}
//	Unit clone-ns better=lower
//	BenchmarkClone/flag=net/mode=vm/pacing=burst 1 617834 clone-ns 639720 reap-ns
//	# failed {"case":"Clone/flag=net/mode=vm/pacing=burst","why":"…"}
//	# not-measured {"case":"Clone/flag=time","why":"…"}
//	# observed {"case":"Startup/runtime=runc/with=usual/pacing=burst","version":"…","lacks":["…"]}
//	# timeline {"case":"StartupSpans/runtime=isorun/with=usual/pacing=burst","total_ns":3012345,"bars":[…]}
//	# checked {"case":"CpuMax/quota=20%/…","sample":0,"limit":"cpu.max","asked":"20000 100000","read":"20000 100000"}
//	# series {"case":"CpuMax/quota=20%/…","sample":0,"name":"use per period","x":"ns","y":"ratio","points":[[0,1],…]}
//	# noise {"case":"Startup/runtime=isorun/with=usual/pacing=burst","unit":"total-ns","ratio":0.006,"rounds":214}
//	# end {"why":"done"}
//
// A line is written, whole, before the next sample starts: what was measured
// is in the file even if the process is killed. A line without its newline is
// not read, and File.Notes says so.
//
// Units are base units with the suffixes -ns, -B, -B/s, -ratio, -count and
// -ns/B; they are scaled only when they are printed.
package sample

import (
	"encoding/json"
	"slices"
	"strings"
)

// Value is one figure of a sample, in base units (nanoseconds, bytes, …).
type Value struct {
	Unit  string
	Value float64
}

// Pair is one configuration line. Two files with different pairs are not
// comparable: benchstat splits its tables there.
type Pair struct{ Key, Value string }

// Unit is the metadata of a unit.
type Unit struct {
	Name   string
	Better string // "lower", "higher", or "" where neither is better
}

// Header is what stands above the samples.
type Header struct {
	Config      []Pair
	Fingerprint any // marshalled into the one "# isoperf {…}" line
	Units       []Unit
}

// Note is something that is not a sample: a failed operation, or a case that
// could not be measured.
type Note struct {
	Case string `json:"case"`
	Why  string `json:"why"`
}

// Observed is what was seen of a thing before it was measured: a runtime and
// the container that it makes, as its payload saw it.
type Observed struct {
	Case    string   `json:"case"`
	Version string   `json:"version,omitempty"` // of the runtime: "runc 1.1.5"
	Looked  bool     `json:"looked,omitempty"`  // it was looked into for what was asked for
	Made    []string `json:"made,omitempty"`    // what it made: "pid namespace", "cgroup", "seccomp filter", "mounts 12", …
	Lacks   []string `json:"lacks,omitempty"`   // what was asked for and the container does not have
	Adds    []string `json:"adds,omitempty"`    // what it has beyond that
	Notes   []string `json:"notes,omitempty"`   // what a reader must know of the figures
}

// Timeline is what happened in one sample of a case, for a picture.
type Timeline struct {
	Case  string `json:"case"`
	Total int64  `json:"total_ns"`
	Bars  []Bar  `json:"bars"` // in order of time
}

// Checked is what was checked about one sample of a limit's case: that the limit
// was in force, for the processes that were measured. The judgement is computed
// from it and from the sample's values; it is never stored.
type Checked struct {
	Case   string            `json:"case"`
	Sample int               `json:"sample"`           // of the case, from 0
	Limit  string            `json:"limit"`            // as version 2 calls it: "cpu.max"
	Asked  string            `json:"asked"`            // as it was to be written: "20000 100000"
	Read   string            `json:"read,omitempty"`   // what the kernel gave back when the sample ended
	Doubts []string          `json:"doubts,omitempty"` // why the sample says nothing of the kernel; none: it does
	Facts  map[string]string `json:"facts,omitempty"`  // what else a judge wants to know
}

// Series is a curve that belongs to one sample of a case, for a picture.
type Series struct {
	Case   string       `json:"case"`
	Sample int          `json:"sample"`
	Name   string       `json:"name"` // what it is: "use per period", "latency"
	X      string       `json:"x"`    // the unit of the first number of a point; empty: its index
	Y      string       `json:"y"`    // the unit of the second
	Points [][2]float64 `json:"points"`
}

// Noise is by how much a case differs when nothing does: what was measured of the
// same thing against itself, in the same run.
type Noise struct {
	Case   string  `json:"case"`
	Unit   string  `json:"unit"`
	Ratio  float64 `json:"ratio"`  // 0.006: 0.6 %, either way
	Rounds int     `json:"rounds"` // that it was taken from
}

// Bar is something that took time: nanoseconds since the sample began.
type Bar struct {
	Lane  string `json:"lane"`
	Phase string `json:"phase"` // empty: the lane waits
	From  int64  `json:"from"`
	To    int64  `json:"to"`
}

// Ending is the last line of a run that ended in order.
type Ending struct {
	Why string `json:"why"` // "done", "interrupted", …; "" in memory: the run was cut short
	// Steal is the share of CPU time that the host took for others during the
	// run, 0 to 1; absent where the kernel does not tell.
	Steal *float64 `json:"steal_ratio,omitempty"`
}

// Case is all samples of one name in one file.
type Case struct {
	Name     string               // as in the file, without "Benchmark"
	Units    []string             // in order of first appearance
	Values   map[string][]float64 // by unit, in order of measurement
	Failures []string             // why each failed operation failed; never timed
	// At says to which samples a unit's values belong, where not every sample has
	// the unit, once; nil: the n-th value is the n-th sample's.
	At map[string][]int
	// Blocks are the samples, from 0, before which other cases had their turn:
	// those between two were measured one after another.
	Blocks []int
}

// add appends a value of the n-th sample, which is being read.
func (c *Case) add(unit string, v float64, n int) {
	at, have := c.At[unit], len(c.Values[unit])
	if at == nil && have != n {
		for i := range have {
			at = append(at, min(i, n))
		}
	}
	if at != nil || have != n {
		if c.At == nil {
			c.At = map[string][]int{}
		}
		c.At[unit] = append(at, n)
	}
	c.Values[unit] = append(c.Values[unit], v)
}

// Value is that of a unit in the i-th sample; false: that sample does not have
// the unit.
func (c *Case) Value(unit string, i int) (float64, bool) {
	if at := c.At[unit]; at != nil {
		i = slices.Index(at, i)
	}
	if list := c.Values[unit]; i >= 0 && i < len(list) {
		return list[i], true
	}
	return 0, false
}

// Family is the first part of the name: "Clone" of "Clone/flag=net".
func (c *Case) Family() string {
	family, _, _ := strings.Cut(c.Name, "/")
	return family
}

// Param is the value of key in the name ("net" for "flag" in
// "Clone/flag=net"), or "" when the name does not have it.
func (c *Case) Param(key string) string {
	for part := range strings.SplitSeq(c.Name, "/") {
		if k, v, ok := strings.Cut(part, "="); ok && k == key {
			return v
		}
	}
	return ""
}

// N is the number of samples.
func (c *Case) N() int {
	n := 0
	for unit, v := range c.Values {
		if at := c.At[unit]; len(at) > 0 {
			n = max(n, at[len(at)-1]+1)
		} else {
			n = max(n, len(v))
		}
	}
	return n
}

// File is one result file in memory.
type File struct {
	Path        string
	Config      []Pair
	Fingerprint []byte // the JSON of the first "# isoperf" line; nil when there is none
	Units       []Unit
	Cases       []*Case // in order of first appearance
	NotMeasured []Note
	Observed    []Observed
	Timelines   []Timeline
	Checked     []Checked
	Series      []Series
	Noise       []Noise
	End         Ending   // how the run ended
	Notes       []string // about the file: a missing end, lines that were skipped
	// Runs are the files that a report has joined to this one; nil: it is one
	// run. What is compared within a run, such as a path with host networking, is
	// compared there.
	Runs []*File
}

// Case returns the case called name, or nil.
func (f *File) Case(name string) *Case {
	for _, c := range f.Cases {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Family returns the cases whose first name part is family.
func (f *File) Family(family string) []*Case {
	var cases []*Case
	for _, c := range f.Cases {
		if c.Family() == family {
			cases = append(cases, c)
		}
	}
	return cases
}

// Recorded is a text or a number of the fingerprint, or "" when it is not there.
func (f *File) Recorded(key string) string {
	var all map[string]json.RawMessage
	if json.Unmarshal(f.Fingerprint, &all) != nil {
		return ""
	}
	var text string
	var number json.Number
	if json.Unmarshal(all[key], &text) == nil {
		return text
	}
	if json.Unmarshal(all[key], &number) == nil {
		return number.String()
	}
	return ""
}

// Seen is what was observed of a case; the zero value when nothing was.
func (f *File) Seen(name string) Observed {
	for _, o := range f.Observed {
		if o.Case == name {
			return o
		}
	}
	return Observed{}
}

// Key returns the value of a configuration key, or "".
func (f *File) Key(key string) string {
	for _, p := range f.Config {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}
