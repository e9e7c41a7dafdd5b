package limits

import (
	"strings"
	"testing"

	"isoperf/bench/sample"
)

func TestJudgeConverge(t *testing.T) {
	const name = "CpuConverge/change=moved-in/quota=20%/period=100ms"
	kept := map[string]float64{"write-ns": 7e6, "near-ratio": 0.25, "first-use-ratio": 1, "steal-ratio": 0, "others-ratio": 0.01,
		"accounted-ratio": 0, "settled-count": 1, "later-use-ratio": 2, "converge-ns": 30e6, "converge-period-count": 1}
	for _, c := range []struct {
		title   string
		changes map[string]float64
		verdict Verdict
		why     string
	}{
		{"at once", nil, Accurate, ""},
		{"two periods", map[string]float64{"converge-period-count": 2}, Accurate, ""},
		{"three", map[string]float64{"converge-period-count": 3}, Within, ""},
		{"six", map[string]float64{"converge-period-count": 6}, Inaccurate, "longer than 5 periods"},
		{"never", map[string]float64{"converge-period-count": 13, "settled-count": 0}, Inaccurate, "did not stay within 25.00 %"},
		{"uneven", map[string]float64{"converge-period-count": 13, "settled-count": 0, "later-use-ratio": 0.95}, NotJudged, "too uneven"},
		{"others", map[string]float64{"converge-period-count": 13, "settled-count": 0, "others-ratio": 1}, NotJudged, "others used 100.00 %"},
		{"steal", map[string]float64{"steal-ratio": 0.1}, NotJudged, "the host took"},
		{"not all were moved", map[string]float64{"accounted-ratio": -0.5}, Inaccurate, "charged -50.0 %"},
	} {
		t.Run(c.title, func(t *testing.T) {
			j := Judge(cpuFile(name, nil, cpuChanged(kept, c.changes)), Options{})[0]
			if j.Verdict != c.verdict || !strings.Contains(j.Why, c.why) || (c.why == "") != (j.Why == "") {
				t.Errorf("%s: %s", j.Verdict, j.Why)
			}
		})
	}
}

func TestJudgeBurst(t *testing.T) {
	const name = "CpuBurst/quota=20%/period=100ms/burst=20ms"
	kept := map[string]float64{"burst-count": 14, "entitled-ratio": 0.2, "achieved-ratio": 0.15, "accounted-ratio": 0, "steal-ratio": 0,
		"others-ratio": 0.01, "burst-ratio": 0.8, "may-ratio": 2, "slack-ratio": 0.25, "use-max-ratio": 2.1}
	for _, c := range []struct {
		title   string
		changes map[string]float64
		verdict Verdict
		why     string
	}{
		{"kept", nil, Within, ""},
		{"a large quota", map[string]float64{"slack-ratio": 0.02}, Accurate, ""},
		{"too much", map[string]float64{"burst-ratio": 1.1, "use-max-ratio": 2.6}, Inaccurate, "a period used 260.00 %"},
		{"too much on the whole", map[string]float64{"achieved-ratio": 0.21}, Inaccurate, "on the whole it got 21.00 %"},
		{"nothing is saved", map[string]float64{"use-max-ratio": 1.05}, Inaccurate, "what it saved was lost"},
		{"it did not rest", map[string]float64{"use-max-ratio": 1.5, "achieved-ratio": 0.198}, NotJudged, "had little to save"},
		{"nothing is used", map[string]float64{"use-max-ratio": 1.05, "others-ratio": 1.5}, NotJudged, "did not use what it had saved"},
		{"steal", map[string]float64{"steal-ratio": 0.1}, NotJudged, "the host took"},
		{"escaped", map[string]float64{"accounted-ratio": -0.1}, Inaccurate, "charged -10.0 %"},
	} {
		t.Run(c.title, func(t *testing.T) {
			j := Judge(cpuFile(name, nil, cpuChanged(kept, c.changes)), Options{})[0]
			if j.Verdict != c.verdict || !strings.Contains(j.Why, c.why) || (c.why == "") != (j.Why == "") {
				t.Errorf("%s: %s", j.Verdict, j.Why)
			}
		})
	}
}

// What a person sees.
func TestWriteConverge(t *testing.T) {
	f := cpuFile("CpuConverge/change=lowered/quota=20%/period=100ms", nil, map[string]float64{"write-ns": 90e3, "near-ratio": 0.25,
		"settled-count": 1, "converge-ns": 90e6, "converge-period-count": 1})
	b := cpuFile("CpuBurst/quota=20%/period=100ms/burst=20ms", nil, map[string]float64{"entitled-ratio": 0.2, "achieved-ratio": 0.15,
		"may-ratio": 2, "slack-ratio": 0.25, "use-max-ratio": 1.05})
	f.Cases, f.Checked = append(f.Cases, b.Cases...), append(f.Checked, b.Checked...)
	f.NotMeasured = []sample.Note{{Case: "CpuConverge/change=moved-in/quota=20%/period=100ms", Why: "it needs root"}}
	var text strings.Builder
	if err := Write(&text, f, Judge(f, Options{}), Printing{}); err != nil {
		t.Fatal(err)
	}
	goldenCPU(t, "cpuconverge.txt", text.String())
}

// cpuChanged is a copy of figures, some of them others.
func cpuChanged(figures, changes map[string]float64) map[string]float64 {
	v := map[string]float64{}
	for _, some := range []map[string]float64{figures, changes} {
		for unit, value := range some {
			v[unit] = value
		}
	}
	return v
}
