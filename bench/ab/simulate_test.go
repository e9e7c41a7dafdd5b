package ab

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/reports/sequential"
)

// The defaults of isoperf ab.
const (
	floor  = 0.02
	budget = 3 * time.Minute
)

// clock is a time that passes only when somebody says so.
type clock struct{ now time.Time }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

// machine is one whose noise is known: how long a start takes at a time, in
// milliseconds.
type machine func() func(source *rand.Rand, at time.Duration) float64

// fake is a side on it; slower is by how many times it is.
type fake struct {
	c      *clock
	start  time.Time
	source *rand.Rand
	noise  func(*rand.Rand, time.Duration) float64
	slower float64
}

func (f *fake) Visit(context.Context, int, int) ([]Sample, error) {
	ms := f.noise(f.source, f.c.now.Sub(f.start)) * f.slower
	f.c.pass(time.Duration((ms + 0.5) * 1e6)) // the start, and what is around it
	return []Sample{{Case: "Startup/x", Values: []sample.Value{{Unit: "total-ns", Value: ms * 1e6}}}}, nil
}

// nowhere is where simulated samples go.
type nowhere struct{}

func (nowhere) Sample(string, []sample.Value) error { return nil }
func (nowhere) Failed(string, string) error         { return nil }

// simulate is one whole comparison with the defaults, against a head that is so
// many times slower.
func simulate(t testing.TB, noise machine, slower float64, seed uint64) (sequential.Finding, time.Duration) {
	t.Helper()
	c := &clock{now: time.Unix(0, 0)}
	source := rand.New(rand.NewPCG(seed, 7))
	now := noise()
	side := func(slower float64) *fake { return &fake{c, c.now, source, now, slower} }
	j := sequential.New(floor, nil)
	_, err := Run(context.Background(), side(1), side(slower), [2]Recorder{nowhere{}, nowhere{}}, j, Options{
		Groups: []string{"x"}, Time: budget, Seed: seed,
		Clock: harness.Clock{Now: func() time.Time { return c.now }, Sleep: c.pass},
	})
	if err != nil {
		t.Fatal(err)
	}
	found := j.Findings()
	if len(found) != 1 {
		t.Fatalf("%d findings", len(found))
	}
	return found[0], c.now.Sub(time.Unix(0, 0))
}

func logNormal(middle, spread float64) machine {
	return always(func(s *rand.Rand, _ time.Duration) float64 {
		v := middle * math.Exp(spread*s.NormFloat64())
		if s.IntN(50) == 0 { // a stray one
			v *= 1 + 5*s.Float64()
		}
		return v
	})
}

func always(f func(*rand.Rand, time.Duration) float64) machine {
	return func() func(*rand.Rand, time.Duration) float64 { return f }
}

// machines are the kinds of noise that shared machines have.
func machines(t testing.TB) map[string]machine {
	return map[string]machine{
		"log-normal": logNormal(6, 0.1),
		"bimodal": always(func(s *rand.Rand, _ time.Duration) float64 {
			v := 6 * math.Exp(0.03*s.NormFloat64())
			if s.IntN(3) == 0 {
				v *= 1.4
			}
			return v
		}),
		// The clock of the machine goes up and down by a third within a minute, and
		// in steps by a tenth within seconds.
		"drifting": always(func(s *rand.Rand, at time.Duration) float64 {
			v := 6 * math.Exp(0.06*s.NormFloat64()) * (1 + 0.3*math.Sin(at.Seconds()/9))
			if int(at.Seconds()/1.7)%2 == 1 {
				v *= 1.1
			}
			return v
		}),
		"recorded": recorded(t, "testdata/recorded.txt"),
		"slow":     logNormal(30, 0.08),
	}
}

// recorded plays back the starts of a runtime, in microseconds.
func recorded(t testing.TB, path string) machine {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var series []float64
	for word := range strings.FieldsSeq(string(text)) {
		us, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		series = append(series, float64(us)/1e3)
	}
	const piece = 200 // what hangs together stays together
	return func() func(*rand.Rand, time.Duration) float64 {
		from, n := 0, piece
		return func(s *rand.Rand, _ time.Duration) float64 {
			if n == piece {
				from, n = s.IntN(len(series)-piece), 0
			}
			n++
			return series[from+n-1]
		}
	}
}

// outcomes are how often each verdict was given in many comparisons.
func outcomes(t *testing.T, noise machine, slower float64, times int) map[sequential.Verdict]int {
	count := map[sequential.Verdict]int{}
	var took time.Duration
	for i := range times {
		f, d := simulate(t, noise, slower, uint64(i))
		count[f.Verdict]++
		took += d / time.Duration(times)
	}
	t.Logf("%v of %d, %v each", count, times, took.Round(time.Second))
	return count
}

// comparisons is how many there are of each kind of noise without a change: 300 in
// all. A third more are made with one.
var comparisons = flag.Int("comparisons", 60, "simulated comparisons of each kind of noise")

// No change is never called one, with any noise.
func TestNoFalseAlarm(t *testing.T) {
	times := *comparisons
	for name, noise := range machines(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			count := outcomes(t, noise, 1, times)
			if n := count[sequential.Slower]; n > 0 {
				t.Errorf("%d of %d false alarms", n, times)
			}
			if n := count[sequential.Faster]; n > times/100 {
				t.Errorf("faster in %d of %d, and is not", n, times)
			}
			// A test that never finds the sides the same would have no false alarm, either.
			if n := count[sequential.Same]; n < times*8/10 && name != "recorded" {
				t.Errorf("the same only in %d of %d", n, times)
			}
		})
	}
}

// The A/A ends once the noise is known to be too little to count: on a quiet machine
// at the first look after a fortieth of the time, on a loud one when its time is up.
func TestEndOfAA(t *testing.T) {
	for name, c := range map[string]struct {
		noise       machine
		least, most int
	}{
		"quiet": {always(func(s *rand.Rand, _ time.Duration) float64 { return 6 + 0.01*s.Float64() }), 256, 256},
		"loud":  {always(func(s *rand.Rand, _ time.Duration) float64 { return 6 + 60*s.Float64() }), 230, 250},
	} {
		f, _ := simulate(t, c.noise, 1, 1)
		if n := f.Band.Rounds; n < c.least || n > c.most {
			t.Errorf("%s: %d rounds", name, n)
		}
	}
}

// A slower start is found: by 5 % in 98 of 100 at least, by 10 % always, on a
// machine that is in use.
func TestPower(t *testing.T) {
	for name, noise := range machines(t) {
		for slower, least := range map[float64]int{1.05: 98, 1.10: 100} {
			t.Run(fmt.Sprintf("%s %+.0f %%", name, 100*(slower-1)), func(t *testing.T) {
				t.Parallel()
				if n := outcomes(t, noise, slower, 100)[sequential.Slower]; n < least {
					t.Errorf("found in %d of 100", n)
				}
			})
		}
	}
}
