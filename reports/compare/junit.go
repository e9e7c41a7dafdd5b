package compare

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
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
		Cases    []junitCase `xml:"testcase"`
		Out      string      `xml:"system-out,omitempty"`
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

// Fails says which verdicts, beside slower, are failures for a CI system.
type Fails struct{ CannotTell, Apart bool }

// JUnit writes a suite for each comparison, and a test for each row that counts.
// What got slower has failed; what cannot be told, is not comparable, or only one
// side has, was skipped, unless it is to fail.
func JUnit(w io.Writer, list []Comparison, fails Fails) error {
	all := junitSuites{Name: "isoperf compare"}
	for _, c := range list {
		s := junitSuite{Name: c.Base + " against " + c.Head, Out: clean(c.Answer() + "\n" + c.Trust())}
		for _, r := range c.Rows {
			if !r.Main {
				continue
			}
			one := c.junitCase(r, fails)
			s.Tests++
			if one.Failure != nil {
				s.Failures++
			}
			if one.Skipped != nil {
				s.Skipped++
			}
			s.Cases = append(s.Cases, one)
		}
		all.Tests, all.Failures, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Skipped+s.Skipped
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write a comparison as JUnit: %w", err)
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return fmt.Errorf("write a comparison as JUnit: %w", err)
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return fmt.Errorf("write a comparison as JUnit: %w", err)
	}
	return nil
}

func (c Comparison) junitCase(r Row, fails Fails) junitCase {
	family, _, _ := strings.Cut(r.Case, "/")
	text := fmt.Sprintf("%s: %s -> %s, %s (%s)", said(r, c.Floor), Figure(r.Old.Median, r.Unit), Figure(r.New.Median, r.Unit), change(r), interval(r))
	one := junitCase{Class: clean(family), Name: clean(r.Case), Out: clean(text)}
	why := clean(text)
	if r.Why != "" {
		why = clean(string(r.Verdict) + ": " + r.Why)
	}
	failed := r.Verdict == Slower || r.Verdict == CannotTell && fails.CannotTell || r.Verdict == Apart && fails.Apart
	switch {
	case failed:
		one.Failure = &junitOutcome{string(r.Verdict), why}
	case r.Verdict != Same && r.Verdict != Faster:
		one.Skipped = &junitOutcome{Message: why}
	}
	return one
}

// clean leaves out what XML 1.0 cannot hold.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
