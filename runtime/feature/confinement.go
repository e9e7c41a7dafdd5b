package feature

import (
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Confinement asks for what is around this process: a container, a filter, a
// security module's profile, and covers over /proc.
func (h *Host) Confinement() []Result {
	return []Result{h.OutsideContainers(), h.NoSeccomp(), h.NoProfile(), h.UnmaskedProc()}
}

// Container is the sandbox that this process runs in.
type Container struct {
	Name string // docker, podman, kubernetes, lxc, …; "" for none
	Seen string // the file or variable that told
}

// Container looks for the marks that container engines leave. A file in the
// root directory is only believed when some namespace is not the first of its
// kind: an image that was booted as a machine still has it.
func (h *Host) Container() Container {
	nested := h.nested()
	switch {
	case h.Getenv("KUBERNETES_SERVICE_HOST") != "":
		return Container{"kubernetes", "KUBERNETES_SERVICE_HOST is set"}
	case nested && h.exists("/run/.containerenv"):
		return Container{"podman", "/run/.containerenv exists"}
	case nested && h.exists("/.dockerenv"):
		return Container{"docker", "/.dockerenv exists"}
	}
	if c := h.byFirstProcess(); c.Name != "" {
		return c
	}
	cgroup, _ := h.text("/proc/1/cgroup")
	for _, mark := range []struct{ part, name string }{
		{"kubepods", "kubernetes"}, {"libpod", "podman"}, {"docker", "docker"},
		{"/lxc", "lxc"}, {"containerd", "containerd"}, {"machine.slice/machine-", "systemd-nspawn"},
	} {
		if strings.Contains(cgroup, mark.part) {
			return Container{mark.name, "/proc/1/cgroup contains " + quoted(mark.part)}
		}
	}
	return Container{}
}

// byFirstProcess follows systemd's container interface: whoever starts a
// container sets "container" in the environment of its first process.
func (h *Host) byFirstProcess() Container {
	if environ, err := os.ReadFile(h.at("/proc/1/environ")); err == nil {
		for pair := range strings.SplitSeq(string(environ), "\x00") {
			if name, ok := strings.CutPrefix(pair, "container="); ok && name != "" {
				return Container{name, "process 1 has container=" + name}
			}
		}
	}
	if name, err := h.text("/run/systemd/container"); err == nil && name != "" {
		return Container{name, "/run/systemd/container says " + name}
	}
	return Container{}
}

// nested reports whether a pid, ipc, uts or cgroup namespace is not the first
// of its kind, whose inode numbers are fixed (include/uapi/linux/nsfs.h). What
// cannot be read counts as nested.
func (h *Host) nested() bool {
	for _, first := range []struct{ name, link string }{
		{"pid", "pid:[4026531836]"}, {"uts", "uts:[4026531838]"},
		{"ipc", "ipc:[4026531839]"}, {"cgroup", "cgroup:[4026531835]"},
	} {
		if link, err := os.Readlink(h.at("/proc/self/ns/" + first.name)); err != nil || link != first.link {
			return true
		}
	}
	return false
}

// opening is how one engine takes its confinement away.
type opening struct{ name, all, filter, proc string }

func (c Container) opening() opening {
	for _, o := range []opening{
		{"docker", "docker run --privileged", "docker run --security-opt seccomp=unconfined",
			"docker run --security-opt systempaths=unconfined"},
		{"podman", "podman run --privileged", "podman run --security-opt seccomp=unconfined",
			"podman run --security-opt unmask=ALL"},
		{"kubernetes", "set securityContext.privileged: true", "set securityContext.seccompProfile.type: Unconfined",
			"set securityContext.procMount: Unmasked"},
		{"lxc", "lxc config set NAME security.privileged=true security.nesting=true",
			"lxc config set NAME security.syscalls.deny_default=false", "lxc config set NAME security.nesting=true"},
	} {
		if o.name == c.Name {
			o.all += ", or measure on the host"
			return o
		}
	}
	outside := "run it outside the sandbox, from a login on the host"
	return opening{c.Name, outside, outside, outside}
}

// grant is how to be given one capability.
func (c Container) grant(capability string) string {
	switch c.Name {
	case "docker", "podman":
		return c.Name + " run --cap-add " + capability
	case "kubernetes":
		return "add " + strings.TrimPrefix(capability, "CAP_") + " to securityContext.capabilities.add"
	case "":
		return "start from a login whose CapBnd in /proc/self/status still has " + capability + ": this one's parents dropped it"
	}
	return c.opening().all
}

// refusal explains a call that was refused or hidden.
func (h *Host) refusal(what string, err error) (why, fix string) {
	c := h.Container()
	why = what + " answers " + errno(err)
	mode, _ := h.status("Seccomp")
	switch profile := h.profile(); {
	case mode == "2" && errors.Is(err, unix.ENOSYS):
		return why + ": a seccomp filter hides it (Seccomp: 2 in /proc/self/status)", c.opening().filter
	case mode == "2":
		return why + ": a seccomp filter is in force (Seccomp: 2 in /proc/self/status)", c.opening().all
	case enforced(profile):
		return why + ": the security profile " + quoted(profile) + " is in force (/proc/self/attr)", c.opening().all
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		return why + ": the kernel was built without it, or a sandbox stands in for the kernel",
			"boot a distribution's kernel, or run it outside the sandbox"
	case c.Name != "":
		return why + ", inside " + c.Name + " (" + c.Seen + ")", c.opening().all
	case h.UID() != 0:
		return why + " for an ordinary user", "run as root"
	}
	return why + " although no filter or profile is in force (a chroot, or a capability was dropped)",
		"run as root, outside any chroot, with all capabilities (capsh --print shows them)"
}

// OutsideContainers asks that no container is around this process: its limits
// and filters would be measured too.
func (h *Host) OutsideContainers() Result {
	p := probe{groupConfinement, "outside containers"}
	c := h.Container()
	if c.Name != "" {
		return p.notHere("this runs inside "+c.Name+": "+c.Seen, c.opening().all)
	}
	for _, file := range []string{"/.dockerenv", "/run/.containerenv"} {
		if h.exists(file) {
			return p.have("a booted image: " + file + " is there, but all namespaces are the first")
		}
	}
	return p.have("no mark of a container")
}

// NoSeccomp asks that no system call filter is loaded: it costs time on every
// call, and may refuse some. See seccomp(2).
func (h *Host) NoSeccomp() Result {
	p := probe{groupConfinement, "no seccomp filter"}
	mode, err := h.status("Seccomp")
	if err != nil {
		return p.failed(err)
	}
	if mode == "" || mode == "0" {
		return p.have("Seccomp: 0")
	}
	return p.notHere("Seccomp: "+mode+" in /proc/self/status: calls are filtered, and each costs more",
		h.Container().opening().filter)
}

// profile is the label that a security module gives this process, or "".
func (h *Host) profile() string {
	for _, file := range []string{"/proc/self/attr/apparmor/current", "/proc/self/attr/current"} {
		if text, err := h.text(file); err == nil { // EINVAL: no module is loaded
			if text = strings.Trim(text, "\x00\n "); text != "" {
				return text
			}
		}
	}
	return ""
}

// enforced knows AppArmor's "name (enforce)" and SELinux's container domains.
func enforced(profile string) bool {
	return strings.HasSuffix(profile, "(enforce)") || strings.Contains(profile, ":container_")
}

// NoProfile asks that no security module confines this process: the profiles
// of container engines refuse mounts.
func (h *Host) NoProfile() Result {
	p := probe{groupConfinement, "no security profile"}
	switch profile := h.profile(); {
	case profile == "":
		return p.have("no AppArmor or SELinux")
	case enforced(profile):
		return p.notHere("/proc/self/attr says "+quoted(profile)+": mounts may be refused", h.Container().opening().all)
	default:
		return p.have(profile)
	}
}

// UnmaskedProc asks that nothing is mounted over files of /proc: the kernel
// then refuses a new proc inside a user namespace (mount_too_revealing() in
// fs/namespace.c).
func (h *Host) UnmaskedProc() Result {
	p := probe{groupConfinement, "unmasked /proc"}
	mounts, err := h.mounts()
	if err != nil {
		return p.failed(err)
	}
	var covered []string
	for _, m := range mounts {
		harmless := m.kind == "binfmt_misc" || m.kind == "autofs" || m.kind == "nfsd" // on empty directories
		if strings.HasPrefix(m.point, "/proc/") && !harmless {
			covered = append(covered, m.point)
		}
	}
	if len(covered) == 0 {
		return p.have("nothing is mounted over it")
	}
	return p.notHere("/proc/self/mountinfo has mounts over "+some(covered)+
		": a new proc is refused inside a user namespace", h.Container().opening().proc)
}

// some names the first few.
func some(names []string) string {
	const most = 3
	if len(names) > most {
		names = append(slices.Clone(names[:most]), "others")
	}
	return strings.Join(names, ", ")
}
