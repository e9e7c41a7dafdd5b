package cgroup

import (
	"os"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// FuzzDetectAt: whatever mountinfo and the own groups say, a plan for a limit is
// made, or refused.
func FuzzDetectAt(f *testing.F) {
	if text, err := os.ReadFile("/proc/self/mountinfo"); err == nil { // not among what is kept: it is this machine's
		f.Add(string(text), "0::/\n")
	}
	f.Add(v2Mount, "0::/user.slice\n")
	f.Add("40 31 0:29 / /none rw - cgroup cgroup rw,cpu\n41 31 0:30 /a\\040b /sys/fs/cgroup/x\\011 rw - cgroup c rw,name=systemd,none\n", "1:cpu:/\n2:name=systemd:/x\n")
	f.Add("1 2 - cgroup2", ":::\n")
	root := f.TempDir() // nothing is written there
	f.Fuzz(func(_ *testing.T, mountinfo, self string) {
		h, err := DetectAt([]byte(mountinfo), []byte(self), root)
		if err != nil {
			return
		}
		limit := int64(1 << 20)
		if pl, err := h.Plan(Options{ID: "fuzz", Resources: &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}}); err == nil {
			_ = pl.State()
			_ = pl.Mounted()
		}
	})
}
