package feature

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
)

// Namespaces asks for each type of namespace, by making one.
func (h *Host) Namespaces() []Result {
	user := h.UserNamespace()
	results := []Result{user}
	for _, n := range namespace.All() {
		if n.Flag != unix.CLONE_NEWUSER {
			results = append(results, h.inside(n, user))
		}
	}
	return results
}

// inside asks for a type that takes CAP_SYS_ADMIN: root's own, or the one
// that a new user namespace gives.
func (h *Host) inside(n namespace.Namespace, user Result) Result {
	p := probe{groupNamespaces, n.Name + " namespace"}
	if r, absent := h.absent(p, n); absent {
		return r
	}
	flags, detail := n.Flag, h.limit(n)
	if !h.capable(unix.CAP_SYS_ADMIN) {
		if user.State != Have {
			return p.because(user)
		}
		flags |= unix.CLONE_NEWUSER
		detail += ", inside a user namespace"
	}
	if err := h.Clone(flags); err != nil {
		return h.cloneFailed(p, n, err)
	}
	return p.have(detail)
}

// UserNamespace asks for the one type that an ordinary user may make alone,
// and that distributions and containers forbid in four different ways.
func (h *Host) UserNamespace() Result {
	n, _ := namespace.ByName("user")
	p := probe{groupNamespaces, "user namespace"}
	if r, absent := h.absent(p, n); absent {
		return r
	}
	const (
		debian   = "/proc/sys/kernel/unprivileged_userns_clone"
		apparmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	)
	ordinary := !h.capable(unix.CAP_SYS_ADMIN)
	if ordinary && h.is(debian, "0") {
		return p.notHere(debian+" is 0: only root may make user namespaces",
			"sudo sysctl -w kernel.unprivileged_userns_clone=1")
	}
	restricted := ordinary && h.is(apparmor, "1")
	err := h.Clone(unix.CLONE_NEWUSER)
	switch {
	case err == nil && restricted:
		return p.have(h.limit(n) + ", allowed by AppArmor profile " + quoted(h.profile()))
	case err == nil:
		return p.have(h.limit(n))
	case restricted && refused(err):
		return p.notHere(apparmor+" is 1 and the AppArmor profile in force is "+quoted(h.profile())+
			": a user namespace has no capabilities",
			"sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, "+
				`or load an AppArmor profile with "userns," for this program`).with(err)
	}
	return h.cloneFailed(p, n, err)
}

// absent looks for what makes a type impossible for everybody.
func (h *Host) absent(p probe, n namespace.Namespace) (Result, bool) {
	file := "/proc/self/ns/" + n.Name
	if !h.exists(file) {
		option := "CONFIG_" + strings.ToUpper(n.Name) + "_NS"
		if n.Flag == unix.CLONE_NEWCGROUP {
			option = "CONFIG_CGROUPS"
		}
		return p.notHere(file+" is missing: the kernel has no "+n.Name+" namespaces",
			"boot Linux "+n.Since+" or newer, built with "+option), true
	}
	if file := "/proc/sys/user/" + n.Limit; h.is(file, "0") {
		return p.notHere(file+" is 0: nobody may make one", "sudo sysctl -w user."+n.Limit+"=15000"), true
	}
	return Result{}, false
}

// limit is the highest number of a type per user; see namespaces(7).
func (h *Host) limit(n namespace.Namespace) string {
	text, err := h.text("/proc/sys/user/" + n.Limit)
	if err != nil || text == "" {
		return "no limit"
	}
	return "limit " + text
}

func (h *Host) cloneFailed(p probe, n namespace.Namespace, err error) Result {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return p.notHere("clone answers "+errno(err)+": user."+n.Limit+" ("+h.limit(n)+
			") is used up, or a user namespace above allows fewer",
			"sudo sysctl -w user."+n.Limit+"=100000, there and in the user namespaces above").with(err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), refused(err):
		why, fix := h.refusal("clone", err)
		return p.notHere(why, fix).with(err)
	}
	return p.failed(fmt.Errorf("clone with a new %s namespace: %w", n.Name, err))
}

// errno is the short name of what a call answered: EPERM, ENOSYS, …
func errno(err error) string {
	var e unix.Errno
	if errors.As(err, &e) {
		if name := unix.ErrnoName(e); name != "" {
			return name
		}
	}
	return err.Error()
}

func quoted(s string) string { return `"` + s + `"` }
