package limits

import (
	"fmt"
	"io"

	"isoperf/bench/sample"
	"isoperf/reports/export"
)

// JUnit writes a test case for each judgement, and a suite for each limit. What is
// inaccurate has failed. What is not judged was skipped or, with strict, has
// failed too.
func JUnit(w io.Writer, f *sample.File, list []Judgement, strict bool) error {
	var suites []export.Suite
	for _, j := range list {
		t := export.Test{Class: j.Limit, Name: j.Case, Out: junitText(j)}
		switch {
		case j.Verdict == Inaccurate || j.Verdict == NotJudged && strict:
			t.Failure = &export.Outcome{Type: string(j.Verdict), Message: j.Asked + ": " + j.Why}
		case j.Verdict == NotJudged:
			t.Skipped = &export.Outcome{Message: "not judged: " + j.Why}
		}
		if n := len(suites); n == 0 || suites[n-1].Name != j.Limit {
			suites = append(suites, export.Suite{Name: j.Limit, Host: f.Key("host")})
		}
		s := &suites[len(suites)-1]
		s.Cases = append(s.Cases, t)
	}
	return export.JUnit(w, "isoperf verify", suites, "the verdicts for JUnit")
}

// junitText is what a person wants to read of a case.
func junitText(j Judgement) string {
	text := "asked " + j.Asked
	if j.Got != "" {
		text += ", got " + j.Got
		if j.Unit == "" {
			text += fmt.Sprintf(", error %+.2f %%, could be off by %.2f %%", 100*j.Error, 100*j.Budget)
		} else {
			text += fmt.Sprintf(", error %+.4g %s, could be off by %.4g %s", j.Error, j.Unit, j.Budget, j.Unit)
		}
	}
	return text + ": " + string(j.Verdict)
}
