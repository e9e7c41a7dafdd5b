package startup

import (
	"os"
	"strings"
	"testing"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

func TestTry(t *testing.T) {
	b := New(Config{Self: os.Getenv("SELF"), Observe: func(o sample.Observed) error { return nil }})
	e := harness.Extent{Burst: 3}
	for _, c := range append(append(append(b.Cases(e), b.Variants(e)...), b.AtOnce(e)...), b.Open(e)...) {
		if !strings.Contains(c.Name, os.Getenv("ONLY")) {
			continue
		}
		s, err := c.Open()
		if err != nil {
			t.Logf("%s: %v", c.Name, err)
			continue
		}
		s.Sample(2, func(v []sample.Value, err error) { t.Log(c.Name, v, err) })
		s.Close()
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
