package page

import (
	"fmt"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/plot"
	"isoperf/reports/startup"
	"isoperf/reports/table"
)

// chapter is what is known about one family.
type chapter struct {
	family  string
	heading string
	about   string                           // what is measured, and the two events of each figure
	row     string                           // the parameter that makes a row; "" makes a row of each whole name
	rowName string                           // what heads the rows; "" is row
	more    []string                         // further parameters of the row, for the cases that have them
	full    []string                         // units with a full table; nil is every unit that is not compact
	compact []string                         // units of which only the medians are listed
	own     func(*sample.File) []table.Table // the tables, where the ones above do not fit; nil is those
}

// chapters are the families that are described, in the order of the page.
// The last two are the instrument's own.
func chapters() []chapter {
	all := []chapter{
		{
			family: "Clone", heading: "Clone: one new process in new namespaces", row: "flag",
			about: "A child is created with one namespace flag and ends at once; each row is a flag, and `none` is the null case on the same path. " +
				"All times start when clone3 is entered: `clone-ns` ends when it returns in the parent, `child-ns` at the first instruction of the child, `reap-ns` when waitid returns.",
			full: []string{"reap-ns"}, compact: []string{"clone-ns", "child-ns"},
		},
		{
			family: "Unshare", heading: "Unshare: leave for a new namespace", row: "flag",
			about: "A process that exists moves into a new namespace of one kind. `unshare-ns` runs from unshare entered to unshare returned.",
		},
		{
			family: "Setns", heading: "Setns: join a namespace that exists", row: "flag",
			about: "A process joins a namespace through a descriptor that is already open. `setns-ns` runs from setns entered to setns returned.",
		},
		{
			family: "Teardown", heading: "Teardown: how a namespace goes", row: "flag",
			about: "A namespace with one process loses first the process, then the descriptor that holds it. " +
				"`exit-ns` runs from the child's last instruction to reaped, `close-ns` from the close of the last reference entered to returned, `gone-ns` from the same close entered to the kernel no longer counting the namespace. A mount namespace is counted away before the close that takes its mounts down has returned: its destruction is complete with `close-ns`.",
		},
		{
			family: "SweepMounts", heading: "Sweep: mounts in the caller's namespace", row: "mounts",
			about: "A new mount namespace starts as a copy of the caller's mounts; here their number is swept. `clone-ns` runs from clone3 entered to returned, `reap-ns` to waitid returned.",
		},
		{
			family: "SweepNetns", heading: "Sweep: network namespaces alive", row: "live", rowName: "live namespaces",
			about: "A network namespace is created while others live; their number is swept. They are empty, or (holds=listener) each has a socket that hears of changes to its links, addresses and routes, as a program that manages the network has: the kernel goes through those of all namespaces. `clone-ns` runs from clone3 entered to returned, `reap-ns` to waitid returned.",
		},
		{
			family: "SweepMemory", heading: "Sweep: memory of the parent", row: "memory",
			about: "The parent touches so much memory before it starts a child, by shared memory (vm), by copied memory (fork) or through Go's os/exec. " +
				"`clone-ns` runs from the call entered to returned, `reap-ns` to the child reaped.",
			full: []string{"reap-ns"}, compact: []string{"clone-ns"},
		},
		{
			family: "SweepGap", heading: "Sweep: the pause between two clones", row: "gap", rowName: "pause",
			about: "The same clone is made after a pause, and the pause is swept from back to back on. `reap-ns` runs from clone3 entered to waitid returned.",
		},
		{
			family: "SweepCreators", heading: "Sweep: creators at the same time", row: "n", rowName: "creators",
			about: "Several creators make and reap children at the same time. `reap-ns` runs from clone3 entered to waitid returned in one creator; `wall-ns` is the wall time of the run divided by all creations.",
		},
		startupChapter(), startupVariantsChapter(), startupSpansChapter(), startupAtOnceChapter(), startupOpenChapter(),
		{
			family: "Engine", heading: "The engine's own cost", row: "part",
			about: "What the engine spends on one start besides the figures above: it lies outside of `clone-ns`, `child-ns` and `reap-ns`. " +
				"`op-ns` is one operation, from entered to returned: build makes the program, load lays it out in memory, mask changes the signal mask twice, pidfd opens and closes one, launch is what a start takes beyond `reap-ns`, collect reads the times.",
		},
		{
			family: "Control", heading: "Control: the clock and the processor", row: "what",
			about: "Two things that do not depend on isolation, measured between the other samples: they tell whether the machine stayed the same. `clock-ns` is one reading of the clock, `compute-ns` a fixed computation from its start to its end.",
		},
	}
	return slices.Insert(all, len(all)-2, slices.Concat(mountChapters(), limitChapters(), networkChapters())...)
}

// chapterOf is the chapter of a family; one that is not described has the
// family's name and no more.
func chapterOf(family string) chapter {
	for _, c := range chapters() {
		if c.family == family {
			return c
		}
	}
	return chapter{family: family, heading: family}
}

// rank is the place of a family on the page.
func rank(family string) int {
	all := chapters()
	i := slices.IndexFunc(all, func(c chapter) bool { return c.family == family })
	switch {
	case i < 0:
		return len(all) - 2
	case i >= len(all)-2:
		return i + 1
	}
	return i
}

// section is one family: words, figures, tables, notes.
func (c chapter) section(f *sample.File, figures []plot.Figure) Section {
	s := Section{Name: c.family, Heading: c.heading}
	if c.about != "" {
		s.text(words(c.about))
	}
	for i := range figures {
		if figures[i].Family == c.family {
			s.Blocks = append(s.Blocks, Block{Figure: &figures[i]})
		}
	}
	cases := f.Family(c.family)
	tables := c.tables
	if c.own != nil {
		tables = func([]*sample.Case) []table.Table { return c.own(f) }
	}
	for _, t := range tables(cases) {
		s.table(t)
	}
	s.list(c.footnotes(f, cases))
	s.list(absent(c.family, f))
	return s
}

// footnotes are what a reader must know about some rows.
func (c chapter) footnotes(f *sample.File, cases []*sample.Case) []Text {
	var notes []Text
	entersNot := func(k *sample.Case) bool {
		flag := k.Param("flag")
		return k.Param("mode") == "vm" && (flag == "time" || flag == "all" || flag == "all-but-user")
	}
	if c.family == "Clone" && slices.ContainsFunc(cases, entersNot) {
		note := "Time namespaces: in mode vm the child creates one (also as part of `all`) but does not enter it; only mode fork enters it."
		if f.Recorded("time_namespace_vm") == "entered" {
			note = "Time namespaces: this kernel lets a child enter its new one at once in every mode; newer kernels only in mode fork."
		}
		notes = append(notes, words(note))
	}
	if c.family == "SweepMemory" {
		notes = append(notes, words("Go's os/exec gives up shared memory as soon as a user namespace is asked for, so it copies the page tables of the parent; that is the price of the way to start, not of the namespace."))
	}
	for _, k := range cases {
		for _, why := range counted(k.Failures) {
			notes = append(notes, textf("Failed, not timed: `%s`: %s", k.Name, why))
		}
	}
	return notes
}

// counted joins equal reasons: "no space left on device (3 times)".
func counted(reasons []string) []string {
	var distinct []string
	times := map[string]int{}
	for _, why := range reasons {
		if times[why]++; times[why] == 1 {
			distinct = append(distinct, why)
		}
	}
	for i, why := range distinct {
		if n := times[why]; n > 1 {
			distinct[i] = fmt.Sprintf("%s (%s times)", why, table.Count(n))
		}
	}
	return distinct
}

// absent is what could not be measured in a family.
func absent(family string, f *sample.File) []Text {
	var notes []sample.Note
	for _, n := range f.NotMeasured {
		if name, _, _ := strings.Cut(n.Case, "/"); name == family {
			notes = append(notes, n)
		}
	}
	if len(notes) == 0 {
		return nil
	}
	var list []Text
	starts := startup.Main(f)
	for _, n := range notes {
		if !starts.Tells(n) {
			list = append(list, textf("Not measured: `%s`: %s", n.Case, n.Why))
		}
	}
	return list
}

// missing is what belongs to no chapter: cases of families without any
// sample, and what is wrong with the files.
func missing(f *sample.File) (Section, bool) {
	there := families(f)
	var lines []Text
	for _, n := range f.NotMeasured {
		if name, _, _ := strings.Cut(n.Case, "/"); !slices.Contains(there, name) {
			lines = append(lines, textf("Not measured: `%s`: %s", n.Case, n.Why))
		}
	}
	for _, note := range f.Notes {
		lines = append(lines, textf("Result file: %s", note))
	}
	s := Section{Name: "missing", Heading: "What is missing"}
	s.list(lines)
	return s, len(lines) > 0
}
