package compare

import (
	"math"
	"math/rand/v2"
	"slices"

	"isoperf/reports/stats"
)

// The check asks how often these very files would raise a false alarm. It takes
// the change out (each file is divided by its own median), cuts both files into
// the parts that noise is read off, and deals those anew into an old and a new
// side, in stretches of neighbours, so that what parts close in time have in common
// stays together. The sides then differ by nothing but the machine, and the rules
// of the comparison are applied to them: a row that is "slower" is a false alarm.
// The vetoes are left out, so there are more alarms here than in a comparison, and
// the figure is there when nothing can be compared, too.
//
// Of two files whose sides took turns, the parts of the same time are dealt in pairs
// instead: a coin says which of the two is old. What the machine did then, it did to
// both.
//
// It says nothing of what happens between two runs only (a reboot, another
// neighbour for as long as the file): the controls and isoperf ab are for that.
//
//	old |a b c d e f|  new |g h i j k l|  ──each by its median, cut, dealt──►
//	old |g h . a b . e| new |c d . k l i . j f| ──noise, Holm, judge──► an alarm?

// Draws is how often the parts are dealt.
const Draws = 300

// Check is how many of the draws were false alarms.
type Check struct {
	Alarms, Draws int // Draws 0: there is no row to deal
}

// AtMost is the share of false alarms that is not exceeded with 95 % confidence
// (Clopper and Pearson).
func (c Check) AtMost() float64 {
	if c.Draws == 0 || c.Alarms >= c.Draws {
		return 1
	}
	lo, hi := 0.0, 1.0
	for range 50 {
		p := (lo + hi) / 2
		sum := 0.0 // the probability of so few alarms
		for k := range c.Alarms + 1 {
			sum += math.Exp(logChoose(c.Draws, k) + float64(k)*math.Log(p) + float64(c.Draws-k)*math.Log1p(-p))
		}
		if sum > 0.05 {
			lo = p
		} else {
			hi = p
		}
	}
	return hi
}

// logChoose is the logarithm of the number of ways to pick k of n.
func logChoose(n, k int) float64 {
	of := func(n int) float64 { v, _ := math.Lgamma(float64(n + 1)); return v }
	return of(n) - of(k) - of(n-k)
}

// mostValues is how many values of a part are dealt: of more, its quantiles, of
// which the median of several parts is as good as that of all their values.
// Significance is then taken for granted, which makes for more alarms, not fewer.
const mostValues = 32

// place is a value, and the part that it is of.
type place struct {
	value float64
	part  int
}

// deck is a row's parts.
type deck struct {
	row     *Row
	parts   [][]float64
	places  []place   // all values, the smallest first
	logs    []float64 // of their medians
	ranks   []float64 // the sum of a part's ranks among all values
	old     int       // so many parts are the old side's
	ties    float64   // the sum of t³-t over values that are equal
	thinned bool
	pairs   bool  // part i is of the same time as part old+i
	usual   usual // what rows are like here
	alarms  int
}

// check deals the parts of all rows that were judged; turns says that the sides
// took turns.
func (c *Comparison) check(turns bool) {
	var decks []*deck
	usual := usualOf(c.Rows)
	for i := range c.Rows {
		r := &c.Rows[i]
		if !r.Main || !r.Compared() || r.Verdict == Apart {
			continue
		}
		if d := newDeck(r); d != nil {
			d.usual, d.pairs = usual, turns && len(d.parts) == 2*d.old
			decks = append(decks, d)
		}
	}
	if len(decks) == 0 {
		return
	}
	rng := rand.New(rand.NewPCG(1, 2)) // the same files have the same answer
	for range Draws {
		if deal(decks, c.Floor, rng) {
			c.Check.Alarms++
		}
	}
	c.Check.Draws = Draws
}

// doubt believes no change when there were more false alarms than one in a hundred;
// why is then said of it.
func (c *Comparison) doubt(why string) {
	if c.Check.Alarms*100 <= c.Check.Draws {
		return
	}
	for i := range c.Rows {
		if r := &c.Rows[i]; r.Verdict == Slower || r.Verdict == Faster {
			r.Verdict, r.Why = CannotTell, why
		}
	}
}

func newDeck(r *Row) *deck {
	d := &deck{row: r, old: len(r.old.parts)}
	for _, s := range []side{r.old, r.next} {
		median := stats.Quantiles(s.values, 0.5)[0]
		if !(median > 0) || len(s.logs) != len(s.parts) {
			return nil
		}
		for _, part := range s.parts {
			values := gist(part)
			d.thinned = d.thinned || len(values) < len(part)
			for i := range values {
				values[i] /= median
			}
			d.parts = append(d.parts, values)
		}
		for _, v := range s.logs {
			d.logs = append(d.logs, v-math.Log(median))
		}
	}
	d.rank()
	return d
}

// gist is a copy of a part, in at most mostValues values.
func gist(part []float64) []float64 {
	if len(part) <= mostValues {
		return slices.Clone(part)
	}
	shares := make([]float64, mostValues)
	for i := range shares {
		shares[i] = (float64(i) + 0.5) / mostValues
	}
	return stats.Quantiles(part, shares...)
}

// rank gives each part the sum of its values' ranks; equal values share theirs.
func (d *deck) rank() {
	var all []place
	for i, part := range d.parts {
		for _, v := range part {
			all = append(all, place{v, i})
		}
	}
	slices.SortFunc(all, func(a, b place) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	d.places, d.ranks = all, make([]float64, len(d.parts))
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].value == all[i].value {
			j++
		}
		t := float64(j - i)
		d.ties += t*t*t - t
		for _, p := range all[i:j] {
			d.ranks[p.part] += float64(i+j+1) / 2
		}
		i = j
	}
}

// deal deals all decks once, and says whether any row is then slower.
func deal(decks []*deck, floor float64, rng *rand.Rand) bool {
	rows := make([]Row, len(decks))
	orders := make([][]int, len(decks))
	for i, d := range decks {
		orders[i] = d.order(rng)
		rows[i] = Row{Main: true, P: d.p(orders[i])}
	}
	holm(rows)
	alarm := false
	for i, d := range decks {
		if !(rows[i].Adjusted < Alpha) && !d.thinned {
			continue
		}
		if d.alarmed(orders[i], floor) {
			d.alarms++
			alarm = true
		}
	}
	return alarm
}

// order is the parts as they are dealt: pairs by coins, or stretches of a circle,
// shuffled.
func (d *deck) order(rng *rand.Rand) []int {
	n := len(d.parts)
	if d.pairs {
		order := make([]int, n)
		for i := range d.old {
			swap := rng.IntN(2) * d.old
			order[i], order[d.old+i] = i+swap, i+d.old-swap
		}
		return order
	}
	length := 1 + rng.IntN(max(1, n/2))
	offset := rng.IntN(n)
	order := make([]int, 0, n)
	for _, stretch := range rng.Perm((n + length - 1) / length) {
		for i := stretch * length; i < min(n, (stretch+1)*length); i++ {
			order = append(order, (offset+i)%n)
		}
	}
	return order
}

// p is that of the Mann–Whitney test (the normal approximation), from the ranks.
func (d *deck) p(order []int) float64 {
	sum, n1 := 0.0, 0.0
	for _, i := range order[:d.old] {
		sum += d.ranks[i]
		n1 += float64(len(d.parts[i]))
	}
	n := float64(len(d.places))
	n2 := n - n1
	u := sum - n1*(n1+1)/2
	sigma := math.Sqrt(n1 * n2 / 12 * (n + 1 - d.ties/(n*(n-1))))
	z := max(0, math.Abs(u-n1*n2/2)-0.5) / sigma
	return math.Erfc(z / math.Sqrt2)
}

// alarmed says whether the row, so dealt, would be called slower, when its p is
// significant: it is not erratic, and the ratio (Hodges–Lehmann) goes beyond the
// bound, which is to say that half of all quotients do.
func (d *deck) alarmed(order []int, floor float64) bool {
	sides := make([]int, len(d.parts)) // of the parts: 0 is the one that is better when lower
	var logs [2][]float64
	for k, i := range order {
		if (k >= d.old) != (d.row.Better == "higher") {
			sides[i] = 1
		}
		logs[sides[i]] = append(logs[sides[i]], d.logs[i])
	}
	var values [2][]float64
	for _, p := range d.places {
		s := sides[p.part]
		values[s] = append(values[s], p.value)
	}
	if !beyond(values[0], values[1], 1+floor) { // no bound is less
		return false
	}
	r := Row{}
	if d.row.known { // dealing does not change it
		r.bound(d.row.Noise, d.row.Noise/knownErrors, floor)
	} else {
		noise, cv := noiseOf(logs[0], logs[1], d.usual)
		r.bound(noise, cv, floor)
	}
	return r.Class != erratic && beyond(values[0], values[1], 1+r.Bound)
}

// beyond says whether more than half of the quotients next/old are above ratio;
// both are sorted.
func beyond(old, next []float64, ratio float64) bool {
	above, j := 0, 0
	for _, v := range next {
		for j < len(old) && v > old[j]*ratio {
			j++
		}
		above += j
	}
	return 2*above > len(old)*len(next)
}
