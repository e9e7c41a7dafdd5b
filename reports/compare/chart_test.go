package compare

import (
	"bytes"
	"strings"
	"testing"

	"isoperf/reports/stats"
)

// A row is drawn where its range lies; one that only one side has is not.
func TestChart(t *testing.T) {
	both := stats.Summary{N: 9}
	rows := []Row{
		{Case: "A", Old: both, New: both, Verdict: Slower, Bound: 0.02, Ratio: stats.Factor{Ratio: 1.1, Lo: 1.05, Hi: 1.2}},
		{Case: "B``", Old: both, New: both, Verdict: CannotTell, Bound: 0.5, Ratio: stats.Factor{Ratio: 0.2, Lo: 0.1, Hi: 0.95}},
		{Case: "C", Old: both, Verdict: Gone},
	}
	want := "-75 %               0              +300 %\n" +
		"                    |o-]                   A, slower\n" +
		"o------------------]|......                B'', cannot tell\n"
	if got := chart(rows); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
	if got := chart(rows[2:]); got != "" {
		t.Errorf("%q of nothing to draw", got)
	}
}

func TestChartInMarkdown(t *testing.T) {
	var b bytes.Buffer
	if err := Markdown(&b, []Comparison{slower(t)}, 0); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); !strings.Contains(text, "```text\n-") || strings.Count(text, "```")%2 != 0 || !strings.Contains(text, "false alarms of this comparison") {
		t.Errorf("%s", text)
	}
}
