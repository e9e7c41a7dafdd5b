package limits

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// share is a group in a tree of weights. The root has no weight of its own.
type share struct {
	name     string // "1", "2", "2.1", …
	weight   uint64 // as cpu.weight has it
	children []*share
	threads  int // of a leaf's load
	entitled float64
}

// Bounds of cpu.weight (kernel/cgroup: CGROUP_WEIGHT_MIN, CGROUP_WEIGHT_MAX).
const (
	leastWeight = 1
	mostWeight  = 10000
)

// parseWeights reads "100:200(50:150)": a group of weight 100 beside one of 200,
// which has two children.
func parseWeights(text string) (*share, error) {
	root := &share{}
	rest, err := root.parse(text)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q is not expected", rest)
	}
	if err == nil && len(root.leaves()) < 2 {
		err = errors.New("there must be two groups at least")
	}
	if err != nil {
		return nil, fmt.Errorf("weights %q: %w; write them as 100:200, and children as 100:200(50:150)", text, err)
	}
	return root, nil
}

// parse reads children up to the end, or to a parenthesis that closes them.
func (s *share) parse(text string) (rest string, err error) {
	for {
		n := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
		if n < 0 {
			n = len(text)
		}
		w, err := strconv.ParseUint(text[:n], 10, 64)
		if err != nil || w < leastWeight || w > mostWeight {
			return "", fmt.Errorf("%q is no weight of %d to %d", text[:n], leastWeight, mostWeight)
		}
		child := &share{weight: w, name: strings.TrimPrefix(fmt.Sprintf("%s.%d", s.name, len(s.children)+1), ".")}
		s.children, text = append(s.children, child), text[n:]
		if strings.HasPrefix(text, "(") {
			if text, err = child.parse(text[1:]); err != nil {
				return "", err
			}
			if !strings.HasPrefix(text, ")") {
				return "", errors.New("a parenthesis is not closed")
			}
			text = text[1:]
		}
		if !strings.HasPrefix(text, ":") {
			return text, nil
		}
		text = text[1:]
	}
}

// leaves are the groups that have loads.
func (s *share) leaves() []*share {
	if len(s.children) == 0 {
		return []*share{s}
	}
	var all []*share
	for _, c := range s.children {
		all = append(all, c.leaves()...)
	}
	return all
}

// all are the groups below the root, from the top down.
func (s *share) all() []*share {
	var list []*share
	for _, c := range s.children {
		list = append(append(list, c), c.all()...)
	}
	return list
}

// scheduler is the weight by which the kernel shares: 1024 for a cpu.weight of
// 100, rounded (sched_weight_from_cgroup, kernel/sched/sched.h). Of version 1 it
// is cpu.shares, so both versions can be asked for exactly the same.
func (s *share) scheduler() uint64 { return max(2, (s.weight*1024+50)/100) }

// wants is how many CPUs the loads below can use.
func (s *share) wants(cpus float64) float64 {
	if len(s.children) == 0 {
		return min(cpus, float64(s.threads))
	}
	sum := 0.0
	for _, c := range s.children {
		sum += c.wants(cpus)
	}
	return min(cpus, sum)
}

// entitle hands CPUs down: to each group by its weight, but no more than it
// wants; what it leaves goes to its siblings.
func (s *share) entitle(cpus float64) {
	s.entitled = cpus
	open, left := slices.Clone(s.children), cpus
	for len(open) > 0 {
		weights := 0.0
		for _, c := range open {
			weights += float64(c.scheduler())
		}
		content := slices.IndexFunc(open, func(c *share) bool {
			return c.wants(cpus) <= left*float64(c.scheduler())/weights
		})
		if content < 0 {
			for _, c := range open {
				c.entitle(left * float64(c.scheduler()) / weights)
			}
			return
		}
		c := open[content]
		c.entitle(c.wants(cpus))
		left -= c.entitled
		open = slices.Delete(open, content, content+1)
	}
}

// division is what became of the CPUs: who got how much, in CPUs.
type division struct {
	got, entitled []float64
}

// sum adds up.
func sum(list []float64) float64 {
	total := 0.0
	for _, v := range list {
		total += v
	}
	return total
}

// points is by how much the share of each of all that was got differs from the
// share that it was entitled to, 0.01 for a percentage point.
func (d division) points() []float64 {
	got, entitled := sum(d.got), sum(d.entitled)
	list := make([]float64, len(d.got))
	for i := range list {
		if got > 0 && entitled > 0 {
			list[i] = d.got[i]/got - d.entitled[i]/entitled
		}
	}
	return list
}

// relative is by how much each differs from what it was entitled to, of those
// that were entitled to something.
func (d division) relative() []float64 {
	var list []float64
	for i, e := range d.entitled {
		if e > 0 {
			list = append(list, d.got[i]/e-1)
		}
	}
	return list
}

// fairness is Jain's index of what each got for what it was entitled to: 1 when
// all fared alike, 1/n when one of n took all.
func (d division) fairness() float64 {
	var first, second, n float64
	for i, e := range d.entitled {
		if e > 0 {
			x := d.got[i] / e
			first, second, n = first+x, second+x*x, n+1
		}
	}
	if second == 0 {
		return 0
	}
	return first * first / (n * second)
}

// worst is the value that is farthest from 0.
func worst(list []float64) float64 {
	most := 0.0
	for _, v := range list {
		if math.Abs(v) > math.Abs(most) {
			most = v
		}
	}
	return most
}
