package harness

import "time"

// cost is about how long a sample takes with all that surrounds it.
func (c *Case) cost() time.Duration {
	const drain = 45 * time.Millisecond
	cost, run := c.Cost, time.Duration(c.run())
	if c.Paced {
		cost += Gap
	}
	if c.Drops {
		cost += drain / run
	}
	if c.Ballast || c.Drops && !c.Paced {
		cost += Settle / run
	}
	return cost
}

// Estimate is about how long the cases take.
func Estimate(cases []Case) time.Duration {
	var sum time.Duration
	for i := range cases {
		sum += time.Duration(cases[i].Samples) * cases[i].cost()
	}
	return sum
}
