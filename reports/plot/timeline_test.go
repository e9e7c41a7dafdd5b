package plot

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
)

// lanesOf makes n lanes with bars of every level and of many kinds.
func lanesOf(n int) []Lane {
	var lanes []Lane
	for i := range n {
		at := float64(i) * 1e5
		l := Lane{Name: fmt.Sprintf("runc init with a long name[%d]", 1000+i), From: at, To: at + 3e6}
		l.Bars = append(l.Bars, Bar{From: at, To: at + 1e6, Kind: "own code", Level: Slim, Part: 0.7}, Bar{From: at + 2.5e6, To: at + 3e6, Kind: "waiting for a child"})
		for k := range 14 {
			from := at + 1e6 + float64(k)*1e5
			l.Bars = append(l.Bars, Bar{From: from, To: from + 1e5/float64(k+1), Kind: fmt.Sprintf("kind %02d", k), Level: Full})
		}
		lanes = append(lanes, l)
	}
	return lanes
}

func TestTimelineFitsItsSheet(t *testing.T) {
	for name, lanes := range map[string][]Lane{
		"one": lanesOf(1), "some": lanesOf(7), "too many": lanesOf(45),
		"empty lanes": {{Name: "a", To: 1}, {Name: "b"}, {Name: strings.Repeat("endless", 20), To: 5e9}},
		"odd":         {{Name: "x", From: 5, To: 10, Bars: []Bar{{From: -4, To: 3, Kind: "k", Level: Full}, {From: 9, To: 20, Kind: "k", Level: Slim, Part: 7}}}},
	} {
		fig := Timeline("Where the time goes", "One lane for each process.", lanes)
		width, height := fig.sheet.size()
		c := &proof{width: width, height: height}
		if err := fig.draw(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.inspect(t, name)
	}
}

func TestTimelineSaysWhatItShows(t *testing.T) {
	few := Timeline("Title", "Lead.", lanesOf(2))
	text := svg(t, few)
	for _, want := range []string{"runc init with a long name[1000]", "own code", "kind 00", "kind 08", ">other<", "waits, or is blocked", "2 ms"} {
		if !strings.Contains(text, want) {
			t.Errorf("the picture does not say %q", want)
		}
	}
	if strings.Contains(text, "kind 09<") {
		t.Error("a kind that took little has a colour")
	}
	if many := svg(t, Timeline("Title", "Lead.", lanesOf(45))); !strings.Contains(many, "15 lanes that are shorter than these are left out.") {
		t.Error("lanes are left out and nothing says so")
	}
	if none := Timeline("Title", "Lead.", nil); svg(t, none) == "" {
		t.Error("without lanes there is no picture")
	}
}

func TestTimelineIsTheSameEachTime(t *testing.T) {
	draw := func() string {
		fig := Timeline("Title", "Lead.", lanesOf(9))
		var b bytes.Buffer
		if err := fig.PNG(&b); err != nil {
			t.Fatal(err)
		}
		return svg(t, fig) + b.String()
	}
	if first, second := draw(), draw(); first != second {
		t.Error("the same lanes give another picture")
	}
}

func TestFit(t *testing.T) {
	l := bodyLetter()
	for name, most := range map[string]float64{"short": 100, strings.Repeat("long", 40): 100, "runc:[2:INIT][1234]": 60, "": 10} {
		got := fit(l, name, vg.Length(most))
		if float64(l.width(got)) > most && len([]rune(got)) > 4 || len(got) > len(name) {
			t.Errorf("%q becomes %q, %.0f wide, want at most %.0f", name, got, float64(l.width(got)), most)
		}
	}
	if got := fit(l, "abcdefghijklmnopqrstuvwxyz", 60); !strings.HasPrefix(got, "ab") || !strings.HasSuffix(got, "z") || !strings.Contains(got, "…") {
		t.Errorf("the name becomes %q", got)
	}
}
