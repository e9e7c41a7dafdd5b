package limits

import (
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// watchFamily are the limits of a group that was there already.
const watchFamily = "Watch"

// unlimited is the case of a group without a limit.
const unlimited = "Watch/limit=cpu.max/rank=none"

// fully is the share of its limit from which a group wants all of it; below it is
// held back by bursts.
const fully = 0.9

// widest is the budget up to which throttled periods say anything.
const widest = 0.25

// watch is the rule of a limit whose load is not ours: judged are the periods at
// whose end the group was stopped.
func watch() rule {
	return rule{
		family: watchFamily, limit: "cpu.max", judge: judgeWatch,
		needs: []string{"entitled-ratio", "achieved-ratio", "wall-ns", "quota-ns", "held-count", "throttled-count", "of-limit-ratio"},
		columns: []column{
			{"where it comes from", func(j Judgement) string { return tail(j.Where) }},
			{"used", func(j Judgement) string { return j.Got }},
			{"throttled", func(j Judgement) string {
				return fmt.Sprintf("%.0f of %.0f", j.Figures["throttled-count"], j.Figures["period-count"])
			}},
			{"waited", func(j Judgement) string {
				share, ok := j.Figures["wait-ratio"]
				if !ok {
					return "-"
				}
				return table.Percent(share)
			}},
		},
		words: 1,
		word: func(j Judgement) string {
			switch j.Verdict {
			case Accurate:
				return fmt.Sprintf("kept (%+.1f %%)", 100*j.Error)
			case Within:
				return fmt.Sprintf("kept (%+.1f +-%.1f %%)", 100*j.Error, 100*j.Budget)
			}
			return string(j.Verdict)
		},
	}
}

func judgeWatch(c *sample.Case, v map[string]float64, facts map[string]string, o Options) Judgement {
	j := Judgement{Asked: "-", Where: facts["group"]}
	if v == nil {
		return j
	}
	j.Asked = strings.TrimSuffix(askedCPU(c), " / 100 ms") // as most have it
	j.Got, j.Error, j.Budget = table.Percent(v["achieved-ratio"]), v["error-ratio"], v["budget-ratio"]
	j.Worst = table.Duration(v["stall-ns"])
	cpus, _ := strconv.ParseFloat(facts["cpus"], 64) // 0: not recorded
	switch over := v["of-limit-ratio"] - 1; {
	case v["held-count"] > 0 && j.Budget > widest && max(j.Error, -j.Error) <= j.Budget:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("reached in too few periods (%.0f): could be off by %s", v["held-count"], table.Percent(j.Budget))
	case v["held-count"] > 0:
		if j.Verdict = tell(j.Error, j.Budget, o.tolerance()); j.Verdict == Inaccurate {
			j.Why = "stopped, it had got too much: the limit leaks"
			if j.Error < 0 {
				j.Why = "it was stopped before it had got all: quota was lost"
			}
		}
	case v["throttled-count"] > 0:
		j.Verdict, j.Why = NotJudged, "no throttled period was seen from its beginning to its end"
	case over > o.tolerance()+2*v["quota-ns"]/v["wall-ns"]:
		j.Verdict, j.Why = Inaccurate, "it used more, and was never stopped"
	case cpus > 0 && v["entitled-ratio"] > cpus:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("never reached, with %.0f CPUs", cpus)
	default:
		j.Verdict, j.Why = NotJudged, "never reached"
	}
	if j.Verdict == Inaccurate && j.Error > 0 && v["held-count"] > 0 && facts["emulated"] != "" {
		// Use is charged at a tick, and one that comes late lets a period use more.
		j.Verdict, j.Why = NotJudged, "it got too much in periods at whose end it was stopped, but this machine is emulated, and its ticks come late when its host is busy"
	}
	if j.Verdict == Inaccurate && j.Error < 0 {
		// A period whose timer ran late gets no more quota for it.
		switch {
		case v["steal-ratio"] > mostSteal:
			j.Verdict, j.Why = NotJudged, fmt.Sprintf("it got too little, but the host took %s of the CPU time", percent(v["steal-ratio"]))
		case facts["emulated"] != "":
			j.Verdict, j.Why = NotJudged, "it got too little, but this machine is emulated, so the time that its host takes cannot be seen"
		}
	}
	return j
}

// tail is the end of a group's name, so that it leaves room for the figures.
func tail(group string) string {
	const most = 26
	text := group
	for len(text) > most && strings.Count(text, "/") > 1 {
		_, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(text, ".."), "/"), "/")
		text = "../" + rest
	}
	if len(text) > most {
		text = "../.." + text[len(text)-most+5:]
	}
	return text
}

// WriteWatch prints what was seen of a group that was there already.
func WriteWatch(w io.Writer, f *sample.File, list []Judgement, p Printing) error {
	out := &printer{w: w, width: p.width()}
	out.line(watchAnswer(f, list))
	out.line(watchTrust(f, list))
	if text := effective(list); text != "" {
		out.line(text)
	}
	out.tables(list)
	out.gap()
	out.lines(waits(list))
	out.lines(threads(f, list))
	out.lines(states(f))
	out.ending(f, p)
	return out.err
}

// waits says what being stopped is like, of the limit with the longest wait.
func waits(list []Judgement) []string {
	var worst Judgement
	for _, j := range list {
		if j.Figures["stall-ns"] > worst.Figures["stall-ns"] {
			worst = j
		}
	}
	stall := worst.Figures["stall-ns"]
	if stall == 0 {
		return nil
	}
	text := "Longest wait " + table.Duration(stall)
	if spent := worst.Figures["spent-ns"]; spent > 0 {
		text += fmt.Sprintf("; the quota of %s is spent in the first %s of a period", table.Duration(worst.Figures["quota-ns"]), table.Duration(spent))
	}
	return []string{text + "."}
}

// threads says what the threads of the watched group felt, or why that is not
// known: of the least limit, whose group is the nearest where several are equal.
func threads(f *sample.File, list []Judgement) []string {
	for _, j := range list {
		share, ok := j.Figures["wait-ratio"]
		if !ok {
			continue
		}
		text := fmt.Sprintf("Waited: %s below %q wanted to run, and had to wait for %s of that time", table.Plural(int(j.Figures["thread-count"]), "thread", "threads"), path.Clean(j.Where), table.Percent(share))
		if worst := j.Figures["worst-wait-ratio"]; worst > 0 {
			text += fmt.Sprintf(", one of them for %s of all time", table.Percent(worst))
		}
		if stopped, ok := j.Figures["stopped-ratio"]; ok {
			text += fmt.Sprintf("; the limit throttled for %s of the time", table.Percent(stopped))
			if stopped > 1 {
				text += ", summed over CPUs"
			}
		}
		return []string{text + "."}
	}
	for _, k := range f.Checked {
		if why := k.Facts["threads"]; why != "" {
			return []string{"How long threads waited is not known: " + why + "."}
		}
	}
	return nil
}

// watchAnswer is the sentence above all.
func watchAnswer(f *sample.File, list []Judgement) string {
	name := watchedName(f)
	var most *Judgement
	for i := range list {
		j := &list[i]
		if j.Got != "" && (most == nil || throttledShare(*j) > throttledShare(*most)) {
			most = j
		}
	}
	for _, j := range list {
		if j.Verdict == Inaccurate {
			return fmt.Sprintf("The CPU limit of %s of %s is NOT kept: %s.", limitOf(j), name, j.Why)
		}
	}
	switch {
	case most == nil && slices.ContainsFunc(list, func(j Judgement) bool { return j.Case == unlimited }):
		return name + " has no CPU limit that can be seen."
	case most == nil:
		return "Nothing can be said of the CPU limit of " + name + "."
	case throttledShare(*most) == 0:
		return fmt.Sprintf("%s never reaches its CPU limit of %s: it uses %s of a CPU.", name, limitOf(*most), most.Got)
	}
	share, used := table.Percent(throttledShare(*most)), most.Figures["of-limit-ratio"]
	if used < fully {
		return fmt.Sprintf("%s is throttled in %s of periods while using %s of its limit: bursts, not load.", name, share, table.Percent(used))
	}
	return fmt.Sprintf("%s is throttled in %s of periods, using %s of its limit: it wants more than it may have.", name, share, table.Percent(used))
}

func throttledShare(j Judgement) float64 {
	return j.Figures["throttled-count"] / max(1, j.Figures["period-count"])
}

// limitOf is the limit without its period.
func limitOf(j Judgement) string {
	limit, _, _ := strings.Cut(j.Asked, " /")
	return limit
}

func watchedName(f *sample.File) string {
	for _, c := range f.Checked {
		if name := c.Facts["name"]; name != "" && strings.HasPrefix(c.Case, watchFamily) {
			return name
		}
	}
	return "The group"
}

func watchTrust(f *sample.File, list []Judgement) string {
	var wall float64
	for _, j := range list {
		wall = max(wall, j.Figures["wall-ns"])
	}
	text := fmt.Sprintf("Trust: watched for %v, only read.", time.Duration(wall).Round(100*time.Millisecond))
	if wall == 0 {
		text = "Trust: read once."
	}
	if f.End.Why != "" && f.End.Why != "done" {
		text = strings.TrimSuffix(text, ".") + "; " + f.End.Why + "."
	}
	return text + " " + machine(f)
}

// effective names the tightest limit, where there is a choice.
func effective(list []Judgement) string {
	least, n := -1, 0
	for i, j := range list {
		if j.Got == "" {
			continue
		}
		if n++; least < 0 || j.Figures["entitled-ratio"] < list[least].Figures["entitled-ratio"] {
			least = i
		}
	}
	if n < 2 {
		return ""
	}
	return fmt.Sprintf("Effective limit: %s, that of %q, the least of the %d on the way up.", limitOf(list[least]), path.Clean(list[least].Where), n)
}

// states are the limits of memory and tasks, a line each.
func states(f *sample.File) []string {
	var lines []string
	for _, c := range f.Family("WatchState") {
		last := func(unit string) float64 {
			list := c.Values[unit]
			if len(list) == 0 {
				return math.NaN()
			}
			return list[len(list)-1]
		}
		limit, unit, write := c.Param("limit"), "count", func(v float64) string { return table.Count(int(v)) }
		if limit == "memory.max" {
			unit, write = "B", table.Bytes
		}
		text := fmt.Sprintf("%s: %s of %s", limit, write(last("current-"+unit)), write(last("max-"+unit)))
		if peak := last("peak-" + unit); !math.IsNaN(peak) {
			text += ", at most " + write(peak)
		}
		if events := last("events-count"); !math.IsNaN(events) {
			text += fmt.Sprintf("; the limit was hit %s times", table.Count(int(events)))
		}
		for _, k := range f.Checked {
			if k.Case == c.Name {
				text += fmt.Sprintf(" (%s)", tail(k.Facts["group"]))
			}
		}
		lines = append(lines, text)
	}
	return lines
}
