package lives

import (
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	run := func(shift, last int64) Command {
		return Command{"create", []Step{{"start Go", shift, shift + 1000}, {"launch", shift + 1000, shift + 4000}, {"clone3", shift + 2000, shift + 3000}, {"end", shift + 4000, shift + 4000 + last}}}
	}
	var b strings.Builder
	err := Write(&b, []Command{{"delete", []Step{{"end", 5, 105}}}, run(0, 1000), run(77, 1000), run(500, 6000), {"list", nil}})
	if err != nil {
		t.Fatal(err)
	}
	want := `In the median, create takes 5 us, delete takes 100 ns (4 timelines).

create, 3 runs
step        median   p95     most    of the whole   runs
start Go    1 us     1 us    1 us    20 %           3
launch      3 us     3 us    3 us    60 %           3
  clone3    1 us     1 us    1 us    20 %           3
end         1 us     6 us    6 us    20 %           3
whole       5 us     10 us   10 us   100 %          3

delete, 1 run
step    median   p95   most   of the whole   runs
`
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if got := squeeze(b.String()); !strings.HasPrefix(got, squeeze(strings.Split(want, "step")[0])) {
		t.Errorf("got\n%s", b.String())
	}
	for _, line := range []string{"clone3", "whole"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("there is no %s in\n%s", line, b.String())
		}
	}
	if !strings.Contains(b.String(), "\n  clone3 ") && !strings.Contains(b.String(), "    clone3 ") {
		t.Errorf("what lies within another step is not indented:\n%s", b.String())
	}
	b.Reset()
	if err := Write(&b, nil); err != nil || !strings.Contains(b.String(), "no timelines") {
		t.Errorf("nothing is %q, %v", b.String(), err)
	}
}
