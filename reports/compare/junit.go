package compare

import (
	"fmt"
	"io"

	"isoperf/reports/export"
)

// Fails says which verdicts, beside slower, are failures for a CI system.
type Fails struct{ CannotTell, Apart bool }

// JUnit writes a suite for each comparison, and a test for each row that counts.
// What got slower has failed; what cannot be told, is not comparable, or only one
// side has, was skipped, unless it is to fail.
func JUnit(w io.Writer, list []Comparison, fails Fails) error {
	var suites []export.Suite
	for _, c := range list {
		s := export.Suite{Name: c.Base + " against " + c.Head, Out: c.Answer() + "\n" + c.Trust()}
		for _, r := range c.Rows {
			if r.Main {
				s.Cases = append(s.Cases, c.test(r, fails))
			}
		}
		suites = append(suites, s)
	}
	return export.JUnit(w, "isoperf compare", suites, "a comparison as JUnit")
}

func (c Comparison) test(r Row, fails Fails) export.Test {
	text := fmt.Sprintf("%s: %s -> %s, %s (%s)", said(r, c.Floor), Figure(r.Old.Median, r.Unit), Figure(r.New.Median, r.Unit), change(r), interval(r))
	t := export.Test{Class: Family(r.Case), Name: r.Case, Out: text}
	why := text
	if r.Why != "" {
		why = string(r.Verdict) + ": " + r.Why
	}
	failed := r.Verdict == Slower || r.Verdict == CannotTell && fails.CannotTell || r.Verdict == Apart && fails.Apart
	switch {
	case failed:
		t.Failure = &export.Outcome{Type: string(r.Verdict), Message: why}
	case r.Verdict != Same && r.Verdict != Faster:
		t.Skipped = &export.Outcome{Message: why}
	}
	return t
}
