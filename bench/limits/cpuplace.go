package limits

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"isoperf/runtime/cgroup"
)

// place is where a group is, for the CPU controllers.
type place struct {
	cpu, cpuacct string
	v2           bool
}

func placeOf(g *cgroup.Group) place {
	cpu, v2 := g.Dir("cpu"), g.Dir("v2")
	if cpu == "" || cpu == v2 {
		return place{v2, v2, true}
	}
	return place{cpu, g.Dir("cpuacct"), false}
}

// cpuMax is the limit that is in force in a group, as cpu.max has it.
func (p place) cpuMax() (string, error) {
	if p.v2 {
		return readLine(p.cpu + "/cpu.max")
	}
	quota, err := readLine(p.cpu + "/cpu.cfs_quota_us")
	if err != nil {
		return "", err
	}
	period, err := readLine(p.cpu + "/cpu.cfs_period_us")
	if quota == "-1" {
		quota = "max"
	}
	return quota + " " + period, err
}

// above is the tightest limit of the groups that this one is in, CPU time per
// time, and which has it; 0: none has one. Those that a container cannot see may.
func (p place) above() (share float64, dir string, err error) {
	for d := filepath.Dir(p.cpu); ; d = filepath.Dir(d) {
		text, err := place{cpu: d, v2: p.v2}.cpuMax()
		if errors.Is(err, errVanished) {
			return share, dir, nil // version 2's root has no such file, and nothing above a hierarchy
		}
		if err != nil {
			return share, dir, err
		}
		if c := shareOf(text); c > 0 && (share == 0 || c < share) {
			share, dir = c, d
		}
	}
}

// shareOf is what a limit allows, CPU time per time; 0: it is none.
func shareOf(limit string) float64 {
	quota, period, _ := strings.Cut(limit, " ")
	q, err := strconv.ParseFloat(quota, 64)
	p, perr := strconv.ParseFloat(period, 64)
	if err != nil || perr != nil || p <= 0 || q <= 0 {
		return 0
	}
	return q / p
}
