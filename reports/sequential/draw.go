package sequential

import (
	"math/rand/v2"

	"isoperf/reports/stats"
)

// The draws ask how often these very rounds would raise a false alarm. The change
// is taken out (of each figure, the estimate of all), each figure is given a sign
// by a coin, as the order of its round was, and the rules are applied from the
// first look to the fresh rounds:
//
//	A/A, A/B and fresh rounds ──less their change, signs by a coin──► A/A ─► looks ─► fresh ─► slower?
//
// How noisy a round is hangs together with the next one's, so figures are dealt in
// the order in which they came, from any of them on, and from the first again after
// the last. A comparison that was decided early has fewer than a draw may need, and
// then they come again.

// mostDealt bounds the rounds of a draw; looks are at shares of them, so that more
// of them make no other rules.
const mostDealt = 1000

// deck is what is dealt of a case.
type deck struct {
	name         string
	same, rounds []float64 // the A/A; the others
}

// Alarms says how many of so many draws call a case slower. made is 0 when there
// are too few rounds for any verdict.
func (j *Judge) Alarms(draws int) (alarms, made int) {
	var decks []deck
	for _, h := range j.cases {
		d := deck{h.name, centred(h.same), append(centred(h.ab), centred(h.anew)...)}
		if len(d.same) >= leastBand && len(d.rounds) > 0 {
			decks = append(decks, d)
		}
	}
	if len(decks) == 0 {
		return 0, 0
	}
	coin := rand.New(rand.NewPCG(1, 2)) // the same rounds have the same answer
	known := map[int]float64{}
	for range draws {
		if j.draw(decks, known, coin) {
			alarms++
		}
	}
	return alarms, draws
}

// centred are figures without what they have in common.
func centred(figures []float64) []float64 {
	middle := stats.Paired(figures, 0).Delta
	list := make([]float64, 0, len(figures))
	for _, f := range figures {
		list = append(list, f-middle)
	}
	return list
}

// draw is one comparison of dealt rounds, and whether it is a false alarm.
func (j *Judge) draw(decks []deck, known map[int]float64, coin *rand.Rand) bool {
	k := New(j.floor, nil)
	k.Plan(min(j.ab.planned, mostDealt))
	k.ab.known = known
	next := map[*history]func() float64{}
	for _, d := range decks {
		h := k.of(d.name)
		same := dealer(d.same, coin)
		for range min(len(d.same), mostDealt) {
			h.same = append(h.same, same())
		}
		next[h] = dealer(d.rounds, coin)
	}
	for i, at := range k.ab.lookAt {
		for _, h := range k.cases {
			for !h.decided && len(h.ab) < at {
				h.ab = append(h.ab, next[h]())
			}
		}
		if len(k.Look(at, i == len(k.ab.lookAt)-1)) == 0 {
			break
		}
	}
	if len(k.Confirm(min(j.new.planned, mostDealt))) == 0 {
		return false
	}
	for i, at := range k.new.lookAt {
		for _, h := range k.cases {
			for len(h.anew) < at {
				h.anew = append(h.anew, next[h]())
			}
		}
		if len(k.Again(at, i == len(k.new.lookAt)-1)) == 0 {
			break
		}
	}
	for _, f := range k.Findings() {
		if f.Verdict == Slower {
			return true
		}
	}
	return false
}

// dealer deals figures, from any of them on, each with a sign by the coin.
func dealer(figures []float64, coin *rand.Rand) func() float64 {
	at := coin.IntN(len(figures))
	return func() float64 {
		f := figures[at]
		at = (at + 1) % len(figures)
		if coin.IntN(2) == 1 {
			return -f
		}
		return f
	}
}
