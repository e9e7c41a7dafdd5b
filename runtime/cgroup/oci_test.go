package cgroup

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestOCI: each field, in both versions: what is written, or the error.
func TestOCI(t *testing.T) {
	v1, _ := fakeHybrid(t)
	v2, _ := fakeV2(t, "/")
	for _, c := range []struct {
		r      specs.LinuxResources
		v1, v2 string
	}{
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(1024))}}, "cpu.shares=1024", "cpu.weight=100"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(0)), Quota: ptr(int64(0))}}, "", ""},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(50000))}}, "cpu.cfs_quota_us=50000", "cpu.max=50000"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(-1))}}, "cpu.cfs_quota_us=-1", "cpu.max=max"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Period: ptr(uint64(50000))}}, "cpu.cfs_period_us=50000", "cpu.max=max 50000"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Burst: ptr(uint64(1000)), Idle: ptr(int64(1))}}, "cpu.cfs_burst_us=1000 cpu.idle=1", "cpu.max.burst=1000 cpu.idle=1"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{RealtimePeriod: ptr(uint64(5)), RealtimeRuntime: ptr(int64(4))}}, "cpu.rt_period_us=5 cpu.rt_runtime_us=4", "! cpu.realtimePeriod: control groups version 2 have no such setting"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{RealtimeRuntime: ptr(int64(4))}}, "cpu.rt_runtime_us=4", "! cpu.realtimeRuntime"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(999))}}, "! cpu.quota: 999 µs is outside", "! cpu.quota"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(-2))}}, "! cpu.quota", "! cpu.quota"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Period: ptr(uint64(1000001))}}, "! cpu.period", "! cpu.period: 1000001 µs"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(2))}}, "! cpu.idle", "! cpu.idle"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "3,1,2", Mems: "0"}}, "cpuset.cpus=1-3 cpuset.mems=0", "cpuset.cpus=1-3 cpuset.mems=0"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Mems: "x"}}, "! cpu.mems", "! cpu.mems"},

		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(8192)), Reservation: ptr(int64(4096)), Swap: ptr(int64(12288))}},
			"memory.soft_limit_in_bytes=4096 memory.limit_in_bytes=8192 memory.memsw.limit_in_bytes=12288", "memory.low=4096 memory.max=8192 memory.swap.max=4096"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(8192)), Swap: ptr(int64(8192))}}, "memory.limit_in_bytes=8192 memory.memsw.limit_in_bytes=8192", "memory.max=8192 memory.swap.max=0"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(8192)), Swap: ptr(int64(-1))}}, "memory.limit_in_bytes=8192 memory.memsw.limit_in_bytes=-1", "memory.max=8192 memory.swap.max=max"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(-1))}}, "memory.limit_in_bytes=-1 memory.memsw.limit_in_bytes=-1", "memory.max=max memory.swap.max=max"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(-1)), Swap: ptr(int64(4096))}}, "memory.limit_in_bytes=-1 memory.memsw.limit_in_bytes=4096", "memory.max=max memory.swap.max=4096"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Reservation: ptr(int64(-1))}}, "memory.soft_limit_in_bytes=-1", "memory.low=0"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(0))}}, "! memory.limit: with 0 bytes", "! memory.limit"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(-2))}}, "! memory.limit: -2 is no size", "! memory.limit"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: ptr(int64(1))}}, "! memory.swap: it is the sum", "! memory.swap"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: ptr(int64(1)), Limit: ptr(int64(2))}}, "! memory.swap: 1 is the sum", "! memory.swap"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Kernel: ptr(int64(-1))}}, "", ""}, //nolint:staticcheck // deprecated
		{specs.LinuxResources{Memory: &specs.LinuxMemory{KernelTCP: ptr(int64(5))}}, "memory.kmem.tcp.limit_in_bytes=5", "! memory.kernelTCP"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: ptr(uint64(60))}}, "memory.swappiness=60", "! memory.swappiness"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: ptr(uint64(101))}}, "! memory.swappiness", "! memory.swappiness"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{DisableOOMKiller: ptr(true)}}, "memory.oom_control=1", "! memory.disableOOMKiller"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{DisableOOMKiller: ptr(false), UseHierarchy: ptr(true)}}, "", ""},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{UseHierarchy: ptr(false)}}, "! memory.useHierarchy", "! memory.useHierarchy"},

		{specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(-1))}}, "pids.max=max", "pids.max=max"},
		{specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(1))}}, "pids.max=1", "pids.max=1"},
		{specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(0))}}, "! pids.limit: 0 is outside", "! pids.limit"},
		{specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(1e9))}}, "! pids.limit", "! pids.limit"},

		{specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(500))}}, "blkio.weight|blkio.bfq.weight=500", "io.bfq.weight|io.weight=500|4950"},
		{specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(5))}}, "! blockIO.weight", "! blockIO.weight"},
		{specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{LeafWeight: ptr(uint16(50))}}, "! blockIO.leafWeight", "! blockIO.leafWeight"},
		{specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8}, Weight: ptr(uint16(10))}}}},
			"blkio.weight_device|blkio.bfq.weight_device=8:0 10", "io.bfq.weight|io.weight=8:0 10|8:0 1"},
		{specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: throttle(5), ThrottleWriteIOPSDevice: throttle(0)}},
			"blkio.throttle.read_bps_device=8:16 5 blkio.throttle.write_iops_device=8:16 0", "io.max=8:16 rbps=5 io.max=8:16 wiops=max"},

		{specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}},
			"hugetlb.2MB.limit_in_bytes=4194304 hugetlb.2MB.rsvd.limit_in_bytes|hugetlb.2MB.limit_in_bytes=4194304", "hugetlb.2MB.max=4194304 hugetlb.2MB.rsvd.max|hugetlb.2MB.max=4194304"},
		{specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "../x", Limit: 1}}}, "! hugepageLimits[0].pageSize", "! hugepageLimits[0].pageSize"},
		{specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx5": {HcaHandles: ptr(uint32(3)), HcaObjects: ptr(uint32(4))}}}, "rdma.max=mlx5 hca_handle=3 hca_object=4", "rdma.max=mlx5 hca_handle=3 hca_object=4"},
		{specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx5": {}}}, `! rdma["mlx5"]`, `! rdma["mlx5"]`},
		{specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(7))}}, "net_cls.classid=7", "! network.classID"},
		{specs.LinuxResources{Network: &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 5}}}}, "net_prio.ifpriomap=lo 5", "! network.priorities"},

		{*unified("cpu.max", "20000 100000"), "cpu.cfs_period_us=100000 cpu.cfs_quota_us=20000", "cpu.max=20000 100000"},
		{*unified("cpu.max", "max"), "cpu.cfs_quota_us=-1", "cpu.max=max"},
		{*unified("cpu.max", "0"), `! unified["cpu.max"]: quota "0"`, "cpu.max=0"},
		{*unified("cpu.weight", "100"), "cpu.shares=1024", "cpu.weight=100"},
		{*unified("cpu.weight", "0"), `! unified["cpu.weight"]: parse weight`, "cpu.weight=0"},
		{*unified("cpu.uclamp.max", "5"), `! unified["cpu.uclamp.max"]: cpu is a version 1 controller on this machine, which has no equal of it`, "cpu.uclamp.max=5"},
		{*unified("memory.max", "8192"), "memory.limit_in_bytes=8192", "memory.max=8192"},
		{*unified("memory.max", "max"), "memory.limit_in_bytes=-1", "memory.max=max"},
		{*unified("memory.high", "8192"), `! unified["memory.high"]: memory is a version 1`, "memory.high=8192"},
		{*unified("memory.swap.max", "0"), `! unified["memory.swap.max"]`, "memory.swap.max=0"},
		{*unified("pids.max", "5"), "pids.max=5", "pids.max=5"},
		{*unified("cpuset.cpus", "0,1"), "cpuset.cpus=0-1", "cpuset.cpus=0,1"},
		{*unified("io.max", "8:0 rbps=1048576 wiops=max"), "blkio.throttle.read_bps_device=8:0 1048576 blkio.throttle.write_iops_device=8:0 0", "io.max=8:0 rbps=1048576 wiops=max"},
		{*unified("io.latency", "8:0 target=5"), `! unified["io.latency"]: blkio`, "io.latency=8:0 target=5"},
		{*unified("hugetlb.2MB.max", "5"), "hugetlb.2MB.limit_in_bytes=5", "hugetlb.2MB.max=5"},
		{*unified("rdma.max", "mlx5 hca_handle=2"), "rdma.max=mlx5 hca_handle=2", "rdma.max=mlx5 hca_handle=2"},
		{*unified("cgroup.max.depth", "3"), "cgroup.max.depth=3", "cgroup.max.depth=3"},
	} {
		for _, side := range []struct {
			h    *Host
			want string
		}{{v1, c.v1}, {v2, c.v2}} {
			got := planned(side.h, &c.r)
			if got != side.want && !(strings.HasPrefix(side.want, "! ") && strings.HasPrefix(got, side.want)) {
				t.Errorf("%s %+v:\n got %s\nwant %s", side.h.Mode(), c.r, got, side.want)
			}
		}
	}
}

func throttle(rate uint64) []specs.LinuxThrottleDevice {
	return []specs.LinuxThrottleDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8, Minor: 16}, Rate: rate}}
}

// planned is a plan's writes on one line, or "! " and the error.
func planned(h *Host, r *specs.LinuxResources) string {
	all, err := h.sort(r)
	if err != nil {
		return "! " + strings.TrimPrefix(err.Error(), "limit resources: ")
	}
	var words []string
	for _, q := range all {
		for _, w := range append(q.writes.list, q.late...) {
			file, data := w.file, w.data
			if w.other != "" {
				file += "|" + w.other
			}
			if w.other != "" && w.otherData != data {
				data += "|" + w.otherData
			}
			words = append(words, file+"="+data)
		}
	}
	return strings.Join(words, " ")
}

// TestConversions: the OCI runtimes' own formulas agree.
func TestConversions(t *testing.T) {
	for _, shares := range []uint64{1, 2, 3, 10, 100, 256, 512, 1000, 1024, 2048, 5000, 100000, 262143, 262144, 1 << 40} {
		if got, want := sharesToWeight(shares), cgroups.ConvertCPUSharesToCgroupV2Value(shares); got != want {
			t.Errorf("%d shares are the weight %d, want %d", shares, got, want)
		}
	}
	for _, weight := range []uint16{10, 11, 99, 100, 500, 999, 1000} {
		var w writes
		if err := ioV2(&specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: &weight}}, &w); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprint(cgroups.ConvertBlkIOToIOWeightValue(weight)); w.list[0].otherData != want {
			t.Errorf("%d is io.weight %s, want %s", weight, w.list[0].otherData, want)
		}
	}
	for _, c := range [][2]int64{{8192, 12288}, {8192, 8192}, {8192, -1}, {-1, 4096}} { // limit, swap
		var w writes
		if err := memoryV2(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &c[0], Swap: &c[1]}}, &w); err != nil {
			t.Fatal(err)
		}
		want, err := cgroups.ConvertMemorySwapToCgroupV2Value(c[1], c[0])
		got, err2 := toNumber(w.list[len(w.list)-1].data)
		if err != nil || err2 != nil || got != want {
			t.Errorf("limit %d and swap %d: %d, %v; want %d, %v", c[0], c[1], got, err2, want, err)
		}
	}
	for weight, shares := range map[uint64]uint64{1: 10, 100: 1024, 200: 2048, 10000: 102400} {
		if got := weightToShares(weight); got != shares {
			t.Errorf("weight %d is %d shares, want %d", weight, got, shares)
		}
	}
}

// TestStatsV2: version 2's files, as the kernel writes them.
func TestStatsV2(t *testing.T) {
	root := tree(t, map[string]string{
		"cgroup.controllers": "cpu io memory pids\n",
		"cgroup.events":      "populated 1\nfrozen 1\n",
		"cpu.stat":           "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 700\n",
		"memory.current":     "4096\n", "memory.max": "max\n", "memory.peak": "8192\n",
		"memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n",
		"pids.current":  "3\n", "pids.max": "9\n", "pids.events": "max 2\n",
		"io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:0 \n",
	})
	fd, err := openat(-100, root, dirFlags)
	if err != nil {
		t.Fatal(err)
	}
	g := &Group{parts: []*part{{tree: &hierarchy{v2: true}, dir: root, fd: fd, prog: -1}}}
	defer g.Close()
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if want := (CPUStats{5e6, 3e6, 2e6, 10, 4, 7e5}); *s.CPU != want {
		t.Errorf("CPU %+v", *s.CPU)
	}
	if want := (MemoryStats{4096, 8192, -1, 7, 1}); *s.Memory != want {
		t.Errorf("memory %+v", *s.Memory)
	}
	if want := (PidsStats{3, 9, 2}); *s.Pids != want {
		t.Errorf("pids %+v", *s.Pids)
	}
	if want := (IOStats{"8:0", 1, 2, 3, 4}); len(s.IO) != 1 || s.IO[0] != want || !s.Frozen {
		t.Errorf("io %+v, frozen %v", s.IO, s.Frozen)
	}
	if err := os.Remove(root + "/memory.events"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Stats(); err == nil || !strings.Contains(err.Error(), "memory.events") {
		t.Errorf("a missing file: %v", err)
	}
}
