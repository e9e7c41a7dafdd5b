package clone

import (
	"testing"

	"isoperf/bench/sample"
)

// Every case opens, gives its units in order, and closes.
func TestCases(t *testing.T) {
	for _, c := range Cases(Full()) {
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
