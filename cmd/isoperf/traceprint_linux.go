package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"isoperf/bench/follow"
	"isoperf/reports/plot"
	"isoperf/runtime/trace"
)

// profile is what isoperf trace has to say.
type profile struct {
	args       []string
	record     *follow.Record
	cost       follow.Cost
	latency    float64 // of a stop, in this record; nanoseconds
	phases     []follow.Phase
	whole      float64 // nanoseconds
	compared   follow.Comparison
	uncompared error // why there is no comparison
}

func newProfile(args []string, r *follow.Record, cost follow.Cost) *profile {
	latency := r.Latency(cost)
	return &profile{args: args, record: r, cost: cost, latency: latency, phases: r.Divide(latency), whole: float64(r.End - r.Start)}
}

// What is listed at most.
const (
	phasesMost    = 16
	processesMost = 12
	callsMost     = 5
	nameColumns   = 28
)

func (p *profile) command() string { return filepath.Base(p.args[0]) }

func (p *profile) title() string {
	return fmt.Sprintf("Where the %s of %s go", trace.Duration(int64(p.whole)), p.command())
}

// lead is the answer and how far it holds, in a sentence.
func (p *profile) lead() string {
	return fmt.Sprintf("%s, followed: %d stops of %s. One lane for each process; time from the command's execve.", strings.Join(p.args, " "), p.record.Stops, span(p.stop()))
}

// share is a part of the whole in percent.
func (p *profile) share(ns float64) string {
	percent := 100 * ns / max(p.whole, 1)
	switch {
	case percent >= 0.05 && percent < 9.95:
		return strconv.FormatFloat(percent, 'f', 1, 64)
	case percent < 0.05 && ns > 0:
		return "<0.1"
	}
	return strconv.FormatFloat(percent, 'f', 0, 64)
}

// percentDown is a share that is rounded down, so that it claims no more than
// there is.
func percentDown(share float64) string {
	return strconv.FormatFloat(math.Floor(share*1000)/10, 'f', 1, 64)
}

// print writes the report.
func (p *profile) print(w io.Writer, columns int) error {
	var b strings.Builder
	p.answer(&b)
	p.trust(&b)
	p.table(&b, columns)
	p.processes(&b)
	p.longest(&b, columns)
	p.notes(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// answer is the sentence that was asked for. The trace's own part is not the
// command's.
func (p *profile) answer(b *strings.Builder) {
	most := follow.Phase{Name: "none"}
	for _, f := range p.phases {
		if f.Sort != follow.Stopped && f.Ns > most.Ns {
			most = f
		}
	}
	fmt.Fprintf(b, "%s took %s; the longest part, %s, took %s %%.\n", p.command(), trace.Duration(int64(p.whole)), most.Name, p.share(most.Ns))
	if p.record.Ended != "" {
		fmt.Fprintf(b, "Its tree was ended, since %s.\n", p.record.Ended)
	}
	b.WriteByte('\n')
}

// trust says how far the figures go, and what the trace itself cost.
func (p *profile) trust(b *strings.Builder) {
	part := func(sorts ...follow.Sort) string { return p.share(follow.Sum(p.phases, sorts...)) }
	say := func(label, format string, args ...any) { paragraph(b, label, fmt.Sprintf(format, args...)) }
	say("named", "%s %% of it: %s %% in the calls that were followed, %s %% own code on a CPU, %s %% processes that end, %s %% waits for children, %s %% waits for a CPU, %s %% stopped by this trace; %s %% blocked in other calls",
		percentDown(follow.Named(p.phases)), part(follow.Called), part(follow.Ran), part(follow.Ended), part(follow.Waited), part(follow.Queued), part(follow.Stopped), part(follow.Blocked))
	bare := 0.0
	for _, f := range p.phases {
		bare += p.bare(f)
	}
	cost, n := p.whole-bare, float64(p.record.Stops)
	low, high := p.stop()
	say("this trace", "%.0f stops x %s = about %s of the %s (%s %%); a stop that does nothing takes %s", n, trace.Duration(int64(cost/max(n, 1))),
		trace.Duration(int64(cost)), trace.Duration(int64(p.whole)), p.share(cost), either(low, high))
	switch c := p.compared; {
	case p.uncompared != nil:
	case len(c.Alone) > 0:
		say("compared", "traced %s, alone %s: %.2f times as long (medians; pairs: %d%s)", trace.Duration(middle(c.Followed)), trace.Duration(middle(c.Alone)),
			float64(middle(c.Followed))/float64(middle(c.Alone)), len(c.Alone), more(c.Stopped))
	default:
		say("compared", "no; --compare 5 runs the command ten times more, for the true ratio")
	}
	b.WriteByte('\n')
}

// either is the cost of a stop on one CPU, and between two where that is more.
func either(low, high float64) string {
	if low < high {
		return trace.Duration(int64(low)) + ", or " + trace.Duration(int64(high)) + " between two CPUs"
	}
	return trace.Duration(int64(low))
}

// paragraph writes a text behind its label, in lines of at most 80 columns.
func paragraph(b *strings.Builder, label, text string) {
	const indent, columns = 12, 80
	fmt.Fprintf(b, "%-*s", indent, label)
	at := indent
	for i, word := range strings.Fields(text) {
		switch n := len([]rune(word)); {
		case i > 0 && at+1+n > columns:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		case i > 0:
			b.WriteString(" ")
			at++
		}
		b.WriteString(word)
		at += len([]rune(word))
	}
	b.WriteString("\n")
}

func more(text string) string {
	if text == "" {
		return ""
	}
	return "; " + text
}

// middle is the median.
func middle(values []int64) int64 {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// bare is what a phase may have taken without the trace: an estimate. A call's
// time holds one switch of context on either side.
func (p *profile) bare(f follow.Phase) float64 {
	switch f.Sort {
	case follow.Stopped:
		return 0
	case follow.Called:
		return max(0, f.Ns-float64(f.Calls)*p.latency)
	}
	return f.Ns
}

// stop is what a stop costs, with tracer and process on one CPU or on two.
func (p *profile) stop() (low, high float64) {
	return min(p.cost.Near.Stop, p.cost.Far.Stop), max(p.cost.Near.Stop, p.cost.Far.Stop)
}

// span prints two durations, or one where they are the same.
func span(low, high float64) string {
	a, b := trace.Duration(int64(low)), trace.Duration(int64(high))
	if a == b {
		return a
	}
	return a + " to " + b
}

// table lists the phases in the order in which they began.
func (p *profile) table(b *strings.Builder, columns int) {
	shown, rest := p.listed()
	most := 0.0
	for _, f := range shown {
		most = max(most, f.Ns)
	}
	const fixed = nameColumns + 2 + 9 + 2 + 6 + 2 + 10 + 2 + 6 + 2
	room := max(columns, fixed+10) - fixed
	line := func(name string, ns, bare float64, calls int, bar string) {
		count := ""
		if calls > 0 {
			count = strconv.Itoa(calls)
		}
		text := fmt.Sprintf("%-*s  %9s  %4s %%  %10s  %6s  %s", nameColumns, name, trace.Duration(int64(ns)), p.share(ns), trace.Duration(int64(bare)), count, bar)
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	fmt.Fprintf(b, "%-*s  %9s  %6s  %10s  %6s\n", nameColumns, "phase, in order of start", "time", "share", "estimate*", "calls")
	whole, calls := 0.0, 0
	for _, f := range append(shown, rest...) {
		whole += p.bare(f)
		calls += f.Calls
	}
	for _, f := range shown {
		line(f.Name, f.Ns, p.bare(f), f.Calls, strings.Repeat("#", int(math.Round(float64(room)*f.Ns/most))))
	}
	if len(rest) > 0 {
		sum, bare, n := 0.0, 0.0, 0
		for _, f := range rest {
			sum, bare, n = sum+f.Ns, bare+p.bare(f), n+f.Calls
		}
		line(fmt.Sprintf("%d smaller parts", len(rest)), sum, bare, n, "")
	}
	line("the whole", p.whole, whole, calls, "")
	b.WriteString("* without what this trace added to the calls, about " + trace.Duration(int64(p.latency)) + " each\n\n")
}

// listed are the phases of a table in their order, and those that have no room.
func (p *profile) listed() (shown, rest []follow.Phase) {
	if len(p.phases) <= phasesMost+1 { // one left out would take the same room
		return p.phases, nil
	}
	sizes := slices.SortedFunc(slices.Values(p.phases), func(a, b follow.Phase) int { return cmp.Compare(b.Ns, a.Ns) })
	least := sizes[phasesMost-1].Ns
	for _, f := range p.phases {
		if f.Ns >= least && len(shown) < phasesMost {
			shown = append(shown, f)
		} else {
			rest = append(rest, f)
		}
	}
	return shown, rest
}

// processes says who ran how long.
func (p *profile) processes(b *strings.Builder) {
	r := p.record
	calls := make([]int, len(r.Processes))
	for _, c := range r.Calls {
		calls[c.Process]++
	}
	order := make([]int, len(r.Processes))
	for i := range order {
		order[i] = i
	}
	life := func(i int) int64 { return r.Processes[i].Died - max(r.Processes[i].Born, r.Start) }
	rest := 0
	if len(order) > processesMost {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(life(b), life(a)) })
		order, rest = order[:processesMost], len(order)-processesMost
		slices.Sort(order)
	}
	name := nameColumns
	for _, i := range order {
		name = max(name, len(r.Lane(i)))
	}
	fmt.Fprintf(b, "%-*s  %9s  %9s  %9s  %5s\n", name, "process", "began at", "lived", "CPU time", "calls")
	for _, i := range order {
		q := r.Processes[i]
		fmt.Fprintf(b, "%-*s  %9s  %9s  %9s  %5d\n", name, r.Lane(i), trace.Duration(max(0, q.Born-r.Start)), trace.Duration(life(i)), trace.Duration(q.CPU()), calls[i])
	}
	if rest > 0 {
		fmt.Fprintf(b, "and %d that lived shorter\n", rest)
	}
	b.WriteByte('\n')
}

// longest lists the calls that took longest.
func (p *profile) longest(b *strings.Builder, columns int) {
	r := p.record
	var order []int
	for i, c := range r.Calls {
		if c.Kind != follow.Wait && c.Born == 0 {
			order = append(order, i)
		}
	}
	if len(order) == 0 {
		return
	}
	took := func(i int) int64 { return r.Calls[i].Returned - r.Calls[i].Entered }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(took(b), took(a)) })
	fmt.Fprintf(b, "The longest calls:\n")
	for _, i := range order[:min(callsMost, len(order))] {
		c := r.Calls[i]
		text := fmt.Sprintf("%9s  %s: %s", trace.Duration(took(i)), r.Lane(c.Process), c.Text)
		if c.Result < 0 {
			text = fmt.Sprintf("%s = %d", text, c.Result)
		}
		if runes := []rune(text); len(runes) > columns {
			text = string(runes[:columns-1]) + "…"
		}
		b.WriteString(text + "\n")
	}
}

// notes says what the trace changed, or could not see.
func (p *profile) notes(b *strings.Builder) {
	said := map[string]bool{} // of several processes of one name the first speaks
	for _, n := range p.record.Notes {
		about := fmt.Sprint(n.Kind, n.Text, p.record.Processes[n.Process].Name())
		if said[about] {
			continue
		}
		said[about] = true
		b.WriteByte('\n')
		say := func(label, format string, args ...any) { paragraph(b, label, fmt.Sprintf(format, args...)) }
		who := p.record.Lane(n.Process)
		switch n.Kind {
		case follow.Disarmed:
			say("warning:", "%s is set-user-ID or has file capabilities, and ran without that privilege because it is traced; run the trace as root, or do without it (a map of the own id alone needs no newuidmap)", n.Text)
		case follow.Traced:
			say("warning:", "%s called ptrace, which cannot work: a process has one tracer, and that is this trace; trace what it traces instead", who)
		case follow.Unfollowed:
			say("warning:", "%s made a process with CLONE_UNTRACED, which cannot be followed, and whose isolation calls fail with ENOSYS; profile it without", who)
		case follow.Unreadable:
			say("note:", "arguments of %s could not be read, since its memory is closed to other processes; run the trace as root", who)
		}
	}
}

// meta is what the timeline's file says beside its events.
func (p *profile) meta() map[string]string {
	m := map[string]string{
		"command": strings.Join(p.args, " "), "version": version(), "status": p.record.Status.String(),
		"whole-ns": strconv.FormatInt(p.record.End-p.record.Start, 10), "stops": strconv.Itoa(p.record.Stops),
		"stop-ns": fmt.Sprintf("%.0f to %.0f", min(p.cost.Near.Stop, p.cost.Far.Stop), max(p.cost.Near.Stop, p.cost.Far.Stop)), "named-share": percentDown(follow.Named(p.phases)) + " %",
	}
	if p.record.Ended != "" {
		m["ended"] = p.record.Ended
	}
	var notes strings.Builder
	p.notes(&notes)
	if words := strings.Fields(notes.String()); len(words) > 0 {
		m["notes"] = strings.Join(words, " ")
	}
	return m
}

// lanes are the record as the picture has it.
func (p *profile) lanes() []plot.Lane {
	r := p.record
	at := func(ns int64) float64 { return float64(max(0, ns-r.Start)) }
	lanes := make([]plot.Lane, len(r.Processes))
	for i, q := range r.Processes {
		lanes[i] = plot.Lane{Name: r.Lane(i), From: at(q.Born), To: at(q.Died)}
		for _, g := range r.Gaps(i) {
			if g.Name != "blocked" {
				lanes[i].Bars = append(lanes[i].Bars, plot.Bar{From: at(g.Start), To: at(g.End), Kind: g.Name, Level: plot.Slim, Part: float64(g.CPU) / float64(g.End-g.Start)})
			}
		}
		if q.Exit != 0 {
			lanes[i].Bars = append(lanes[i].Bars, plot.Bar{From: at(q.Exit), To: at(q.Died), Kind: follow.PhaseExit, Level: plot.Full})
		}
	}
	for i, name := range r.CallPhases() {
		c, level := r.Calls[i], plot.Full
		if c.Kind == follow.Wait {
			level = plot.Idle
		}
		until := c.Returned
		if c.Born != 0 {
			until = c.Born
		}
		lanes[c.Process].Bars = append(lanes[c.Process].Bars, plot.Bar{From: at(c.Entered), To: at(until), Kind: name, Level: level})
	}
	for i := range lanes {
		slices.SortStableFunc(lanes[i].Bars, func(a, b plot.Bar) int { return cmp.Compare(a.From, b.From) })
	}
	return lanes
}
