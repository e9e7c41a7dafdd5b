package cgroup

import (
	"fmt"
	"strings"
	"testing"
)

// TestUnitProperties: what systemd is told of a control file.
func TestUnitProperties(t *testing.T) {
	for _, c := range []struct{ file, data, want string }{
		{"cpu.weight", "50", "CPUWeight t 50"},
		{"cpu.weight", "x", `! "x" is no number`},
		{"cpu.idle", "1", "CPUWeight t 0"},
		{"cpu.idle", "0", ""},
		{"cpu.max", "20000 100000", "CPUQuotaPerSecUSec t 200000, CPUQuotaPeriodUSec t 100000"},
		{"cpu.max", "20000", "CPUQuotaPerSecUSec t 200000, CPUQuotaPeriodUSec t 100000"},
		{"cpu.max", "1000 3000", "CPUQuotaPerSecUSec t 340000, CPUQuotaPeriodUSec t 3000"},
		{"cpu.max", "max 50000", "CPUQuotaPerSecUSec t 18446744073709551615, CPUQuotaPeriodUSec t 50000"},
		{"cpu.max", "1 0", "! period"},
		{"cpu.max", "many", "! quota"},
		{"cpuset.cpus", "0-1,9", "AllowedCPUs ay 2 3 2"},
		{"cpuset.cpus", "", ""},
		{"cpuset.cpus", "x", "! parse CPU list"},
		{"cpuset.mems", "0", "AllowedMemoryNodes ay 1 1"},
		{"memory.max", "64M\n", "MemoryMax t 67108864"},
		{"memory.max", "max", "MemoryMax t 18446744073709551615"},
		{"memory.swap.max", "0", "MemorySwapMax t 0"},
		{"memory.high", "12345", "MemoryHigh t 12345"},
		{"memory.high", "16E", "! no size"},
		{"memory.low", "", "! no size"},
		{"pids.max", "max", "TasksMax t 18446744073709551615"},
		{"pids.max", "9", "TasksMax t 9"},
		{"io.weight", "default 200\n8:0 50", "IOWeight t 200"},
		{"io.weight", "8:0 50", ""},
		{"io.bfq.weight", "100", "IOWeight t 100"},
		{"io.bfq.weight", "1000", "IOWeight t 10000"},
		{"hugetlb.2MB.max", "0", ""},
	} {
		list, err := unitProperties(c.file, c.data)
		if text, bad := strings.CutPrefix(c.want, "! "); bad {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s %q: %v, want %q", c.file, c.data, err, text)
			}
			continue
		}
		var got []string
		for _, p := range list {
			got = append(got, fmt.Sprint(p.Name, " ", p.Type, " ", strings.Join(p.Value, " ")))
		}
		if s := strings.Join(got, ", "); err != nil || s != c.want {
			t.Errorf("%s %q: %s, %v; want %s", c.file, c.data, s, err, c.want)
		}
	}
}

// TestQuotaComesBack: systemd turns what it is told into the quota that was asked
// for when that is a whole percent, and otherwise into at most one more.
func TestQuotaComesBack(t *testing.T) {
	for period := 1000; period <= 1_000_000; period += 997 {
		for quota := 1000; quota <= 3_000_000; quota += 99_991 {
			list, err := bandwidth(fmt.Sprintf("%d %d", quota, period))
			if err != nil {
				t.Fatal(err)
			}
			var perSecond int
			if _, err := fmt.Sscan(list[0].Value[0], &perSecond); err != nil {
				t.Fatal(err)
			}
			back := perSecond * period / 1_000_000
			if perSecond%10_000 != 0 || back < quota || (back-quota)*100 > period || quota*100%period == 0 && back != quota {
				t.Fatalf("%d of %d comes back as %d", quota, period, back)
			}
		}
	}
}
