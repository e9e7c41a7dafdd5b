package sequential

import "slices"

// schedule is when one looks.
type schedule struct {
	planned int   // rounds
	lookAt  []int // ascending; the last one is the plan
	looked  []int // after how many rounds one did
	// known are bounds by rounds, where several schedules are the same; nil: none is.
	known map[int]float64
}

// add adds a look.
func (s *schedule) add(rounds int) {
	if n := len(s.lookAt); rounds > 0 && (n == 0 || s.lookAt[n-1] < rounds) {
		s.lookAt = append(s.lookAt, rounds)
	}
}

// due says whether it is time to look: a look was planned, or there will be no
// more rounds.
func (s *schedule) due(rounds int, last bool) bool {
	if n := len(s.looked); n > 0 && s.looked[n-1] >= rounds {
		return false
	}
	return rounds > 0 && (last || len(s.looked) < len(s.lookAt) && rounds >= s.lookAt[len(s.looked)])
}

// bound is the number of standard errors of a look that is due. The last one
// spends what is left of alpha, however many rounds there are.
func (s *schedule) bound(rounds int, last bool, alpha float64) float64 {
	all := float64(s.planned)
	if last || rounds >= s.planned {
		all = float64(rounds)
	}
	s.looked = append(s.looked, rounds)
	if b, ok := s.known[rounds]; ok {
		return b
	}
	var times []float64
	for _, at := range s.looked {
		times = append(times, min(1, float64(at)/all))
	}
	list := bounds(slices.Compact(times), alpha, linear)
	if s.known != nil {
		s.known[rounds] = list[len(list)-1]
	}
	return list[len(list)-1]
}
