package export

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The elements of JUnit's format, as CI systems read it.
type (
	// Suites are all tests of a report.
	Suites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Skipped  int      `xml:"skipped,attr"`
		Suites   []Suite  `xml:"testsuite"`
	}
	// Suite is those of a part.
	Suite struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Host     string `xml:"hostname,attr,omitempty"`
		Cases    []Test `xml:"testcase"`
		Out      string `xml:"system-out,omitempty"`
	}
	// Test has passed, unless it has failed or was skipped.
	Test struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Failure *Outcome `xml:"failure,omitempty"`
		Skipped *Outcome `xml:"skipped,omitempty"`
		Out     string   `xml:"system-out,omitempty"`
	}
	// Outcome is why.
	Outcome struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
	}
)

// JUnit writes suites: their tests are counted, and what XML cannot hold is left
// out.
func JUnit(w io.Writer, name string, suites []Suite, what string) error {
	all := Suites{Name: name}
	for _, s := range suites {
		s.Name, s.Out = clean(s.Name), clean(s.Out)
		for i := range s.Cases {
			t := &s.Cases[i]
			t.Class, t.Name, t.Out = clean(t.Class), clean(t.Name), clean(t.Out)
			s.Tests++
			if t.Failure != nil {
				t.Failure.Message = clean(t.Failure.Message)
				s.Failures++
			}
			if t.Skipped != nil {
				t.Skipped.Message = clean(t.Skipped.Message)
				s.Skipped++
			}
		}
		all.Tests, all.Failures, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Skipped+s.Skipped
		all.Suites = append(all.Suites, s)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	return nil
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
