package cgroup

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Bounds of CFS bandwidth control, microseconds (kernel/sched/core.c,
// tg_set_cfs_bandwidth).
const (
	minQuota  = 1000
	minPeriod = 1000
	maxPeriod = 1000000
	maxQuota  = (1<<44 - 1) / 1000

	defaultPeriod = 100000
)

var cpu = controller{
	name: "cpu", v2: "cpu",
	asked: func(r *specs.LinuxResources) bool {
		c := r.CPU
		return c != nil && (given(c.Shares) || given(c.Quota) || given(c.Period) || c.Burst != nil ||
			given(c.RealtimePeriod) || given(c.RealtimeRuntime) || c.Idle != nil)
	},
	plan1: cpuV1, plan2: cpuV2, key1: cpuKey, read1: cpuStatV1, read2: cpuStatV2,
}

// given says whether a number is set; of these, OCI's 0 means unset.
func given[T int64 | uint64](p *T) bool { return p != nil && *p != 0 }

// checkBandwidth refuses what the kernel would refuse with EINVAL.
func checkBandwidth(c *specs.LinuxCPU) error {
	if given(c.Period) && (*c.Period < minPeriod || *c.Period > maxPeriod) {
		return refuse("cpu.period", "%d µs is outside of what the kernel takes, %d to %d", *c.Period, minPeriod, maxPeriod)
	}
	if given(c.Quota) && *c.Quota != -1 && (*c.Quota < minQuota || *c.Quota > maxQuota) {
		return refuse("cpu.quota", "%d µs is outside of what the kernel takes, %d to %d, or -1 for no limit", *c.Quota, minQuota, int64(maxQuota))
	}
	if c.Idle != nil && *c.Idle != 0 && *c.Idle != 1 {
		return refuse("cpu.idle", "%d is neither 0 nor 1", *c.Idle)
	}
	return nil
}

func cpuV1(r *specs.LinuxResources, w *writes) error {
	c := r.CPU
	if err := checkBandwidth(c); err != nil {
		return err
	}
	if given(c.Shares) {
		w.add("cpu.shares", "cpu.shares", strconv.FormatUint(*c.Shares, 10))
	}
	// A period that is shorter than the old quota's share allows is refused,
	// but a new group has no quota.
	if given(c.Period) {
		w.add("cpu.period", "cpu.cfs_period_us", strconv.FormatUint(*c.Period, 10))
	}
	if given(c.Quota) {
		w.add("cpu.quota", "cpu.cfs_quota_us", strconv.FormatInt(*c.Quota, 10))
	}
	if c.Burst != nil {
		w.add("cpu.burst", "cpu.cfs_burst_us", strconv.FormatUint(*c.Burst, 10))
	}
	if given(c.RealtimePeriod) {
		w.add("cpu.realtimePeriod", "cpu.rt_period_us", strconv.FormatUint(*c.RealtimePeriod, 10))
	}
	if given(c.RealtimeRuntime) {
		w.add("cpu.realtimeRuntime", "cpu.rt_runtime_us", strconv.FormatInt(*c.RealtimeRuntime, 10))
	}
	if c.Idle != nil {
		w.add("cpu.idle", "cpu.idle", strconv.FormatInt(*c.Idle, 10))
	}
	return nil
}

func cpuV2(r *specs.LinuxResources, w *writes) error {
	c := r.CPU
	if err := checkBandwidth(c); err != nil {
		return err
	}
	if given(c.RealtimePeriod) {
		return refuse("cpu.realtimePeriod", notInV2)
	}
	if given(c.RealtimeRuntime) {
		return refuse("cpu.realtimeRuntime", notInV2)
	}
	if given(c.Shares) {
		w.add("cpu.shares", "cpu.weight", strconv.FormatUint(sharesToWeight(*c.Shares), 10))
	}
	switch {
	case given(c.Quota) && *c.Quota > 0 && given(c.Period):
		w.add("cpu.quota", "cpu.max", fmt.Sprintf("%d %d", *c.Quota, *c.Period))
	case given(c.Quota) && *c.Quota > 0: // the period stays
		w.add("cpu.quota", "cpu.max", strconv.FormatInt(*c.Quota, 10))
	case given(c.Period):
		w.add("cpu.period", "cpu.max", fmt.Sprintf("max %d", *c.Period))
	case given(c.Quota):
		w.add("cpu.quota", "cpu.max", "max")
	}
	if c.Burst != nil {
		w.add("cpu.burst", "cpu.max.burst", strconv.FormatUint(*c.Burst, 10))
	}
	if c.Idle != nil {
		w.add("cpu.idle", "cpu.idle", strconv.FormatInt(*c.Idle, 10))
	}
	return nil
}

// sharesToWeight converts version 1's cpu.shares (2 to 262144, by default 1024)
// to version 2's cpu.weight (1 to 10000, by default 100), so that both ends and
// the default meet: the quadratic of the logarithm that the OCI runtimes agreed
// on in 2025 (opencontainers/cgroups pull request 20).
func sharesToWeight(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// weightToShares converts back what a cpu.weight means to the scheduler, which
// counts a weight of 100 as 1024 shares (sched_weight_from_cgroup).
func weightToShares(weight uint64) uint64 { return max(2, (weight*1024+50)/100) }

// cpuKey translates cpu.max, cpu.max.burst, cpu.weight and cpu.idle.
func cpuKey(key, value string, w *writes) error {
	switch key {
	case "cpu.max":
		quota, period, err := parseMax(value)
		if err != nil {
			return err
		}
		if period != 0 {
			w.add(key, "cpu.cfs_period_us", strconv.FormatUint(period, 10))
		}
		w.add(key, "cpu.cfs_quota_us", strconv.FormatInt(quota, 10))
	case "cpu.max.burst":
		w.add(key, "cpu.cfs_burst_us", strings.TrimSpace(value))
	case "cpu.weight":
		weight, err := ParseWeight(strings.TrimSpace(value))
		if err != nil {
			return err
		}
		w.add(key, "cpu.shares", strconv.FormatUint(weightToShares(weight), 10))
	case "cpu.idle":
		w.add(key, "cpu.idle", strings.TrimSpace(value))
	}
	return nil
}

func cpuStatV1(dir int, s *Stats) error {
	c := s.cpu()
	return counters(dir, "cpu.stat", map[string]*uint64{"nr_periods": &c.Periods, "nr_throttled": &c.Throttled, "throttled_time": &c.ThrottledNS})
}

// cpuStatV2 reads cpu.stat, whose usage is there without the controller, and
// counts in microseconds.
func cpuStatV2(dir int, s *Stats) error {
	c := s.cpu()
	err := counters(dir, "cpu.stat", map[string]*uint64{
		"usage_usec": &c.UsageNS, "user_usec": &c.UserNS, "system_usec": &c.SystemNS,
		"nr_periods": &c.Periods, "nr_throttled": &c.Throttled, "throttled_usec": &c.ThrottledNS,
	})
	for _, micro := range []*uint64{&c.UsageNS, &c.UserNS, &c.SystemNS, &c.ThrottledNS} {
		*micro *= 1000
	}
	return err
}

// cpuacct counts; it limits nothing. In version 2 it is a part of cpu.stat.
var cpuacct = controller{
	name: "cpuacct", v2: "",
	asked: never, read1: cpuacctStat, read2: func(int, *Stats) error { return nil },
}

func never(*specs.LinuxResources) bool { return false }

func cpuacctStat(dir int, s *Stats) error {
	c := s.cpu()
	for _, f := range [...]struct {
		file string
		to   *uint64
	}{{"cpuacct.usage", &c.UsageNS}, {"cpuacct.usage_user", &c.UserNS}, {"cpuacct.usage_sys", &c.SystemNS}} {
		n, err := number(dir, f.file)
		if err != nil {
			return fmt.Errorf("read %s: %w", f.file, err)
		}
		*f.to = uint64(n)
	}
	return nil
}
