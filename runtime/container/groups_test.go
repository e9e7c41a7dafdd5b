package container

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
)

// TestOwnGroup: with rules for devices alone the container is in its group before
// its command runs, whether the child was born there or went there, and sees it.
func TestOwnGroup(t *testing.T) {
	asRoot(t)
	k := plain(t)
	for _, namespace := range []bool{false, true} {
		for _, planned := range []bool{false, true} {
			t.Run("namespace="+strconv.FormatBool(namespace)+",planned="+strconv.FormatBool(planned), func(t *testing.T) {
				b := newBox(t, k)
				if !namespace {
					b.Linux.Namespaces = slices.DeleteFunc(b.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace })
				}
				b.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
				b.Mounts = append(b.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "ro"}})
				b.planned = planned
				c := b.start()
				must(t, c.WaitExec())
				goes := !namespace && cgroup.DevicesAlone(b.Linux.Resources)
				var plan strings.Builder
				must(t, c.Plan().Print(&plan))
				if goes != strings.Contains(plan.String(), "enter control group") || goes == strings.Contains(plan.String(), "the launching thread writes itself") && c.Group().FD() == 0 {
					t.Errorf("the child goes into its group: %v; the plan:\n%s", goes, &plan)
				}
				dir := c.Group().Dir("devices")
				if dir == "" {
					dir = c.Group().Dir("v2")
				}
				procs, err := os.ReadFile(dir + "/cgroup.procs")
				must(t, err)
				if got := strings.TrimSpace(string(procs)); got != strconv.Itoa(c.Pid()) {
					t.Errorf("%q has the processes %q, and the container is %d", dir, got, c.Pid())
				}
				var st unix.Stat_t
				must(t, unix.Stat("/", &st))
				c.call(unix.SYS_MKNODAT, unix.AT_FDCWD, "/tmp/disk", unix.S_IFBLK|0o600, st.Dev)
				if errno := c.call(unix.SYS_OPENAT, unix.AT_FDCWD, "/tmp/disk", unix.O_RDONLY, 0); errno != unix.EPERM {
					t.Errorf("open the host's disk: %v", errno)
				}
				if c.Group().Dir("devices") != "" {
					if got := c.ask("read", "/sys/fs/cgroup/devices/devices.list"); strings.Contains(got, "a *:*") {
						t.Errorf("the container sees the rules %q of another group", got)
					}
				}
				c.end()
				if _, err := os.Stat(dir); err == nil {
					t.Errorf("%q is still there", dir)
				}
			})
		}
	}
}
