package compare

import (
	"math"

	distribution "github.com/aclements/go-moremath/stats"

	"isoperf/reports/stats"
)

// The noise of a row is what two files differ by when nothing has changed. It is
// read off the files themselves:
//
//	values of a file ──newSide──► parts ──scatterOf──► how far their medians lie apart
//	   in order of time                                  │
//	                          what is usual in the rows ─┴─noiseOf──► a row's noise
//
// A part is a stretch of time, and differs from another one by more than chance:
// neighbours come and go, caches, clocks. That is why parts are counted here, and
// not samples. Where one part is like the next (a drift), they count for less.

// Classes of rows by the coefficient of variation that the median of a run would
// have in many runs (the bands of Datadog's SMP): an erratic row is never held
// against a change.
const (
	stable  = "stable"
	noisy   = "noisy"
	erratic = "erratic"
)

func classOf(cv float64) string {
	switch {
	case cv >= 0.10:
		return erratic
	case cv >= 0.03:
		return noisy
	}
	return stable
}

// side is one unit of one case in one column.
type side struct {
	values []float64   // in order of measurement
	parts  [][]float64 // the same, cut
	logs   []float64   // the logarithms of the parts' medians; nil: one is not above zero
}

// Parts of a side.
const (
	mostParts = 8
	leastPart = 5 // values, of which a median is taken
	fewFiles  = 4 // with so many files, a file is a part
)

// newSide cuts values where other cases had their turn (blocks), so that a part
// is a stretch of time. Short blocks are put together, long ones cut; with several
// files, each is a part.
func newSide(values []float64, blocks, files []int) side {
	s := side{values: values, parts: cut(values, blocks, files)}
	for _, part := range s.parts {
		median := stats.Quantiles(part, 0.5)[0]
		if !(median > 0) {
			s.logs = nil
			break
		}
		s.logs = append(s.logs, math.Log(median))
	}
	return s
}

func cut(values []float64, blocks, files []int) (parts [][]float64) {
	starts := blocks
	if len(files) >= fewFiles {
		starts = files
	}
	count := min(mostParts, len(values)/leastPart)
	if count < 2 {
		return [][]float64{values}
	}
	if len(starts) == 0 {
		starts = []int{0}
	}
	size := float64(len(values)) / float64(count)
	from := 0
	for i := range starts {
		to := len(values)
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		rest := len(values) - to
		if float64(to-from) < 0.7*size || rest > 0 && rest < leastPart {
			continue
		}
		cuts := max(1, int(float64(to-from)/size+0.3))
		for k := range cuts {
			parts = append(parts, values[from+k*(to-from)/cuts:from+(k+1)*(to-from)/cuts])
		}
		from = to
	}
	if rest := values[from:]; len(rest) > 0 {
		parts = append(parts, rest)
	}
	return parts
}

// scatterOf is how far parts are from each other: the standard deviation of the
// logarithms of their medians, which is a ratio; 0 with fewer than two parts. What
// chance alone does to medians of so few values is in it, and more samples make
// that less.
func scatterOf(logs []float64) float64 {
	mean, sum := 0.0, 0.0
	for _, m := range logs {
		mean += m / float64(len(logs))
	}
	for _, m := range logs {
		sum += (m - mean) * (m - mean)
	}
	return math.Sqrt(sum / float64(max(1, len(logs)-1)))
}

// scatter is how far the parts of both sides lie apart, and how many there are to
// know it by.
func scatter(old, next []float64) (ratio float64, parts int) {
	return max(scatterOf(old), scatterOf(next)), min(len(old), len(next))
}

// usual is what rows are like here.
type usual struct {
	rows    int     // that count: so many may raise a false alarm
	scatter float64 // their median
	// drift is by how many times the variance of a file's median is larger than if
	// its parts were independent of each other; 1: they are.
	drift float64
}

// usualParts is how many parts the scatter that rows usually have here is worth,
// beside a row's own.
const usualParts = 4

// mostAlarms is the probability of a false alarm, over all rows of a comparison,
// that the noise is made for.
const mostAlarms = 0.01

// drifts is the least by how many times the scatter of their parts two files may
// be apart without any reason. Parts that are independent of each other even out in
// a file's median, but what makes one part differ from the next makes one run
// differ from the next as well: neighbours come for as long as a file, and caches
// and CPUs are dealt anew. Such runs are √2 scatters apart, one standard deviation;
// this is two of them. On a machine with neighbours the independence of parts alone
// makes alarms of whole runs between which nothing changed (the recorded ones in
// testdata).
const drifts = 3

// noiseOf is the noise of a row: the quantile of Student's t that leaves
// mostAlarms over all rows, times the error of the quotient of two medians, which
// is known from their parts; but at least drifts scatters. cv is the error of one
// file's median.
//
// Two or four parts may lie close together by luck, on a machine where no other
// row's do: so what is usual there is weighed in, the more the fewer parts a row
// has (as G. K. Smyth does it for genes, Linear models and empirical Bayes
// methods, 2004). It never makes a row less noisy than it is.
func noiseOf(old, next []float64, u usual) (noise, cv float64) {
	own, parts := scatter(old, next)
	n := float64(parts - 1)
	free := float64(len(old) + len(next) - 2)
	if u.scatter > 0 {
		own = max(own, math.Sqrt((n*own*own+usualParts*u.scatter*u.scatter)/(n+usualParts)))
		free += usualParts
	}
	if free < 1 || own == 0 {
		return 0, 0
	}
	cv = own * math.Sqrt(u.drift/float64(parts))
	t := student(1-mostAlarms/2/float64(max(1, u.rows)), free)
	pair := math.Sqrt(u.drift * (1/float64(len(old)) + 1/float64(len(next))))
	return math.Expm1(max(drifts, t*pair) * own), cv
}

// student is a quantile of Student's t.
func student(share, free float64) float64 {
	return distribution.InvCDF(distribution.TDist{V: free})(share)
}

// usualOf looks at the rows that count.
func usualOf(rows []Row) usual {
	u := usual{drift: 1}
	var list []float64
	lags, known := 0.0, 0
	for _, r := range rows {
		if !r.Main || !r.Compared() {
			continue
		}
		u.rows++
		if own, parts := scatter(r.old.logs, r.next.logs); parts >= 2 {
			list = append(list, own)
		}
		for _, s := range []side{r.old, r.next} {
			if lag, ok := lagOf(s.logs); ok {
				lags += lag
				known++
			}
		}
	}
	if len(list) > 0 {
		u.scatter = stats.Quantiles(list, 0.5)[0]
	}
	if known > 0 {
		lag := min(0.9, max(0, lags/float64(known)))
		u.drift = (1 + lag) / (1 - lag)
	}
	return u
}

// leastLag is how many parts must be there to see whether they follow each other.
const leastLag = 6

// lagOf is the correlation of parts with the next one, in time; false: there are
// too few. The mean of few parts follows them, which makes it seem smaller: that is
// put right as M. G. Kendall shows (Note on bias in the estimation of
// autocorrelation, 1954).
func lagOf(logs []float64) (float64, bool) {
	n := float64(len(logs))
	if len(logs) < leastLag {
		return 0, false
	}
	mean, sum, with := 0.0, 0.0, 0.0
	for _, m := range logs {
		mean += m / n
	}
	for i, m := range logs {
		sum += (m - mean) * (m - mean)
		if i > 0 {
			with += (m - mean) * (logs[i-1] - mean)
		}
	}
	if !(sum > 0) {
		return 0, false
	}
	return (with/sum + 1/n) / (1 - 4/n), true
}
