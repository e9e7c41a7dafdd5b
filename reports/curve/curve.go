// Package curve says which of the curves that others have published appear in a
// result file, and how strongly: each under its name, in one sentence, with the
// figures of both ends. A curve that does not appear is said, too; one that was
// not measured is not.
//
//	File ──► cases of one sweep ──► first and last point, growth ──► "name: sentence"
package curve

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// Curve is one that was looked for.
type Curve struct {
	Name    string // as people know it: "Mount-namespace copy grows with the caller's mounts"
	Text    string // the figures, a sentence without its full stop
	Appears bool
}

// String is the curve as a sentence.
func (c Curve) String() string { return c.Name + ": " + c.Text + "." }

// All are the curves that the file has the samples for.
func All(f *sample.File) []Curve {
	var list []Curve
	for _, find := range []func(*sample.File) (Curve, bool){mountCopy, netnsAlive, cgroupWrite, oldRoot, peers} {
		if c, ok := find(f); ok {
			list = append(list, c)
		}
	}
	return list
}

// point is one step of a sweep.
type point struct {
	x      float64
	sum    stats.Summary
	values []float64
}

// points are the cases of a family that have a parameter, by its value; want are
// "key=value" of the others.
func points(f *sample.File, family, unit, key string, parse func(string) (float64, bool), want ...string) []point {
	var list []point
	for _, c := range f.Family(family) {
		x, ok := parse(c.Param(key))
		if !ok || !has(c, want) {
			continue
		}
		if sum := stats.Summarize(c.Values[unit]); sum.N > 0 && sum.Median > 0 {
			list = append(list, point{x, sum, c.Values[unit]})
		}
	}
	slices.SortStableFunc(list, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	return list
}

func has(c *sample.Case, want []string) bool {
	for _, w := range want {
		key, value, _ := strings.Cut(w, "=")
		if c.Param(key) != value {
			return false
		}
	}
	return true
}

func count(text string) (float64, bool) {
	var n float64
	_, err := fmt.Sscanf(text, "%g", &n)
	return n, err == nil
}

func pause(text string) (float64, bool) {
	d, err := time.ParseDuration(text)
	return float64(d), err == nil
}

// flat is the greatest rise over a whole sweep that is no growth.
const flat = 1.05

// grows describes a sweep over a number of things. It appears when the last
// point lies above the first beyond chance (95 %), and by more than flat.
func grows(name string, list []point, thing string) (Curve, bool) {
	if len(list) < 2 {
		return Curve{}, false
	}
	first, last := list[0], list[len(list)-1]
	c := Curve{Name: name, Appears: last.sum.Median > flat*first.sum.Median && stats.Increment(first.values, last.values).Lo > 0}
	c.Text = fmt.Sprintf("%s with %s, %s with %s", table.Duration(first.sum.Median), things(first.x, thing),
		table.Duration(last.sum.Median), things(last.x, thing))
	if !c.Appears {
		c.Text = "not seen here, " + c.Text
		return c, true
	}
	var x, y []float64
	for _, p := range list {
		x, y = append(x, p.x), append(y, p.sum.Median)
	}
	if fit := stats.Growth(x, y); fit.N >= 4 && fit.R2 >= 0.9 && fit.Coeff > 0 {
		c.Text += fmt.Sprintf("; each further %s adds %s", thing, table.Duration(fit.Coeff))
	} else {
		c.Text += fmt.Sprintf(" (%s)", multiple(last.sum.Median/first.sum.Median))
	}
	return c, true
}

// things is "1 mount", "2,000 mounts".
func things(n float64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return table.Count(int(n)) + " " + thing + "s"
}

// multiple writes a ratio: "1.4x", "560x".
func multiple(x float64) string {
	if x >= 9.95 {
		return table.Count(int(math.Round(x))) + "x"
	}
	return fmt.Sprintf("%.1fx", x)
}

func mountCopy(f *sample.File) (Curve, bool) {
	return grows("Mount-namespace copy grows with the caller's mounts", points(f, "SweepMounts", "clone-ns", "mounts", count, "flag=mnt"), "mount")
}

// hardly is the greatest rise over a whole sweep that is hardly one.
const hardly = 1.2

// netnsAlive are two sweeps: the namespaces that are alive are empty, or hold a
// socket that listens. It appears when either does, and by more than hardly.
func netnsAlive(f *sample.File) (Curve, bool) {
	all := Curve{Name: "Network namespace creation slows with those alive"}
	var texts []string
	for _, s := range []struct{ holds, words string }{
		{"", ""}, {"listener", "with a listener to network changes in each, such as who manages a network has, "},
	} {
		list := points(f, "SweepNetns", "clone-ns", "live", count, "flag=net", "holds="+s.holds)
		c, ok := grows("", list, "live namespace")
		if !ok {
			continue
		}
		if c.Appears && list[len(list)-1].sum.Median < hardly*list[0].sum.Median {
			c.Appears, c.Text = false, "hardly, "+c.Text
		}
		all.Appears = all.Appears || c.Appears
		texts = append(texts, s.words+c.Text)
	}
	all.Text = strings.Join(texts, "; ")
	return all, len(texts) > 0
}

func oldRoot(f *sample.File) (Curve, bool) {
	return grows("Dropping the old root grows with its mounts (pivot_root and umount2)",
		points(f, "SweepMountTable", "op-ns", "mounts", count, "op=pivot_root"), "mount")
}

func peers(f *sample.File) (Curve, bool) {
	return grows("A bind below a shared mount pays for every peer", points(f, "SweepPeers", "op-ns", "peers", count, "propagation=shared"), "peer")
}

// waits is how long a write takes that has certainly waited for a grace period,
// which is a few ticks of the timer.
const waits = 1e6

// cgroupWrite sets a write to cgroup.procs that is alone against one behind
// others, and against being born in the group.
func cgroupWrite(f *sample.File) (Curve, bool) {
	for _, c := range f.Family("Attach") {
		hierarchy := "hierarchy=" + c.Param("hierarchy")
		list := points(f, "Attach", "op-ns", "gap", pause, "op=write", hierarchy)
		if len(list) < 2 || list[0].x != 0 {
			continue
		}
		burst, lone := list[0], list[len(list)-1]
		found := Curve{Name: "cgroup write: lone against burst", Appears: lone.sum.Median > 10*burst.sum.Median && lone.sum.Median >= waits}
		found.Text = fmt.Sprintf("a write to cgroup.procs (%s) takes %s back to back and %s when it comes %s after the last one (%s)", c.Param("hierarchy"),
			table.Duration(burst.sum.Median), table.Duration(lone.sum.Median), table.Duration(lone.x), multiple(lone.sum.Median/burst.sum.Median))
		if !found.Appears {
			found.Text = "not seen here, " + found.Text
			return found, true
		}
		if i := slices.IndexFunc(list, func(p point) bool { return p.sum.Median >= waits }); i > 0 && len(list) > 2 {
			found.Text += fmt.Sprintf(", a wait for RCU that begins at pauses of %s", table.Duration(list[i].x))
		}
		if len(list) == 2 {
			found.Text += ", a wait for RCU"
		}
		if born := points(f, "Attach", "op-ns", "gap", pause, "op=born", hierarchy); len(born) > 0 {
			last := born[len(born)-1]
			found.Text += fmt.Sprintf("; a child that is born in the group, %s after the last one, takes %s in all", table.Duration(last.x), table.Duration(last.sum.Median))
		}
		return found, true
	}
	return Curve{}, false
}
