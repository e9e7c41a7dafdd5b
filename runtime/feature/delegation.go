package feature

import (
	"path/filepath"
	"strconv"
	"strings"
)

// base is the v2 group below which this user may make groups, and whether
// systemd has to be asked for them: an ordinary user cannot move itself from
// its login session into the group of its user manager.
func (h *Host) base(c Cgroups) (dir string, systemd bool) {
	if c.V2 == "" {
		return "", false
	}
	own := filepath.Join(c.V2, c.Own)
	for _, dir := range []string{c.V2, own} {
		if h.mayManage(dir) == nil {
			return dir, false
		}
	}
	if dir := filepath.Join(c.V2, userManager(h.hostUID())); h.mayManage(dir) == nil {
		return dir, true
	}
	return "", false
}

// mayManage is the kernel's definition of a delegated group: the directory
// and two of its files can be written (cgroup-v2, "Model of Delegation").
func (h *Host) mayManage(dir string) error {
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control"} {
		if err := h.Writable(h.at(filepath.Join(dir, name))); err != nil {
			return err
		}
	}
	return nil
}

// Delegation asks for a place where groups may be made.
func (h *Host) Delegation() Result {
	p := probe{groupCgroups, "cgroup delegation"}
	c, err := h.Cgroups()
	if err != nil {
		return p.failed(err)
	}
	if mounts := h.WritableCgroups(); mounts.State != Have {
		return p.because(mounts)
	}
	if c.Mode == CgroupV1 || c.Mode == CgroupHybrid {
		return h.delegationV1(p, c)
	}
	dir, systemd := h.base(c)
	switch {
	case dir != "" && !systemd:
		return p.have("groups can be made in " + dir)
	case dir != "":
		if bus := h.SessionBus(); bus.State != Have {
			return p.because(bus)
		}
		return p.have("groups can be made through systemd, in " + dir)
	case h.isRoot():
		err := h.mayManage(c.V2)
		why, fix := h.refusal("writing "+c.V2, err)
		return p.notHere(why, fix).with(err)
	}
	return h.noManager(p, c)
}

// delegationV1: a v1 hierarchy is root's, unless somebody gave it away.
func (h *Host) delegationV1(p probe, c Cgroups) Result {
	for _, controller := range []string{"cpu", "memory", "pids"} {
		point, ok := c.V1[controller]
		if !ok {
			continue
		}
		err := h.Writable(h.at(point))
		switch {
		case err == nil:
			return p.have("groups can be made in " + point)
		case refused(err) && !h.isRoot():
			return p.notHere("v1 hierarchies are root's: "+point+" cannot be written", "run as root").with(err)
		default:
			why, fix := h.refusal("writing "+point, err)
			return p.notHere(why, fix).with(err)
		}
	}
	return p.notHere("/proc/self/mountinfo has no hierarchy with cpu, memory or pids",
		"boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all")
}

// noManager explains why an ordinary user has no group of its own.
func (h *Host) noManager(p probe, c Cgroups) Result {
	if !h.exists("/run/systemd/system") {
		return p.notHere(filepath.Join(c.V2, c.Own)+" cannot be written, and systemd, which delegates groups, does not run",
			h.asRoot())
	}
	manager := filepath.Join(c.V2, userManager(h.hostUID()))
	if !h.exists(manager) {
		return p.notHere(manager+" is missing: no systemd session of this user runs", h.login())
	}
	return p.notHere(manager+" cannot be written: systemd does not delegate it",
		"sudo systemctl restart user@"+strconv.Itoa(h.hostUID())+".service").with(h.mayManage(manager))
}

// userManager is the group of a user's systemd, below the v2 mount.
func userManager(uid int) string {
	id := strconv.Itoa(uid)
	return "/user.slice/user-" + id + ".slice/user@" + id + ".service"
}

// login is how to get a session that systemd knows, which su does not open.
func (h *Host) login() string {
	name := h.userName(h.hostUID())
	return "sudo machinectl shell " + name + "@, or sudo loginctl enable-linger " + name +
		" and export XDG_RUNTIME_DIR=" + h.runtimeDir()
}

func (h *Host) runtimeDir() string { return "/run/user/" + strconv.Itoa(h.hostUID()) }

// SessionBus asks for the bus of the user's systemd, which makes groups for
// an ordinary user. Root writes them itself.
func (h *Host) SessionBus() Result {
	p := probe{groupCgroups, "session bus"}
	if h.isRoot() {
		return p.have("not needed: root makes groups itself")
	}
	address, runtime := h.Getenv("DBUS_SESSION_BUS_ADDRESS"), h.Getenv("XDG_RUNTIME_DIR")
	if strings.HasPrefix(runtime, "/run/user/") && filepath.Clean(runtime) != h.runtimeDir() {
		return p.notHere("XDG_RUNTIME_DIR is "+runtime+", of another user, as after su", h.login())
	}
	if path, ok := strings.CutPrefix(address, "unix:path="); ok {
		path, _, _ = strings.Cut(path, ",")
		if h.exists(path) {
			return p.have(path)
		}
		return p.notHere("DBUS_SESSION_BUS_ADDRESS is "+address+", and nothing is there", h.login())
	}
	switch {
	case address != "":
		return p.have(address)
	case runtime != "" && h.exists(runtime+"/bus"):
		return p.have(runtime + "/bus")
	case !h.exists("/run/systemd/system"):
		return p.notHere("systemd does not run: /run/systemd/system is missing", "run as root, who needs no bus")
	case runtime != "":
		return p.notHere("DBUS_SESSION_BUS_ADDRESS is not set and "+runtime+"/bus is missing", h.login())
	}
	return p.notHere("neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set, as after su or sudo -u", h.login())
}
