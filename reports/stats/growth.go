package stats

import "math"

// Fit is how y grows with x: y = Constant + Coeff*x by least squares.
type Fit struct {
	// Exponent is the order of growth above the first point: the slope of
	// log(y - y0) over log(x - x0), where (x0, y0) is the point with the
	// smallest x. 1 is linear, near 2 quadratic, near 0 a step. Taking the
	// first point away removes the fixed cost, which would otherwise hide
	// the order. NaN when there are fewer than two points above the first
	// one, or when any y is not above y0: then nothing grows beyond noise.
	Exponent float64

	Coeff    float64 // y per unit of x
	Constant float64 // y at x = 0, extrapolated

	// R2 is the share of y's variation that the line explains, 0 to 1; NaN
	// when y does not vary.
	R2 float64

	N int // points with finite x and y
}

// Growth fits a line through the points (x[i], y[i]), one median for each
// step of a sweep. x and y are of one length; what is longer is not read.
// With fewer than two different x all figures are NaN. A line through two
// points always has R2 1, so do not speak of a law below four points.
func Growth(x, y []float64) Fit {
	xs, ys := points(x, y)
	nan := math.NaN()
	fit := Fit{Exponent: nan, Coeff: nan, Constant: nan, R2: nan, N: len(xs)}
	slope, constant, r2, ok := line(xs, ys)
	if !ok {
		return fit
	}
	fit.Coeff, fit.Constant, fit.R2 = slope, constant, r2
	fit.Exponent = order(xs, ys)
	return fit
}

// points keeps the pairs that are finite.
func points(x, y []float64) (xs, ys []float64) {
	for i := range min(len(x), len(y)) {
		if d := x[i] - x[i] + y[i] - y[i]; d == 0 { // NaN for NaN and infinities
			xs, ys = append(xs, x[i]), append(ys, y[i])
		}
	}
	return xs, ys
}

// order is Fit.Exponent.
func order(xs, ys []float64) float64 {
	first := 0
	for i := range xs {
		if xs[i] < xs[first] {
			first = i
		}
	}
	var lx, ly []float64
	for i := range xs {
		if xs[i] == xs[first] {
			continue
		}
		if ys[i] <= ys[first] {
			return math.NaN()
		}
		lx = append(lx, math.Log(xs[i]-xs[first]))
		ly = append(ly, math.Log(ys[i]-ys[first]))
	}
	slope, _, _, ok := line(lx, ly)
	if !ok {
		return math.NaN()
	}
	return slope
}

// line is the least-squares line; ok is false when the xs do not differ.
func line(xs, ys []float64) (slope, constant, r2 float64, ok bool) {
	n := float64(len(xs))
	var mx, my float64
	for i := range xs {
		mx += xs[i] / n
		my += ys[i] / n
	}
	var sxx, sxy, syy float64
	for i := range xs {
		dx, dy := xs[i]-mx, ys[i]-my
		sxx += dx * dx
		sxy += dx * dy
		syy += dy * dy
	}
	if len(xs) < 2 || sxx == 0 {
		return 0, 0, 0, false
	}
	slope = sxy / sxx
	return slope, my - slope*mx, sxy * sxy / (sxx * syy), true
}
