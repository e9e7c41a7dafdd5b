package limits

import "time"

// settled is how a group came to a limit after something had changed.
type settled struct {
	took    time.Duration // from the change to the end of a period after which all was as it should be
	periods int64         // that ended until then
	first   float64       // the use of the first whole period after the change, relative to the quota
	later   float64       // the mean use of the last two thirds of the periods, relative to the quota
	seen    int64         // periods that were seen to end after the change
}

// inARow is for how many periods the use has to be near the quota.
const inARow = 5

// nearby is how near it has to be: 10 %, or what a tick and minRuntime are on
// each CPU, where that is more.
func (b bandwidth) nearby() float64 {
	return max(0.10, b.width()*float64(b.tick+minRuntime)/float64(b.quota))
}

// convergence finds when the use per period came near the quota and stayed, after a
// change at an instant. The period within which the change was made counts as
// one. ok is false when it did not within the readings.
func convergence(list []reading, at int64, b bandwidth) (s settled, ok bool) {
	var after []edge
	for _, e := range edges(list, b) {
		if e.ended > at {
			after = append(after, e)
		}
	}
	if len(after) == 0 {
		return s, false
	}
	s.seen = after[len(after)-1].after.periods - after[0].periods
	third, last := after[len(after)/3], after[len(after)-1]
	if n := last.periods - third.periods; n > 0 {
		s.later = float64(last.usage-third.usage) / (float64(n) * float64(b.quota))
	}
	row := 0 // periods before after[i] that were near
	for i := 1; i < len(after); i++ {
		use := float64(after[i].usage-after[i-1].usage) / float64(b.quota)
		if i == 1 {
			s.first = use
		}
		whole := after[i].periods-after[i-1].periods == 1
		if row++; !whole || use < 1-b.nearby() || use > 1+b.nearby() {
			row = 0
		}
		if row == inARow {
			begin := after[i-inARow]
			s.took = time.Duration(max(0, begin.ended-at))
			s.periods = begin.after.periods - after[0].periods
			return s, true
		}
	}
	return s, false
}
