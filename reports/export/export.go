// Package export writes reports in the formats of programs: what compare, history,
// limits and checkup say is theirs, and how it is spelled is here.
//
//	figures ──Known, Digits──► null or "" where nothing is known
//	a document ──JSON──► indented, fields in order
//	tests ──Suites (junit.go)──► JUnit's XML
//	names and values ──Labels──► OpenMetrics
package export

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Known is a figure, or nil where it is no number: JSON's null.
func Known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// Digits are a figure as it is, in a cell of CSV; empty where it is no number.
func Digits(v *float64) string {
	if v == nil || Known(*v) == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}

// List is a list that JSON writes as [] when it is empty.
func List[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// JSON writes a document; what says in an error what it is, "a comparison as JSON".
func JSON(w io.Writer, document any, what string) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(document); err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	return nil
}

// CSV writes lines, of which the first is the header.
func CSV(w io.Writer, lines [][]string, what string) error {
	if err := csv.NewWriter(w).WriteAll(lines); err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	return nil
}

// Labels are pairs of a name and a value, as OpenMetrics writes them.
func Labels(pairs ...string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var list []string
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, pairs[i]+`="`+escape.Replace(strings.ToValidUTF8(pairs[i+1], "?"))+`"`)
	}
	return strings.Join(list, ",")
}
