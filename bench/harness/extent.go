package harness

// Extent is how much a family measures.
type Extent struct {
	Burst    int  // samples of a burst case
	Paced    int  // samples of a paced case; 0: none
	Teardown int  // samples of a teardown case
	Wide     bool // every mode and pacing, not just those of the first answer
}

// Quick is the extent of a first look, about half a minute in all for the
// namespaces.
func Quick() Extent { return Extent{Burst: 60, Paced: 20, Teardown: 10} }

// Full is the extent of a report.
func Full() Extent { return Extent{Burst: 200, Paced: 60, Teardown: 40, Wide: true} }

// Wanted is the number of samples of a case.
func (e Extent) Wanted(paced bool) int {
	if paced {
		return e.Paced
	}
	return e.Burst
}

// CrowdRuns is how many runs there are at least of several that do the same at
// once: each has one wall time, of which six make an interval.
const CrowdRuns = 8
