package control

import (
	"testing"

	"isoperf/bench/sample"
)

// Every case opens, gives positive figures and closes.
func TestCases(t *testing.T) {
	for _, c := range append(Cases(3), Engine(3)...) {
		s, err := c.Open()
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		n := 0
		s.Sample(5, func(v []sample.Value, err error) {
			if n++; err != nil || len(v) != 1 || v[0].Value <= 0 {
				t.Errorf("%s: %v, %v", c.Name, v, err)
			}
		})
		if err := s.Close(); err != nil || n != 5 {
			t.Errorf("%s: %d samples, close: %v", c.Name, n, err)
		}
	}
}
