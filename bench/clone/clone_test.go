package clone

import (
	"errors"
	"strings"
	"testing"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// Every case opens, gives its units in order, and closes.
func TestCases(t *testing.T) {
	for _, c := range Cases(harness.Full()) {
		t.Run(c.Name, func(t *testing.T) {
			s, err := c.Open()
			if err != nil {
				t.Fatal(err)
			}
			s.Sample(2, func(v []sample.Value, err error) {
				if err != nil {
					t.Error(err)
				}
				for _, v := range v {
					if v.Value < 0 || v.Unit == "" {
						t.Errorf("%v", v)
					}
				}
				t.Log(v)
			})
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What needs over half of the memory is refused, and nothing is touched.
func TestTooMuchMemory(t *testing.T) {
	free, err := available()
	if err != nil {
		t.Fatal(err)
	}
	_, err = openMemory(int(free/2)+1<<30, "vm", 0)
	var not harness.NotMeasured
	if !errors.As(err, &not) || !strings.Contains(not.Why, "over half") {
		t.Errorf("%v", err)
	}
}

// The sweeps: the first case of each value opens, samples and closes.
func TestSweeps(t *testing.T) {
	small := harness.Extent{Burst: 3, Paced: 3, Teardown: 3}
	for _, cases := range [][]harness.Case{Creators(small), Mounts(small), Live(small), Memory(small), Gaps(small)} {
		for _, c := range cases {
			if strings.Contains(c.Name, "GiB") || strings.Contains(c.Name, "=500") || strings.Contains(c.Name, "live=1000") || strings.Contains(c.Name, "256MiB") {
				continue // the same, only slower
			}
			s, err := c.Open()
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			n := 0
			s.Sample(2, func(v []sample.Value, err error) {
				if n++; err != nil || v[len(v)-1].Unit != "reap-ns" || v[len(v)-1].Value <= 0 {
					t.Errorf("%s: %v, %v", c.Name, v, err)
				}
			})
			if err := s.Close(); err != nil || n == 0 {
				t.Errorf("%s: %d samples, close: %v", c.Name, n, err)
			}
		}
	}
}
