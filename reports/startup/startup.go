// Package startup reads the start-up families of a result file, so that the
// answer, the page and the pictures state the same thing.
//
//	Startup ─────────► Compare ────► runtimes by total, times the base, what each lacks, who is absent and why
//	StartupVariants ─► the same, and each variant over the usual start of the same family
//	StartupSpans ────► Breakdowns ─► phases that add up, and the residual
//	StartupAtOnce ───► Crowds ─────► starts per second against concurrency, the knee
//	StartupOpen ─────► Loads ──────► latency by percentile from the intended start
//	any of them ─────► words.go ───► the sentences
//
// The two families of whole starts both hold the usual container, each its own:
// they are measured at different times, and a machine that has drifted between
// them would show as the price of a variant. So nothing here sets samples of
// one against those of the other, also where a file holds both.
//
// A runtime is whatever the file calls one; only the base (isorun, or else
// the first one) and the floor (fork-exec, which makes no container) mean
// something here. Times are nanoseconds, a figure that is not there is NaN.
package startup

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
)

// Families are the start-up families, in the order in which they are read.
func Families() []string {
	return []string{Plain, Varied, "StartupSpans", "StartupAtOnce", "StartupOpen"}
}

// The families of whole starts.
const (
	Plain  = "Startup"         // every runtime with the usual container, or with the user's
	Varied = "StartupVariants" // the usual container and what differs from it, in turns
)

// Floor is the runtime that makes no container: nothing can start sooner.
const Floor = "fork-exec"

// Ours says whether a name is isorun itself, in one of its ways to start.
func Ours(name string) bool {
	return name == "isorun" || name == "isoperf-run" || name == "library"
}

// Start is a runtime as it starts one container, or why it does not.
type Start struct {
	Name string
	Case *sample.Case    // nil when nothing was measured
	Seen sample.Observed // of its container; zero when nothing was observed
	Why  string          // why it was not measured; "" when it was

	// Ready is to the first instruction of the payload, Total to the runtime
	// reaped. Ready.N is 0 where nothing stamps it, as in a user's command.
	Ready, Total stats.Summary

	Times stats.Factor // Total over that of the base
	CPU   float64      // median of user and system time together
	Peak  float64      // median of the peak resident memory, bytes
}

// Comparison is one variant of the start at one pacing.
type Comparison struct {
	Family, With, Pacing string
	Base                 *Start  // one of Starts: isorun, or else the first of the file, the floor last
	Starts               []Start // with samples, by the median of Total, quickest first
	Absent               []Start // without any, with Why, in order of the file

	file *sample.File
}

// withs and pacings are those that make the main comparison, the first that
// is there.
func withs() []string   { return []string{"usual", "own", "command"} }
func pacings() []string { return []string{"burst", "paced"} }

// Main is the comparison that a report begins with: that of the plain starts,
// or else of the variants. It is nil when the file has no start.
func Main(f *sample.File) *Comparison {
	if c := Of(f, Plain); c != nil {
		return c
	}
	return Of(f, Varied)
}

// Of is the main comparison of a family: the usual bundle, else the user's own,
// else the user's command, else whatever comes first; back to back where that
// was measured. It is nil when the family has no start.
func Of(f *sample.File, family string) *Comparison {
	cases := f.Family(family)
	there := func(with, pacing string) bool {
		return slices.ContainsFunc(cases, func(c *sample.Case) bool {
			return c.Param("with") == with && c.Param("pacing") == pacing && len(c.Values["total-ns"]) > 0
		})
	}
	for _, with := range append(withs(), distinct(cases, "with")...) {
		for _, pacing := range append(pacings(), distinct(cases, "pacing")...) {
			if there(with, pacing) {
				return Compare(f, family, with, pacing)
			}
		}
	}
	return nil
}

// Withs are the values of "with" that have samples in the family of c, in order
// of the file.
func (c *Comparison) Withs() []string { return distinct(c.file.Family(c.Family), "with") }

// Pacings are the values of "pacing" that have samples in the family of c, in
// order of the file.
func (c *Comparison) Pacings() []string { return distinct(c.file.Family(c.Family), "pacing") }

// Others are the containers beside that of c. Those of the variants may be set
// against it (see Comparable).
func (c *Comparison) Others() []string {
	return slices.DeleteFunc(c.Withs(), func(with string) bool { return with == c.With })
}

// Comparable says whether the other containers of the family took turns with
// that of c and differ from it in one thing, rather than being another bundle
// or command that was timed at another time.
func (c *Comparison) Comparable() bool { return c.Family == Varied }

func distinct(cases []*sample.Case, key string) []string {
	var values []string
	for _, c := range cases {
		if v := c.Param(key); len(c.Values["total-ns"]) > 0 && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

// Compare sets the runtimes of one family, variant and pacing side by side. It
// is nil when none has a sample.
func Compare(f *sample.File, family, with, pacing string) *Comparison {
	c := &Comparison{Family: family, With: with, Pacing: pacing, file: f}
	for _, k := range f.Family(family) {
		if k.Param("with") == with && k.Param("pacing") == pacing && len(k.Values["total-ns"]) > 0 {
			c.Starts = append(c.Starts, newStart(f, k))
		}
	}
	if len(c.Starts) == 0 {
		return nil
	}
	base := c.base()
	slices.SortStableFunc(c.Starts, func(a, b Start) int { return cmp.Compare(a.Total.Median, b.Total.Median) })
	c.Base = c.Named(base)
	for i := range c.Starts {
		s := &c.Starts[i]
		s.Times = stats.Ratio(c.Base.Case.Values["total-ns"], s.Case.Values["total-ns"])
	}
	c.absent()
	return c
}

// base is isorun where it was measured, else the first runtime that makes a
// container. The starts are still in order of the file.
func (c *Comparison) base() string {
	for _, is := range []func(Start) bool{
		func(s Start) bool { return s.Name == "isorun" },
		func(s Start) bool { return s.Name != Floor },
	} {
		if i := slices.IndexFunc(c.Starts, is); i >= 0 {
			return c.Starts[i].Name
		}
	}
	return c.Starts[0].Name
}

// Named is the start with samples of that name, or nil.
func (c *Comparison) Named(name string) *Start {
	for i := range c.Starts {
		if c.Starts[i].Name == name {
			return &c.Starts[i]
		}
	}
	return nil
}

func newStart(f *sample.File, k *sample.Case) Start {
	return Start{
		Name: k.Param("runtime"), Case: k, Seen: f.Seen(k.Name),
		Ready: stats.Summarize(k.Values["ready-ns"]), Total: stats.Summarize(k.Values["total-ns"]),
		CPU: cpu(k), Peak: stats.Summarize(k.Values["peak-B"]).Median,
	}
}

// cpu is the median of what user and system time are together.
func cpu(k *sample.Case) float64 {
	user, sys := k.Values["user-ns"], k.Values["sys-ns"]
	if len(user) != len(sys) {
		return stats.Summarize(user).Median + stats.Summarize(sys).Median
	}
	both := make([]float64, len(user))
	for i := range user {
		both[i] = user[i] + sys[i]
	}
	return stats.Summarize(both).Median
}

// absent finds who was to be compared and has no sample: not measured, or
// failed every time.
func (c *Comparison) absent() {
	add := func(name, why string) {
		if name == "" || c.Named(name) != nil || slices.ContainsFunc(c.Absent, func(s Start) bool { return s.Name == name }) {
			return
		}
		c.Absent = append(c.Absent, Start{Name: name, Why: why})
	}
	for _, n := range c.file.NotMeasured {
		if c.covers(n.Case) {
			add(param(n.Case, "runtime"), n.Why)
		}
	}
	for _, k := range c.file.Family(c.Family) {
		if c.covers(k.Name) && len(k.Failures) > 0 {
			add(k.Param("runtime"), "every start failed: "+k.Failures[0])
		}
	}
}

// covers says whether the name, which may be cut short, is a case of c.
func (c *Comparison) covers(name string) bool {
	family, _, _ := strings.Cut(name, "/")
	with, pacing := param(name, "with"), param(name, "pacing")
	return family == c.Family && (with == "" || with == c.With) && (pacing == "" || pacing == c.Pacing)
}

// Tells says whether c states already why the case was not measured: as the
// row of that runtime, for the same reason. A nil c states nothing.
func (c *Comparison) Tells(n sample.Note) bool {
	family, _, _ := strings.Cut(n.Case, "/")
	return c != nil && slices.Contains(Families(), family) && slices.ContainsFunc(c.Absent, func(s Start) bool {
		return s.Name == param(n.Case, "runtime") && s.Why == n.Why
	})
}

func param(name, key string) string { return (&sample.Case{Name: name}).Param(key) }

// Ready says whether any runtime's first instruction was stamped.
func (c *Comparison) Ready() bool {
	return slices.ContainsFunc(c.Starts, func(s Start) bool { return s.Ready.N > 0 })
}

// Versions are those of the runtimes, each once, in order of the rows.
func (c *Comparison) Versions() []string {
	var all []string
	for _, s := range c.Starts {
		if v := s.Seen.Version; v != "" && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// Total is the values of the runtime's total time in one variant and pacing of
// the family of c, or nil.
func (c *Comparison) Total(runtime, with, pacing string) []float64 {
	k := c.file.Case(c.Family + "/runtime=" + runtime + "/with=" + with + "/pacing=" + pacing)
	if k == nil {
		return nil
	}
	return k.Values["total-ns"]
}

// Runtimes are the names with samples in the family of c, the quickest of c
// first.
func (c *Comparison) Runtimes() []string {
	names := distinct(c.file.Family(c.Family), "runtime")
	place := func(name string) float64 {
		if s := c.Named(name); s != nil {
			return s.Total.Median
		}
		return math.Inf(1)
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	return names
}
