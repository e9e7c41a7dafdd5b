package limits

import (
	"strings"
	"testing"

	"isoperf/bench/sample"
)

func TestJudgeIO(t *testing.T) {
	const bytes, requests = "IoMax/way=rbps/limit=1MiB/block=4KiB", "IoMax/way=wiops/limit=16/block=4KiB"
	for _, c := range []struct {
		name, of             string
		failure, budget      float64
		burst, booked, steal float64
		options              Options
		verdict              Verdict
		why                  string
	}{
		{name: "kept", of: bytes, failure: 0.004, budget: 0.02, verdict: Accurate},
		{name: "kept to 3 %", of: bytes, failure: -0.025, budget: 0.02, verdict: Accurate},
		{name: "2 % is the usual tolerance of others", of: bytes, failure: -0.025, budget: 0.02, options: Options{Tolerance: Tolerance}, verdict: Accurate},
		{name: "asked to be kept to 1 %", of: bytes, failure: -0.025, budget: 0.005, options: Options{Tolerance: 0.01}, verdict: Inaccurate, why: "too little"},
		{name: "a short look", of: bytes, failure: 0.04, budget: 0.055, verdict: Within},
		{name: "a leak", of: bytes, failure: 0.1, budget: 0.02, verdict: Inaccurate, why: "leaks"},
		{name: "whole requests a slice", of: requests, failure: -0.375, budget: 0.02, verdict: Inaccurate, why: "1 of 1.6"},
		{name: "whole requests, of which nearly all is left", of: "IoMax/way=riops/limit=256/block=4KiB", failure: -0.0323, budget: 0.0213, verdict: Within},
		{name: "more than that is lost", of: requests, failure: -0.6, budget: 0.02, verdict: Inaccurate, why: "too little"},
		{name: "a burst", of: bytes, burst: 0.5, budget: 0.02, verdict: Inaccurate, why: "first second"},
		{name: "a counter of its own mind", of: bytes, booked: 0.02, budget: 0.02, verdict: Inaccurate, why: "charged"},
		{name: "a host that takes time", of: bytes, steal: 0.02, budget: 0.02, verdict: NotJudged, why: "host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := judgeIOMax(&sample.Case{Name: c.of}, map[string]float64{
				"achieved-ratio": 1 + c.failure, "error-ratio": c.failure, "budget-ratio": c.budget, "accounted-ratio": c.booked,
				"burst-ratio": c.burst, "burst-budget-ratio": 0.11, "steal-ratio": c.steal, "stall-ns": 1e8,
			}, nil, c.options)
			if j.Verdict != c.verdict || !strings.Contains(j.Why, c.why) || c.why == "" && j.Why != "" {
				t.Errorf("%s: %s", j.Verdict, j.Why)
			}
		})
	}
}

func TestAskedIO(t *testing.T) {
	for name, want := range map[string]string{
		"IoMax/way=rbps/limit=64KiB/block=4KiB":  "read 64 KiB/s, 4 KiB each",
		"IoMax/way=wiops/limit=25600/block=1MiB": "write 25600 requests/s, 1 MiB each",
		"IoMax/way=wbps/limit=100MiB/block=512B": "write 100 MiB/s, 512B each",
	} {
		if got := askedIO(&sample.Case{Name: name}); got != want {
			t.Errorf("%q", got)
		}
	}
	if got := ioRate(0.5*(1<<20), 1<<20, false) + ioRate(2048, 1<<16, false) + ioRate(10, 16, true); got != "0.500 MiB/s2.00 KiB/s10.0/s" {
		t.Errorf("%q", got)
	}
}
