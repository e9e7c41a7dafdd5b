package limits

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

const cell = "CpuMax/quota=20%/period=100ms/threads=1/load=spin"

// checkedLine says that nothing was found to doubt about a sample, or what was.
func checkedLine(name string, n int, doubts string) string {
	return fmt.Sprintf("# checked {\"case\":%q,\"sample\":%d,\"limit\":\"cpu.max\",\"doubts\":[%s]}\n", name, n, doubts)
}

// What is not in the file, or no number, is not taken for no error.
func TestJudgeOddFigures(t *testing.T) {
	for _, c := range []struct{ figures, why string }{
		{"0.2 achieved-ratio", "the file does not have its entitled-ratio"},
		{"0.2 entitled-ratio 0.001 budget-ratio 0.2 achieved-ratio", "the file does not have its error-ratio"},
		{"0.2 entitled-ratio NaN error-ratio 0.001 budget-ratio 0.2 achieved-ratio", "its error-ratio is no number"},
		{"0.2 entitled-ratio 0 error-ratio 0.001 budget-ratio +Inf stall-ns 0.2 achieved-ratio", "its stall-ns is no number"},
	} {
		f := read(t, "Benchmark"+cell+" 1 "+c.figures+"\n"+checkedLine(cell, 0, ""))
		list := Judge(f, Options{})
		if len(list) != 1 || list[0].Verdict != NotJudged || !strings.Contains(list[0].Why, c.why) || list[0].Got != "" {
			t.Errorf("%s: %+v; want not judged: %s", c.figures, list, c.why)
		}
		var out bytes.Buffer
		if err := JSON(&out, f, list, Options{}, Exit{}); err != nil {
			t.Errorf("%s: %v", c.figures, err)
		}
	}
}

// A doubt is about its own sample, whatever units the others have.
func TestJudgeSamplesWithoutAUnit(t *testing.T) {
	const rest = " 0.2 entitled-ratio 0 error-ratio 0.001 budget-ratio 0.2 achieved-ratio"
	f := read(t, "Benchmark"+cell+" 1"+rest+"\n"+checkedLine(cell, 0, "")+
		"Benchmark"+cell+" 1 70 stall-ns"+rest+"\n"+checkedLine(cell, 1, `"somebody moved it"`)+
		"Benchmark"+cell+" 1 90 stall-ns"+rest+"\n"+checkedLine(cell, 2, ""))
	j := Judge(f, Options{})[0]
	if j.Windows != 3 || j.Counted != 2 || j.Figures["stall-ns"] != 90 {
		t.Errorf("of %d windows %d count, stall %v; want 3, 2, 90", j.Windows, j.Counted, j.Figures["stall-ns"])
	}
}

// A count that must be exact is wrong if it was wrong once: a median hides that.
func TestJudgeOnceTooMany(t *testing.T) {
	const name = "PidsMax/limit=10/way=fork"
	var text strings.Builder
	for i, over := range []int{0, 1, 0} {
		fmt.Fprintf(&text, "Benchmark%s 1 %d peak-count %d full-count %d listed-count 10 limit-count 2 inside-count 8 accepted-count 1 refused-count 1 events-count %d overshoot-count\n%s",
			name, 10+over, 10+over, 10+over, over, checkedLine(name, i, ""))
	}
	j := Judge(read(t, text.String()), Options{})[0]
	if j.Verdict != Inaccurate || !strings.Contains(j.Why, "window 2 of 3") {
		t.Errorf("%s: %s; want inaccurate, in window 2 of 3", j.Verdict, j.Why)
	}
}
