package page

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/curve"
	"isoperf/reports/limits"
	"isoperf/reports/network"
	"isoperf/reports/plot"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// findings are the answers of a file in words, the most important first. What
// the samples do not bear out is not said.
func findings(f *sample.File, figures []plot.Figure) []Text {
	var lines []Text
	say := func(line Text) {
		if len(line) > 0 {
			lines = append(lines, line)
		}
	}
	for _, line := range startupFindings(f) {
		say(line)
	}
	if lines := limits.Findings(f); len(lines) > 0 {
		say(textf("**Are limits kept?** %s", strings.Join(lines, " ")))
	}
	for _, found := range network.Findings(f) {
		say(textf("%s %s", Text{{found.Question, Strong, true}}, found.Answer))
	}
	burst, paced := priceList(f, "burst"), priceList(f, "paced")
	say(burst.dearest())
	say(paced.dearest())
	say(pacing(burst, paced))
	say(modes(f))
	say(heap(f))
	say(span(f, "Unshare", "unshare-ns", "unshare"))
	say(span(f, "Setns", "setns-ns", "setns"))
	say(teardown(f))
	say(roots(f))
	for _, known := range curve.All(f) {
		say(textf("%s: %s.", Text{{known.Name, Strong, true}}, known.Text))
	}
	for _, fig := range figures {
		if len(fig.Findings) > 0 {
			say(textf("**%s**: %s.", fig.Title, strings.Join(fig.Findings, "; ")))
		}
	}
	if len(lines) == 0 {
		say(words("The files hold no comparison that can be put in words; the tables below have every figure."))
	}
	return lines
}

// prices are the increments of the flags over the null case at one pacing.
type prices struct {
	pacing string
	null   stats.Summary
	flags  []flagPrice // in order of the file, without the null case
}

type flagPrice struct {
	flag  string
	shift stats.Shift
}

// single says whether the flag is one namespace, not several at once.
func (p flagPrice) single() bool { return p.flag != "all" && p.flag != "all-but-user" }

// sure says whether the increment is above zero beyond chance.
func (p flagPrice) sure() bool { return p.shift.Lo > 0 && !math.IsInf(p.shift.Hi, 0) }

func priceList(f *sample.File, pacing string) prices {
	list := prices{pacing: pacing}
	null := cloneCase(f, "none", "vm", pacing)
	if null == nil {
		return list
	}
	list.null = stats.Summarize(null.Values["reap-ns"])
	for _, c := range f.Family("Clone") {
		flag := c.Param("flag")
		if flag == "none" || c.Param("mode") != "vm" || c.Param("pacing") != pacing || len(c.Values["reap-ns"]) == 0 {
			continue
		}
		list.flags = append(list.flags, flagPrice{flag, stats.Increment(null.Values["reap-ns"], c.Values["reap-ns"])})
	}
	return list
}

// cloneCase is the case with reap-ns samples, or nil.
func cloneCase(f *sample.File, flag, mode, pacing string) *sample.Case {
	for _, c := range f.Family("Clone") {
		if c.Param("flag") == flag && c.Param("mode") == mode && c.Param("pacing") == pacing && len(c.Values["reap-ns"]) > 0 {
			return c
		}
	}
	return nil
}

// dearest names the most expensive flag, and how far the next one is.
func (p prices) dearest() Text {
	singles := slices.DeleteFunc(slices.Clone(p.flags), func(f flagPrice) bool { return !f.single() || !f.sure() })
	if len(singles) == 0 {
		return nil
	}
	slices.SortStableFunc(singles, func(a, b flagPrice) int { return cmp.Compare(b.shift.Delta, a.shift.Delta) })
	first := singles[0]
	s := textf("**%s**: the most expensive flag is `%s`, %s (%s) over a clone without flags (%s)", pacingName(p.pacing),
		first.flag, table.Increase(first.shift.Delta), table.Range(first.shift.Lo, first.shift.Hi), table.Duration(p.null.Median))
	if len(singles) > 1 {
		next := singles[1]
		s.add(", %s the next one, `%s` with %s", asMuchAs(first.shift.Delta/next.shift.Delta), next.flag, table.Increase(next.shift.Delta))
	}
	for _, f := range p.flags {
		if f.flag == "all" && f.sure() {
			s.add("; all flags together add %s", strings.TrimPrefix(table.Increase(f.shift.Delta), "+ "))
		}
	}
	return append(s, words(".")...)
}

// asMuchAs compares in words: "7.0x", or "about as much as".
func asMuchAs(x float64) string {
	if x < 1.15 {
		return "about as much as"
	}
	return multiple(x)
}

func pacingName(pacing string) string {
	if pacing == "paced" {
		return "50 ms apart"
	}
	return "Back to back"
}

// pacing says how much dearer each flag is when operations stand apart.
func pacing(burst, paced prices) Text {
	if burst.null.N == 0 || paced.null.N == 0 {
		return nil
	}
	heading := "A tight loop flatters"
	if paced.null.Median < burst.null.Median {
		heading = "Pacing"
	}
	s := textf("**%s**: with 50 ms between any two operations a clone without flags takes %s instead of %s (%s)",
		heading, table.Duration(paced.null.Median), table.Duration(burst.null.Median), multiple(paced.null.Median/burst.null.Median))
	type ratio struct {
		flag string
		x    float64
	}
	var ratios []ratio
	for _, b := range burst.flags {
		for _, p := range paced.flags {
			if p.flag == b.flag && b.sure() && p.sure() {
				ratios = append(ratios, ratio{b.flag, p.shift.Delta / b.shift.Delta})
			}
		}
	}
	slices.SortStableFunc(ratios, func(a, b ratio) int { return cmp.Compare(b.x, a.x) })
	var parts []Text
	for _, r := range ratios {
		parts = append(parts, textf("`%s` %s", r.flag, multiple(r.x)))
	}
	if len(parts) > 0 {
		s.add("; the flags' own increments, paced over burst: %s", join(parts, ", "))
	}
	return append(s, words(".")...)
}

// modes says what copied memory and the stub add to the cheapest clone.
func modes(f *sample.File) Text {
	vm := cloneCase(f, "none", "vm", "burst")
	if vm == nil {
		return nil
	}
	var parts []Text
	for _, m := range []struct{ mode, words string }{{"fork", "copied memory (fork)"}, {"stub", "the stub that every container starts with"}} {
		if c := cloneCase(f, "none", m.mode, "burst"); c != nil {
			shift := stats.Increment(vm.Values["reap-ns"], c.Values["reap-ns"])
			parts = append(parts, textf("%s %s (%s)", m.words, table.Increase(shift.Delta), table.Range(shift.Lo, shift.Hi)))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return textf("**Ways to start**, over shared memory and back to back: %s.", join(parts, "; "))
}

// heap says what os/exec makes of a user namespace in a large process.
func heap(f *sample.File) Text {
	first, last := ends(f, "os-exec", "user")
	if first == nil || last == first {
		return nil
	}
	small, large := stats.Summarize(first.Values["reap-ns"]), stats.Summarize(last.Values["reap-ns"])
	ratio := large.Median / small.Median
	if !(ratio > 1.5) {
		return nil
	}
	s := textf("**The heap artefact**: through Go's os/exec a user namespace takes %s with %s of memory in the parent and %s with %s (%s)",
		table.Duration(small.Median), first.Param("memory"), table.Duration(large.Median), last.Param("memory"), multiple(ratio))
	if _, vm := ends(f, "vm", "user"); vm != nil {
		s.add("; started with shared memory it takes %s with %s", table.Duration(stats.Summarize(vm.Values["reap-ns"]).Median), vm.Param("memory"))
	}
	return append(s, words(". That is the page tables of the parent, not the namespace.")...)
}

// ends are the cases with the least and the most memory, or nil.
func ends(f *sample.File, mode, flag string) (first, last *sample.Case) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, c := range f.Family("SweepMemory") {
		size, ok := plot.ParseSize(c.Param("memory"))
		if !ok || c.Param("mode") != mode || c.Param("flag") != flag || len(c.Values["reap-ns"]) == 0 {
			continue
		}
		if size < least {
			least, first = size, c
		}
		if size > most {
			most, last = size, c
		}
	}
	return first, last
}

// span names the cheapest and the most expensive flag of a family, back to back.
func span(f *sample.File, family, unit, call string) Text {
	low, high := "", ""
	least, most := math.Inf(1), math.Inf(-1)
	for _, c := range f.Family(family) {
		flag := c.Param("flag")
		if p := c.Param("pacing"); p != "" && p != "burst" || flag == "none" || len(c.Values[unit]) == 0 {
			continue
		}
		median := stats.Summarize(c.Values[unit]).Median
		if median < least {
			least, low = median, flag
		}
		if median > most {
			most, high = median, flag
		}
	}
	if low == "" || low == high {
		return nil
	}
	return textf("**%s**, back to back: from %s (`%s`) to %s (`%s`).", call, table.Duration(least), low, table.Duration(most), high)
}

// teardown names the namespace that lives longest after its last reference.
func teardown(f *sample.File) Text {
	var slowest *sample.Case
	most := math.Inf(-1)
	for _, c := range f.Family("Teardown") {
		if !(flagPrice{flag: c.Param("flag")}).single() || len(c.Values["gone-ns"]) == 0 {
			continue
		}
		if median := stats.Summarize(c.Values["gone-ns"]).Median; median > most {
			most, slowest = median, c
		}
	}
	if slowest == nil {
		return nil
	}
	s := textf("**Teardown**: slowest to go is `%s`, %s after the close of its last reference", slowest.Param("flag"), table.Duration(most))
	if closing := slowest.Values["close-ns"]; len(closing) > 0 {
		s.add(", which itself returns after %s", table.Duration(stats.Summarize(closing).Median))
	}
	return append(s, words(".")...)
}

// trust says how far the figures go: failures, what is missing, the clock and
// how steady the processor was.
func trust(f *sample.File) Text {
	failures, samples := 0, 0
	for _, c := range f.Cases {
		failures += len(c.Failures)
		samples += c.N()
	}
	s := textf("**Trust**: %s of %s, %s, %s not measured.", table.Plural(samples, "sample", "samples"), table.Plural(len(f.Cases), "case", "cases"),
		table.Plural(failures, "failed operation", "failed operations"), table.Plural(len(f.NotMeasured), "case", "cases"))
	if v := control(f, "clock", "clock-ns"); v.N > 0 {
		s.add(" Reading the clock costs %s.", table.Duration(v.Median))
	}
	if v := control(f, "compute", "compute-ns"); v.N > 0 && v.Median > 0 {
		s.add(" A fixed computation took %s; one in twenty took more than %s longer.", table.Duration(v.Median), table.Percent(v.P95/v.Median-1))
	}
	if len(f.Notes) > 0 {
		s.add(" %s in the result files, see the end.", table.Plural(len(f.Notes), "defect", "defects"))
	}
	return s
}

func control(f *sample.File, what, unit string) stats.Summary {
	for _, c := range f.Family("Control") {
		if c.Param("what") == what {
			return stats.Summarize(c.Values[unit])
		}
	}
	return stats.Summary{}
}

// multiple writes a ratio: "0.85x", "7.2x", "1,200x".
func multiple(x float64) string {
	switch {
	case x >= 9.95:
		return table.Count(int(math.Round(x))) + "x"
	case x < 0.95:
		return fmt.Sprintf("%.2fx", x)
	}
	return fmt.Sprintf("%.1fx", x)
}
