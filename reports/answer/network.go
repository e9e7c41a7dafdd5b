package answer

import (
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/network"
)

// firstAnswers is how many of the answers about networks stand above all; the
// others stand below the tables.
const firstAnswers = 2

// networkHeadline is what is asked most of networks; "" when none was measured.
func networkHeadline(f *sample.File) string {
	var text []string
	found := network.Findings(f)
	for _, one := range found[:min(firstAnswers, len(found))] {
		text = append(text, one.Answer)
	}
	return strings.Join(text, " ")
}

// networkWords prints the other answers.
func networkWords(p *page, f *sample.File) {
	found := network.Findings(f)
	if len(found) <= firstAnswers {
		return
	}
	p.gap()
	for _, one := range found[firstAnswers:] {
		p.line(one.Answer)
	}
}

// unexplained are the cases whose failures no table tells.
func unexplained(cases []*sample.Case, verbose bool) []*sample.Case {
	if verbose {
		return cases
	}
	return slices.DeleteFunc(slices.Clone(cases), func(c *sample.Case) bool { return network.Told(c.Family()) })
}
