package container

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"isoperf/runtime/capability"
	"isoperf/runtime/program"
)

// credentials drops what the command may not have. In a user namespace whose
// setgroups is denied the supplementary groups stay those of the caller.
func (pl *Plan) credentials() error {
	p, process := pl.program, pl.spec.Process
	pl.ownPipes()
	privileged := pl.spec.Rootless() || joinsUser(pl.spec)
	sets, last, err := pl.capabilities(privileged)
	if err != nil {
		return err
	}
	may, err := pl.powers(privileged)
	if err != nil {
		return err
	}
	if may.Has(capability.Of(unix.CAP_SETPCAP)) {
		capability.DropBounding(p, sets.Bounding, last)
	}
	user := process.User
	if user.UID != 0 {
		capability.Keep(p)
	}
	if !may.Has(capability.Of(unix.CAP_SETGID)) && len(user.AdditionalGids) == 0 {
		// An ordinary user outside of user namespaces keeps the own groups.
	} else if pl.setgroups() {
		op := program.Setgroups(user.AdditionalGids)
		if len(user.AdditionalGids) == 0 && joinsUser(pl.spec) {
			op.Accept = []syscall.Errno{unix.EPERM} // denied in that namespace: then there are none to drop
		}
		p.Add(op)
	} else if len(user.AdditionalGids) > 0 {
		return errors.New("process.user.additionalGids: setgroups is denied in a user namespace with a single id: give it ranges of ids")
	}
	p.Add(program.Setresgid(int(user.GID)))
	p.Add(program.Setresuid(int(user.UID)))
	capability.Apply(p, sets)
	if user.UID != 0 || user.GID != 0 || !pl.isRoot() {
		p.Rearm() // the kernel disarms it when an id changes
	}
	return nil
}

// capabilities are the sets that the command gets, and the last capability that
// the kernel has.
func (pl *Plan) capabilities(privileged bool) (sets capability.Sets, last int, err error) {
	sets, err = capability.FromOCI(pl.spec.Process.Capabilities)
	if err != nil {
		return sets, 0, err
	}
	// What is not inheritable cannot be ambient: the kernel refuses it. Bundles
	// that tools write ask for it all the same.
	if extra := sets.Ambient &^ (sets.Inheritable & sets.Permitted); extra != 0 {
		pl.warn("process.capabilities.ambient: %v is left out, since it is not inheritable and permitted too", extra)
		sets.Ambient &^= extra
	}
	if err := sets.Check(); err != nil {
		return sets, 0, fmt.Errorf("process.capabilities: %w", err)
	}
	last, err = capability.Last()
	if err != nil {
		return sets, 0, err
	}
	// Capabilities that this kernel does not have cannot be given, and are
	// left out, as the specification asks.
	known := capability.UpTo(last)
	for _, s := range []*capability.Set{&sets.Bounding, &sets.Effective, &sets.Permitted, &sets.Inheritable, &sets.Ambient} {
		*s &= known
	}
	if !privileged {
		have, err := capability.Permitted()
		if err != nil {
			return sets, 0, err
		}
		// The specification wants a warning, not an error.
		given, lack := sets.Within(have)
		if sets = given; lack != 0 {
			pl.warn("process.capabilities: %v is left out, since the caller itself does not have it", lack)
		}
	}
	return sets, last, nil
}

// powers are the capabilities that the child has when it comes to its
// credentials: all in a user namespace, otherwise the launcher's. Without
// CAP_SETPCAP nothing can be dropped from the bounding set, nor needs to be: it
// is about what a later execve may give, and no_new_privs forbids that.
func (pl *Plan) powers(privileged bool) (capability.Set, error) {
	if privileged {
		return capability.All(), nil
	}
	have, err := capability.Permitted()
	if err == nil && !have.Has(capability.Of(unix.CAP_SETPCAP)) && !pl.spec.Process.NoNewPrivileges {
		err = errors.New("process.noNewPrivileges: without it, dropping capabilities for good takes CAP_SETPCAP: run as root, or in a user namespace")
	}
	return have, err
}

// isRoot says whether the child is user and group 0 before it becomes the
// command's.
func (pl *Plan) isRoot() bool {
	if !pl.spec.Rootless() {
		return unix.Geteuid() == 0 && unix.Getegid() == 0 && !joinsUser(pl.spec)
	}
	_, user := pl.maps.HostUID(0)
	_, group := pl.maps.HostGID(0)
	return user && group
}

// setgroups says whether supplementary groups can be set: not where an ordinary
// user wrote the map of a single id, for which the kernel wants it denied.
func (pl *Plan) setgroups() bool {
	if !pl.spec.Rootless() {
		return true
	}
	return unix.Geteuid() == 0 || len(pl.maps.GIDs) > 1 || len(pl.maps.GIDs) == 1 && pl.maps.GIDs[0].Size > 1
}
