package capability

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// DropBounding takes every capability up to last (see Last) that is not in keep
// out of the bounding set: one prctl(PR_CAPBSET_DROP) each, as the kernel has no
// call for several. The child needs CAP_SETPCAP in its user namespace. A new
// user namespace starts with a full bounding set, whatever its maker had.
func DropBounding(p *program.Program, keep Set, last int) {
	for _, n := range (UpTo(last) &^ keep).numbers() {
		p.Add(program.Op{
			Name: "drop " + name(n), Call: unix.SYS_PRCTL,
			Args: [6]program.Arg{program.Int(unix.PR_CAPBSET_DROP), program.Int(n)},
			Show: func() string { return "prctl(PR_CAPBSET_DROP, " + name(n) + ")" },
		})
	}
}

// Keep has a change of the user from 0 to another leave the permitted set as it
// is, until the next execve.
func Keep(p *program.Program) {
	p.Add(program.Op{
		Name: "keep capabilities", Call: unix.SYS_PRCTL,
		Args: [6]program.Arg{program.Int(unix.PR_SET_KEEPCAPS), program.Int(1)},
		Text: "prctl(PR_SET_KEEPCAPS, 1)",
	})
}

// Apply gives the child the effective, permitted, inheritable and ambient set
// of s; the bounding set is DropBounding's. The child must have been permitted
// all that it is to be, and s must hold no capability that the kernel does not
// know: see Sets.Check, Sets.Within and Last.
func Apply(p *program.Program, s Sets) {
	p.Add(capset("capset", s.Effective, s.Permitted, s.Inheritable))
	// capset has taken from the ambient set what is not both permitted and
	// inheritable. Other than that, it may have been inherited.
	if s.Permitted&s.Inheritable&^s.Ambient != 0 {
		p.Add(program.Op{
			Name: "clear ambient", Call: unix.SYS_PRCTL,
			Args: [6]program.Arg{program.Int(unix.PR_CAP_AMBIENT), program.Int(unix.PR_CAP_AMBIENT_CLEAR_ALL)},
			Text: "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)",
		})
	}
	for _, n := range s.Ambient.numbers() {
		p.Add(raise(n))
	}
}

// RaiseAmbient makes s permitted, effective, inheritable and ambient, and
// nothing else, so that it survives an execve of a user who has no name in a
// user namespace that has no map yet: such a user is not root there, and execve
// would take everything. The child must be permitted s. With early the ops run
// before the stub is entered, which is such an execve of a cloned user
// namespace's first process. A later change of the user from or to 0, or
// Apply, takes the ambient set away again.
func RaiseAmbient(p *program.Program, s Set, early bool) {
	add := p.Add
	if early {
		add = p.Early
	}
	add(capset("capset before execve", s, s, s))
	for _, n := range s.numbers() {
		add(raise(n))
	}
}

func raise(n int) program.Op {
	return program.Op{
		Name: "raise ambient " + name(n), Call: unix.SYS_PRCTL,
		Args: [6]program.Arg{program.Int(unix.PR_CAP_AMBIENT), program.Int(unix.PR_CAP_AMBIENT_RAISE), program.Int(n)},
		Text: "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, " + name(n) + ", 0, 0)",
	}
}

// capset is capset(2) of the calling thread, in version 3 of the interface: the
// low words of the three sets, then the high words.
func capset(opName string, effective, permitted, inheritable Set) program.Op {
	header := binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	header = binary.NativeEndian.AppendUint32(header, 0) // pid: this thread
	var data []byte
	for shift := 0; shift < 64; shift += 32 {
		for _, s := range []Set{effective, permitted, inheritable} {
			data = binary.NativeEndian.AppendUint32(data, uint32(s>>shift))
		}
	}
	return program.Op{
		Name: opName, Call: unix.SYS_CAPSET,
		Args: [6]program.Arg{program.Bytes(header), program.Bytes(data)},
		Show: func() string {
			return fmt.Sprintf("capset({_LINUX_CAPABILITY_VERSION_3, 0}, {effective: %v, permitted: %v, inheritable: %v})",
				effective, permitted, inheritable)
		},
	}
}
