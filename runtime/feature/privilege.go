package feature

import "golang.org/x/sys/unix"

// Privileges asks who we are.
func (h *Host) Privileges() []Result {
	return []Result{h.Privilege(), h.SysResource()}
}

// Privilege asks for CAP_SYS_ADMIN, or for a user namespace that gives it:
// without it, a run enters one user namespace first and measures inside.
func (h *Host) Privilege() Result {
	p := probe{groupPrivilege, "privilege"}
	if _, err := h.status("CapEff"); err != nil {
		return p.failed(err)
	}
	if h.capable(unix.CAP_SYS_ADMIN) {
		if h.InUserNamespace() {
			return p.have("CAP_SYS_ADMIN inside a user namespace (results say privilege: userns)")
		}
		return p.have("CAP_SYS_ADMIN (results say privilege: root)")
	}
	who := "ordinary user"
	if h.UID() == 0 {
		who = "root without CAP_SYS_ADMIN"
	}
	user := h.UserNamespace()
	switch user.State {
	case Have:
		return p.have(who + "; measures inside a user namespace (results say privilege: userns)")
	case NotHere:
		return p.notHere(who+", and no user namespace: "+user.Why, user.Fix).with(user.Err)
	}
	return p.because(user)
}

// SysResource asks for CAP_SYS_RESOURCE: raising hard limits, and lowering
// oom_score_adj; see capabilities(7).
func (h *Host) SysResource() Result {
	p := probe{groupPrivilege, "CAP_SYS_RESOURCE"}
	set, err := h.status("CapEff")
	switch {
	case err != nil:
		return p.failed(err)
	case !h.capable(unix.CAP_SYS_RESOURCE):
		fix := "run as root"
		if h.UID() == 0 {
			fix = h.Container().grant("CAP_SYS_RESOURCE")
		}
		return p.notHere("CapEff in /proc/self/status is "+set+
			": hard limits cannot be raised, nor oom_score_adj lowered", fix)
	case h.InUserNamespace():
		return p.have("held, but only inside this user namespace")
	}
	return p.have("held")
}
