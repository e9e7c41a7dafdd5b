package stats

import (
	"math"

	moremath "github.com/aclements/go-moremath/stats"
)

// Violin is the density of a distribution over the logarithm of its values.
type Violin struct {
	// At are the values, from the least to the greatest sample, evenly spaced
	// on a log scale; Density is how much of the distribution lies there, for
	// each factor of e. Both are empty when a density cannot be known: fewer
	// than leastDensity samples, or half of them alike.
	At, Density []float64

	// Bandwidth is the standard deviation of the Gaussian kernel, in
	// logarithms: 0.05 blurs each sample by 5 %.
	Bandwidth float64

	N int // finite values above zero
}

// leastDensity is the fewest samples that have a shape.
const leastDensity = 8

// Density estimates the density of values at so many places, with a Gaussian
// kernel over their logarithms. The bandwidth is that of Scott's rule, 1.06 *
// min(standard deviation, IQR/1.349) * N^(-1/5): the quartiles keep a long
// tail from blurring the rest (D. W. Scott, Multivariate Density Estimation,
// 1992). Nothing is drawn beyond the samples.
func Density(values []float64, places int) Violin {
	xs := finite(logs(values))
	v := Violin{N: len(xs)}
	if v.N < leastDensity || places < 2 {
		return v
	}
	data := moremath.Sample{Xs: xs, Sorted: true}
	v.Bandwidth = moremath.BandwidthScott(data)
	first, last := xs[0], xs[len(xs)-1]
	if !(v.Bandwidth > 0) || first == last {
		v.Bandwidth = 0
		return v
	}
	kde := moremath.KDE{Sample: data, Kernel: moremath.GaussianKernel, Bandwidth: v.Bandwidth}
	for i := range places {
		x := first + (last-first)*float64(i)/float64(places-1)
		v.At = append(v.At, math.Exp(x))
		v.Density = append(v.Density, kde.PDF(x))
	}
	return v
}
