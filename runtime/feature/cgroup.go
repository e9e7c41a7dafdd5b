package feature

import (
	"path/filepath"
	"slices"
	"strings"
)

// CgroupMode says which of the two versions of control groups is in use.
type CgroupMode string

// Hybrid is both: v2 is mounted, and controllers are bound to v1 hierarchies.
const (
	CgroupNone   CgroupMode = "none"
	CgroupV1     CgroupMode = "v1"
	CgroupV2     CgroupMode = "v2"
	CgroupHybrid CgroupMode = "hybrid"
)

// Cgroups is how control groups are mounted here; see cgroups(7).
type Cgroups struct {
	Mode         CgroupMode
	V2           string            // mount point of the v2 hierarchy; "" for none
	V1           map[string]string // mount point by v1 controller ("cpu", "blkio", …)
	Available    []string          // cgroup.controllers at V2
	Active       []string          // cgroup.subtree_control at V2
	Own          string            // this process's v2 group, below V2 ("/…"); "" for none
	FavorDynMods bool              // Linux 6.0: moving tasks is cheap, fork and exit dearer
	ReadOnly     []string          // mount points that are mounted read-only
}

// Controllers are the names of those that can be used: v2's active ones, and
// v1's.
func (c Cgroups) Controllers() []string {
	names := slices.Clone(c.Active)
	for name := range c.V1 {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Cgroups reads the mounts, and the files at the top of the v2 hierarchy.
func (h *Host) Cgroups() (Cgroups, error) {
	c := Cgroups{Mode: CgroupNone, V1: map[string]string{}}
	mounts, err := h.mounts()
	if err != nil {
		return c, err
	}
	for _, m := range mounts {
		switch m.kind {
		case "cgroup2":
			if c.V2 == "" {
				c.V2 = m.point
			}
		case "cgroup":
			for _, option := range m.super {
				if slices.Contains(v1Controllers(), option) && c.V1[option] == "" {
					c.V1[option] = m.point
				}
			}
		default:
			continue
		}
		c.FavorDynMods = c.FavorDynMods || slices.Contains(m.super, "favordynmods")
		if m.readOnly() {
			c.ReadOnly = append(c.ReadOnly, m.point)
		}
	}
	switch {
	case c.V2 != "" && len(c.V1) > 0:
		c.Mode = CgroupHybrid
	case c.V2 != "":
		c.Mode = CgroupV2
	case len(c.V1) > 0:
		c.Mode = CgroupV1
	}
	if c.V2 != "" {
		c.Available = h.words(c.V2 + "/cgroup.controllers")
		c.Active = h.words(c.V2 + "/cgroup.subtree_control")
		c.Own = h.ownGroup()
	}
	return c, nil
}

// v1Controllers are the options that name a controller among the mount
// options of a v1 hierarchy.
func v1Controllers() []string {
	return []string{"cpu", "cpuacct", "cpuset", "memory", "blkio", "pids", "devices", "freezer",
		"net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc"}
}

// words are the words of a file, none when it cannot be read.
func (h *Host) words(path string) []string {
	text, _ := h.text(path)
	return strings.Fields(text)
}

// ownGroup is this process's v2 group: the line "0::/…" of /proc/self/cgroup.
func (h *Host) ownGroup() string {
	text, _ := h.text("/proc/self/cgroup")
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return path
		}
	}
	return ""
}

// CgroupFeatures asks for the hierarchies, the controllers, and the right to
// make groups.
func (h *Host) CgroupFeatures() []Result {
	results := []Result{h.AnyCgroup(), h.UnifiedCgroup(), h.WritableCgroups(), h.SessionBus(), h.Delegation()}
	for _, name := range []string{"cpu", "cpuset", "memory", "io", "pids"} {
		results = append(results, h.Controller(name))
	}
	return append(results, h.IntoCgroup(), h.CgroupKill(), h.FavorDynMods())
}

// AnyCgroup asks that control groups are mounted at all.
func (h *Host) AnyCgroup() Result {
	p := probe{groupCgroups, "cgroups"}
	c, err := h.Cgroups()
	if err != nil {
		return p.failed(err)
	}
	if c.Mode == CgroupNone {
		return p.notHere("/proc/self/mountinfo has no cgroup mount", "sudo mount -t cgroup2 none /sys/fs/cgroup")
	}
	return p.have(string(c.Mode))
}

// UnifiedCgroup asks for v2 with the controllers that limit something; on a
// hybrid machine v1 holds them.
func (h *Host) UnifiedCgroup() Result {
	p := probe{groupCgroups, "cgroup v2"}
	const unified = "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all"
	c, err := h.Cgroups()
	switch {
	case err != nil:
		return p.failed(err)
	case c.Mode == CgroupNone:
		return p.because(h.AnyCgroup())
	case c.V2 == "":
		return p.notHere("/proc/self/mountinfo has v1 hierarchies only", unified)
	}
	for _, name := range []string{"cpu", "memory", "pids"} {
		if slices.Contains(c.Available, name) {
			return p.have(c.V2 + ", controllers " + strings.Join(c.Available, " "))
		}
	}
	if c.Mode == CgroupHybrid {
		return p.notHere("v1 holds the controllers: "+c.V2+"/cgroup.controllers has "+orNothing(c.Available), unified)
	}
	return p.notHere(c.V2+"/cgroup.controllers has "+orNothing(c.Available)+": the group above passes nothing on",
		h.passOn(c))
}

// passOn is how the group above gives controllers.
func (h *Host) passOn(c Cgroups) string {
	if container := h.Container(); container.Name != "" {
		return container.opening().all
	}
	return "echo +cpu +memory +pids +io | sudo tee " + c.V2 + "/cgroup.subtree_control, in the group above"
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return "only " + strings.Join(names, " ")
}

// WritableCgroups asks that no hierarchy is mounted read-only, as containers
// mount it.
func (h *Host) WritableCgroups() Result {
	p := probe{groupCgroups, "writable cgroup mounts"}
	c, err := h.Cgroups()
	switch {
	case err != nil:
		return p.failed(err)
	case c.Mode == CgroupNone:
		return p.because(h.AnyCgroup())
	case len(c.ReadOnly) > 0:
		return p.notHere("/proc/self/mountinfo has "+some(c.ReadOnly)+" read-only: no group can be made",
			h.Container().opening().all)
	}
	return p.have("mounted read-write")
}

// Controller asks whether groups can be given a limit of one v2 controller:
// "cpu", "cpuset", "memory", "io" or "pids". A v1 hierarchy will do.
func (h *Host) Controller(name string) Result {
	p := probe{groupCgroups, name + " controller"}
	c, err := h.Cgroups()
	if err != nil {
		return p.failed(err)
	}
	old := name
	if name == "io" {
		old = "blkio"
	}
	groups := h.Delegation()
	if groups.State != Have {
		return p.because(groups)
	}
	if point, ok := c.V1[old]; ok {
		if err := h.Writable(h.at(point)); err != nil {
			return p.notHere("the v1 hierarchy "+point+" cannot be written: "+errno(err), h.asRoot()).with(err)
		}
		return p.have("v1, " + point)
	}
	dir, _ := h.base(c)
	if dir == "" {
		return p.notHere("/proc/self/mountinfo has no hierarchy with "+name, "boot without cgroup_disable="+old)
	}
	switch file := filepath.Join(dir, "cgroup.controllers"); {
	case slices.Contains(h.words(filepath.Join(dir, "cgroup.subtree_control")), name):
		return p.have("v2, active in " + dir)
	case slices.Contains(h.words(file), name):
		return p.have("v2, in " + dir + "; not active yet, can be switched on")
	case h.isRoot():
		return p.notHere(file+" does not have "+name, "boot a kernel with this controller, without cgroup_disable="+old)
	default:
		return p.notHere(file+" does not have "+name+": it is not delegated",
			"sudo systemctl edit user@.service, add [Service] Delegate=cpu cpuset io memory pids, log in again")
	}
}

func (h *Host) asRoot() string {
	if !h.isRoot() {
		return "run as root"
	}
	return h.Container().opening().all
}

// IntoCgroup asks for CLONE_INTO_CGROUP, Linux 5.7: a child is born in its v2
// group, which saves the move.
func (h *Host) IntoCgroup() Result {
	p := probe{groupCgroups, "CLONE_INTO_CGROUP"}
	c, err := h.Cgroups()
	if err != nil {
		return p.failed(err)
	}
	if c.V2 == "" {
		return p.notHere("no v2 hierarchy is mounted, and it takes one", "sudo mount -t cgroup2 none /sys/fs/cgroup/unified")
	}
	if clone3 := h.Clone3(); clone3.State != Have {
		return p.because(clone3)
	}
	return h.since(p, version{5, 7})
}

// CgroupKill asks for cgroup.kill, Linux 5.14, which the top group lacks.
func (h *Host) CgroupKill() Result {
	p := probe{groupCgroups, "cgroup.kill"}
	c, err := h.Cgroups()
	if err != nil {
		return p.failed(err)
	}
	if c.V2 == "" {
		return p.notHere("no v2 hierarchy is mounted, and it takes one", "sudo mount -t cgroup2 none /sys/fs/cgroup/unified")
	}
	if own := filepath.Join(c.V2, c.Own, "cgroup.kill"); h.exists(own) {
		return p.have(own)
	}
	return h.since(p, version{5, 14})
}

// FavorDynMods tells whether moving a task waits for an RCU grace period: a
// mount option of cgroup2, Linux 6.0, decides.
func (h *Host) FavorDynMods() Result {
	p := probe{groupCgroups, "favordynmods"}
	c, err := h.Cgroups()
	if err != nil {
		return p.failed(err)
	}
	if r := h.since(p, version{6, 0}); r.State != Have {
		return r
	}
	if c.FavorDynMods {
		return p.have("on: moving a task is cheap")
	}
	return p.have("off: a lone move of a task waits for RCU")
}
