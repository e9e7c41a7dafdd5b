package history

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/reports/compare"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// Finding is a change and the series that it is of.
type Finding struct {
	Change
	Series Series
	Old    Level
	New    Level
}

// Findings are all changes, those that count first, the newest of each first, and
// of one commit the largest first.
func (h History) Findings() []Finding {
	var list []Finding
	for _, s := range h.Series {
		for i, c := range s.Changes {
			list = append(list, Finding{c, s, s.Levels[i], s.Levels[i+1]})
		}
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		if x, y := a.counts(), b.counts(); x != y {
			if x {
				return -1
			}
			return 1
		}
		if x, y := a.run(), b.run(); x != y {
			return y - x
		}
		return int(math.Copysign(1, size(b.Ratio)-size(a.Ratio)))
	})
	return list
}

// reasons are why series have no verdict, or another than might be expected: one
// of each kind, or all.
func (h History) reasons(all bool) []string {
	const most = 8
	var list []string
	seen := map[string]bool{}
	for _, s := range h.Ordered() {
		if s.Why == "" || s.Past && !all {
			continue
		}
		kind := string(s.Verdict) + strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r == '.' || r == ' ' {
				return -1
			}
			return r
		}, s.Why)
		if all || !seen[kind] && len(list) < most {
			list = append(list, h.name(s)+": "+s.Why+".")
		}
		seen[kind] = true
	}
	return list
}

// Ordered are the series, what matters first.
func (h History) Ordered() []Series {
	order := []compare.Verdict{compare.Slower, compare.Apart, compare.CannotTell, compare.Faster, compare.Same, compare.New, compare.Gone}
	list := slices.Clone(h.Series)
	rank := func(s Series) int {
		at := slices.Index(order, s.Verdict)
		if s.Past {
			at += len(order)
		}
		return at
	}
	slices.SortStableFunc(list, func(a, b Series) int { return rank(a) - rank(b) })
	return list
}

func size(f stats.Factor) float64 { return math.Abs(math.Log(f.Ratio)) }

// run is that of the first point of the new level.
func (f Finding) run() int { return f.Series.Points[f.Point].Run }

// counts says whether the change makes its series slower now.
func (f Finding) counts() bool {
	return f.Counts() && f.Series.Verdict == compare.Slower && !f.Series.Past
}

// Said is the change in a word or two.
func (f Finding) Said() string {
	word := "faster"
	if f.Worse {
		word = "slower"
	}
	switch {
	case f.Machine != "":
		return "the machine changed (" + f.Machine + ")"
	case f.Series.Better == "":
		return "moved"
	case f.Accepted:
		return word + ", accepted"
	case f.Series.Past:
		return word + ", on a machine of the past"
	case f.Worse && !f.Still:
		return word + ", no longer"
	}
	return word
}

// Answer is the first line: since which commit what is slower, in words.
func (h History) Answer() string {
	all := h.counted()
	switch h.Verdict {
	case compare.Slower:
		return "FAIL  slower " + h.slowerSince() + "."
	case compare.CannotTell:
		return h.untold(all)
	case compare.Faster:
		return fmt.Sprintf("OK  %d of %d got faster, none is slower%s.", h.Count(compare.Faster), all, h.since())
	}
	return fmt.Sprintf("OK  %s, none is slower%s.", table.Plural(all, "case", "cases"), h.since())
}

// mostBlamed is how many commits the first line names.
const mostBlamed = 3

// slowerSince names the commits that made something slower, the newest first, and
// the case that each did most to.
func (h History) slowerSince() string {
	list := h.blamed()
	var parts []string
	for _, b := range list[:min(len(list), mostBlamed)] {
		f := b.most
		text := fmt.Sprintf("since %s: %s%s %s (%s -> %s)", f.Commit, f.Series.Case, ofUnit(f.Series.Unit), Signed(f.Ratio), compare.Figure(f.Old.Median, f.Series.Unit), compare.Figure(f.New.Median, f.Series.Unit))
		if b.cases > 1 {
			text += fmt.Sprintf(" and %d more", b.cases-1)
		}
		parts = append(parts, text)
	}
	if more := len(list) - mostBlamed; more > 0 {
		parts = append(parts, fmt.Sprintf("and since %s", table.Plural(more, "earlier commit", "earlier commits")))
	}
	return strings.Join(parts, "; ")
}

// blame is a commit that made something slower.
type blame struct {
	most  Finding // the largest of its changes
	cases int
}

// blamed are the commits that made something slower, the newest first.
func (h History) blamed() []blame {
	var list []blame
	for _, f := range h.Findings() {
		switch at := slices.IndexFunc(list, func(b blame) bool { return b.most.Commit == f.Commit }); {
		case !f.counts():
		case at < 0:
			list = append(list, blame{f, 1})
		default:
			list[at].cases++
		}
	}
	return list
}

// since is from which commit on the answer holds.
func (h History) since() string {
	if len(h.Runs) == 0 {
		return ""
	}
	from := h.Runs[0].Commit
	if h.Since != "" {
		from = h.Since
	}
	return " since " + from
}

// untold says why there is no answer.
func (h History) untold(all int) string {
	if all == 0 {
		return "CANNOT TELL  there is no case to look at."
	}
	need, apart := 0, h.Count(compare.Apart)
	for _, s := range h.Series {
		if !s.Past && s.Verdict == compare.CannotTell {
			need = max(need, s.Need)
		}
	}
	text := fmt.Sprintf("CANNOT TELL  %d of %d may be slower or not", h.Count(compare.CannotTell)+apart, all)
	switch {
	case apart > 0:
		text += fmt.Sprintf("; for %d of them the machine changed", apart)
	case need > 0:
		text += fmt.Sprintf(": needs about %s more", table.Plural(need, "run", "runs"))
	}
	return text + "."
}

// counted is how many series count.
func (h History) counted() (n int) {
	for _, s := range h.Series {
		if !s.Past && s.Verdict != compare.Gone {
			n++
		}
	}
	return n
}

// newest is the largest change of the newest commit that made something slower.
func (h History) newest() Finding {
	if list := h.blamed(); len(list) > 0 {
		return list[0].most
	}
	return Finding{}
}

// Where says how sure the named commit is, and where else it may have been; empty:
// nothing is slower.
func (h History) Where() string {
	f := h.newest()
	if f.Commit == "" {
		return ""
	}
	run := h.Runs[f.run()]
	text := fmt.Sprintf("Where: %s of %s is the first run that is slower, and the one before it is of %s", f.Commit, run.Time.UTC().Format("2006-01-02"), f.Before)
	return text + "; " + f.sure() + "."
}

// sure says how likely the named commit is.
func (f Finding) sure() string {
	var others []string
	rest := 0.0
	for _, s := range f.Suspects {
		if s.Commit == f.Commit {
			rest = s.Share
		} else if len(others) < 3 {
			others = append(others, s.Commit)
		}
	}
	share := table.Percent(math.Floor(100*rest) / 100)
	if len(others) == 0 {
		return share + " sure"
	}
	return fmt.Sprintf("%s sure, else %s", share, strings.Join(others, " or "))
}

// Trust says what the history would see, and how far it can be believed.
func (h History) Trust() string {
	if len(h.Runs) == 0 {
		return "Trust: there are no runs."
	}
	commits := map[string]bool{}
	for _, r := range h.Runs {
		commits[r.Commit] = true
	}
	text := fmt.Sprintf("Trust: %s of %s", table.Plural(len(h.Runs), "run", "runs"), table.Plural(len(commits), "commit", "commits"))
	if n := len(h.Environments); n > 1 {
		text += fmt.Sprintf(" in %d environments, which are not compared", n)
	}
	var scatter, sees []float64
	for _, s := range h.Series {
		if !s.Past && !math.IsInf(s.Sees, 0) && len(s.Levels) > 0 {
			scatter, sees = append(scatter, s.Scatter), append(sees, s.Sees)
		}
	}
	if len(scatter) > 0 {
		text += fmt.Sprintf("; runs differ by %s when nothing does, and a step of %s would be seen %d runs later (medians of %s)",
			table.Percent(stats.Quantiles(scatter, 0.5)[0]), table.Percent(stats.Quantiles(sees, 0.5)[0]), seenAfter, table.Plural(len(scatter), "case", "cases"))
	}
	return text + "; " + h.control() + "."
}

// control says whether there is anything that vetoes.
func (h History) control() string {
	if len(h.controls) == 0 {
		return "the runs have no controls, so a change may be the machine's"
	}
	n := 0
	for _, f := range h.Findings() {
		if f.Machine != "" {
			n++
		}
	}
	if n > 0 {
		return fmt.Sprintf("the machine changed under %s", table.Plural(n, "change", "changes"))
	}
	return "the controls did not step"
}

// Next is what a reader would do next.
func (h History) Next() string {
	f := h.newest()
	switch {
	case h.Verdict == compare.Slower && len(f.Suspects) > 1:
		return fmt.Sprintf("measure %s and %s again, each twice, and add the files: that tells which of them it was", f.Before, strings.Join(names(f.Suspects), ", "))
	case h.Verdict == compare.Slower:
		return fmt.Sprintf("--since %s accepts what changed up to it", f.Commit)
	case h.Verdict == compare.CannotTell && len(h.reasons(false)) > 0:
		return "more runs of each commit, more samples in each, or a quieter machine tell more"
	}
	return ""
}

func names(list []Suspect) []string {
	var all []string
	for _, s := range list[:min(len(list), 4)] {
		all = append(all, s.Commit)
	}
	return all
}

// Signed is a ratio as a change: "+5.1 %".
func Signed(f stats.Factor) string { return fmt.Sprintf("%+.1f %%", 100*(f.Ratio-1)) }

func interval(f stats.Factor) string {
	if math.IsNaN(f.Lo) || math.IsInf(f.Hi, 0) {
		return "-"
	}
	return fmt.Sprintf("%+.1f .. %+.1f", 100*(f.Lo-1), 100*(f.Hi-1))
}

func ofUnit(unit string) string {
	if strings.HasSuffix(unit, "-ns") {
		return ""
	}
	return " (" + unit + ")"
}
