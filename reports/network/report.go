package network

import (
	"cmp"
	"fmt"
	"slices"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// factor is a ratio and its interval.
type factor = stats.Factor

// Finding is a question that people ask, and the answer in words.
type Finding struct{ Question, Answer string }

// Findings are the answers that a file has, the most asked for first.
func Findings(f *sample.File) (all []Finding) {
	v := Read(f)
	for _, q := range []struct {
		question string
		answer   func() string
	}{
		{"How much slower than host networking?", v.slowdown},
		{"Do pasta and slirp4netns change places with the MTU?", v.flip},
		{"What does distance do?", v.falls},
		{"What stalls?", v.stalling},
		{"Which conclusions hold on which link?", v.onLinks},
		{"Where does the CPU time go?", v.cpuFinding},
		{"What does a published port cost?", v.ports},
		{"How long does an answer take?", v.answers},
		{"How many connections a second?", v.connections},
		{"What does UDP carry?", v.datagrams},
		{"How long until the network is there?", v.settingUp},
		{"What does the translator weigh?", v.weights},
		{"Which way to send?", v.sending},
		{"What is not proven?", v.notProven},
	} {
		if text := q.answer(); text != "" {
			all = append(all, Finding{q.question, text})
		}
	}
	return all
}

// notProven names the cells without a figure.
func (v *View) notProven() string {
	var some []string
	for _, c := range v.cells {
		if word, _ := c.why(); word != "" {
			some = append(some, fmt.Sprintf("%s: %s", c.name(), word))
		}
	}
	if len(some) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %s have no figure, for reasons below: %s.", len(some), plural(len(v.cells), "case", "cases"), joined(some, 4))
}

// name is a cell with what it measures.
func (c *Cell) name() string {
	what := map[string]string{Stream: "TCP", Distance: "TCP", Request: "requests", Connect: "connections", Datagram: "UDP", Setup: "set-up", Send: "ways to send"}[c.Family]
	return what + " over " + c.Label()
}

// Tables are those of a family, the ones to act on first; none where it is not
// there.
func Tables(f *sample.File, family string) []table.Table {
	v := Read(f)
	switch family {
	case Stream:
		return append(append(v.choiceTable(), v.streamTables()...), v.cpuTables()...)
	case Distance:
		if len(v.Of(Stream)) == 0 {
			return append(v.choiceTable(), v.distanceTables()...)
		}
		return v.distanceTables()
	case Request:
		return v.requestTables()
	case Connect:
		return v.connectTables()
	case Datagram:
		return v.datagramTables()
	case Setup:
		return v.setupTables()
	case Send:
		return v.sendTables()
	}
	return nil
}

func sortBy[T any](list []T, of func(T) float64) {
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(of(a), of(b)) })
}
