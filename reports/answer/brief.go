package answer

import (
	"isoperf/bench/sample"
	"isoperf/reports/startup"
)

// Brief is the beginning of the answer, for a page that has the rest itself.
type Brief struct {
	Headline []string // the answer in words, a sentence or two
	Trust    string   // how far to trust it
	Warnings []string
}

// InBrief is the answer that f holds, in short.
func InBrief(f *sample.File) Brief {
	c, s := newCloneView(f), startup.Main(f)
	t := judge(f, c)
	return Brief{Headline: headlines(f, c, s), Trust: t.line(), Warnings: t.warnings}
}

// headlines are the first lines.
func headlines(f *sample.File, c *cloneView, s *startup.Comparison) []string {
	var lines []string
	if s != nil {
		lines = append(lines, s.Headline())
	}
	if s == nil || c != nil {
		lines = append(lines, headline(f, c))
	}
	return lines
}
