package sequential

import "math"

// spending is how much of alpha has been spent when a share t of the rounds is
// there, 0 to 1.
type spending func(t, alpha float64) float64

// linear spends alpha evenly: the power family of Kim and DeMets with exponent 1
// (K. Kim and D. L. DeMets, Design and analysis of group sequential tests based
// on the type I error spending rate function, Biometrika 74, 1987). It stops
// sooner than O'Brien and Fleming's rule, at the price of a last bound that is a
// little higher.
func linear(t, alpha float64) float64 { return alpha * min(1, t) }

// bounds are the standard errors by which an estimate must be off at each look,
// for a probability of alpha in all that one is when nothing differs; times are
// the shares of the information at the looks, ascending, the last at most 1.
// Estimates at later looks hold the earlier ones, so a look is a step of a Brownian
// motion: its density within the earlier bounds is carried on by numerical
// integration (P. Armitage, C. K. McPherson, B. C. Rowe, Repeated significance
// tests on accumulating data, 1969; K. K. G. Lan and D. L. DeMets, Discrete
// sequential boundaries for clinical trials, Biometrika 70, 1983).
func bounds(times []float64, alpha float64, spend spending) []float64 {
	var list []float64
	inside := density{{at: 0, mass: 1}}
	spent, last := 0.0, 0.0
	for _, t := range times {
		step := math.Sqrt(t - last)
		total := spend(t, alpha)
		b := inside.bound(step, total-spent)
		list = append(list, b/math.Sqrt(t))
		inside = inside.on(step, b)
		spent, last = total, t
	}
	return list
}

// density is a distribution as masses at points.
type density []struct{ at, mass float64 }

// points of a density; with so many the bounds are right to 3 digits.
const points = 61

// beyond is the probability that the next step ends further out than b, either way.
func (d density) beyond(step, b float64) float64 {
	sum := 0.0
	for _, p := range d {
		sum += p.mass * (tail((b-p.at)/step) + tail((b+p.at)/step))
	}
	return sum
}

// bound is that which the next step passes with a probability.
func (d density) bound(step, probability float64) float64 {
	lo, hi := 0.0, 40.0
	for range 36 {
		if mid := (lo + hi) / 2; d.beyond(step, mid) > probability {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// on is the density after the next step, of what is still within b (Simpson's
// rule).
func (d density) on(step, b float64) density {
	// What lies so far out has no mass.
	reach := 0.0
	for _, p := range d {
		reach = max(reach, math.Abs(p.at))
	}
	b = min(b, reach+8*step)
	next := make(density, points)
	h := 2 * b / (points - 1)
	for i := range next {
		x := -b + float64(i)*h
		sum := 0.0
		for _, p := range d {
			z := (x - p.at) / step
			sum += p.mass * math.Exp(-z*z/2)
		}
		weight := 2.0
		switch {
		case i == 0 || i == points-1:
			weight = 1
		case i%2 == 1:
			weight = 4
		}
		next[i].at, next[i].mass = x, sum/step/math.Sqrt(2*math.Pi)*weight*h/3
	}
	return next
}

// tail is the probability that a standard normal value is above z.
func tail(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }

// quantile is the z that a standard normal value is above with a probability.
func quantile(probability float64) float64 { return -math.Sqrt2 * math.Erfinv(2*probability-1) }
