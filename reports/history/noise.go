package history

import (
	"math"

	distribution "github.com/aclements/go-moremath/stats"

	"isoperf/bench/sample"
	"isoperf/reports/compare"
)

// mostAlarms is the probability that any two runs of all cases are farther apart
// than their noise, as in compare.
const mostAlarms = 0.01

// Noise is by how much two runs of a case may differ when nothing does, as a
// ratio, by compare.Row.Key: from how its runs in an environment scatter about
// their levels. runs is how many the environment has. A case with too few has no
// entry.
func (h History) Noise(config []sample.Pair) (noise map[string]float64, runs int) {
	noise = map[string]float64{}
	for e, env := range h.Environments {
		if len(compare.Differing(env.Config, config)) > 0 {
			continue
		}
		runs = len(env.Runs)
		var list []Series
		for _, s := range h.Series {
			if s.Environment == e && s.track != nil {
				list = append(list, s)
			}
		}
		for _, s := range list {
			free := float64(len(s.Points) - len(s.Levels))
			if free < 1 {
				continue
			}
			t := distribution.InvCDF(distribution.TDist{V: free})(1 - mostAlarms/2/float64(len(list)))
			noise[s.Key()] = math.Expm1(t * math.Sqrt2 * s.raw(free))
		}
	}
	return noise, runs
}

// raw is the scatter of runs about their levels, as a logarithm, strays and all:
// either of two runs may be one.
func (s *Series) raw(free float64) float64 {
	sum := 0.0
	for _, l := range s.Levels {
		level := mean(s.track.logs[l.From:l.To])
		for _, v := range s.track.logs[l.From:l.To] {
			sum += (v - level) * (v - level)
		}
	}
	return math.Sqrt(sum / free)
}
