package limits

import (
	"encoding/xml"
	"fmt"
	"io"

	"isoperf/bench/sample"
)

// The elements of JUnit's format, as CI systems read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Host     string      `xml:"hostname,attr,omitempty"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitOutcome `xml:"failure,omitempty"`
		Skipped *junitOutcome `xml:"skipped,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitOutcome struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
	}
)

// JUnit writes a test case for each judgement, and a suite for each limit. What is
// inaccurate has failed. What is not judged was skipped or, with strict, has
// failed too.
func JUnit(w io.Writer, f *sample.File, list []Judgement, strict bool) error {
	all := junitSuites{Name: "isoperf verify"}
	for _, j := range list {
		c := junitCase{Class: j.Limit, Name: j.Case, Out: junitText(j)}
		failed, skipped := 0, 0
		switch {
		case j.Verdict == Inaccurate || j.Verdict == NotJudged && strict:
			c.Failure, failed = &junitOutcome{string(j.Verdict), j.Asked + ": " + j.Why}, 1
		case j.Verdict == NotJudged:
			c.Skipped, skipped = &junitOutcome{Message: "not judged: " + j.Why}, 1
		}
		n := len(all.Suites) - 1
		if n < 0 || all.Suites[n].Name != j.Limit {
			all.Suites = append(all.Suites, junitSuite{Name: j.Limit, Host: f.Key("host")})
			n++
		}
		s := &all.Suites[n]
		s.Cases = append(s.Cases, c)
		s.Tests, s.Failures, s.Skipped = s.Tests+1, s.Failures+failed, s.Skipped+skipped
		all.Tests, all.Failures, all.Skipped = all.Tests+1, all.Failures+failed, all.Skipped+skipped
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	}
	if err != nil {
		return fmt.Errorf("write the verdicts for JUnit: %w", err)
	}
	return nil
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
