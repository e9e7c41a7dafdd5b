package program

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// AgainFiltered is Again without namespaces of its own, for a child that is
// under a seccomp filter already. It takes the old clone(2), whose flags a filter
// can see: those that forbid namespaces have clone3 fail with ENOSYS.
func (p *Program) AgainFiltered() {
	if p.again {
		p.fail("Again can be used once")
	}
	p.again, p.watched = true, true
	p.Add(unwatch())
	p.Add(Op{
		Name: "clone again", Call: callAgain, Text: "clone(CLONE_PARENT|CLONE_PARENT_SETTID): the second child goes on",
		Args: [6]Arg{Int(AgainFlags), {}, inHeader(offsetAgain), {}, {}, Int(unix.SYS_CLONE)},
	})
	p.Add(watch())
	if p.bond {
		p.Rearm()
	}
}

// AgainFlags are the flags of AgainFiltered's clone, its first argument.
const AgainFlags = unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID

// WatchPipe has a child that waits look at the read end of a pipe, instead of at
// a descriptor of the launcher's process: with that one, whoever steals it could
// ask for the launcher's own. The launcher alone has the other end.
func WatchPipe(end int) Op {
	return Op{
		Name: "watch pipe", Call: unix.SYS_DUP3, Args: [6]Arg{Int(end), Int(parentFd()), Int(unix.O_CLOEXEC)},
		Text: "dup3(" + strconv.Itoa(end) + ", the launcher's descriptor, O_CLOEXEC)",
	}
}

// CloseRest closes every descriptor from first on but the one by which a child
// that waits sees that the launcher is alive.
func CloseRest(first int) []Op {
	var ops []Op
	if parent := parentFd(); parent >= first {
		if parent > first {
			ops = append(ops, CloseRange(uint32(first), uint32(parent-1)))
		}
		first = parent + 1
	}
	return append(ops, CloseRange(uint32(first), ^uint32(0)))
}

// Undumpable keeps everybody without CAP_SYS_PTRACE over the launcher's user
// namespace from tracing the child, and from its /proc/PID/fd, exe and root, until
// it executes its command; see PR_SET_DUMPABLE in prctl(2).
func Undumpable() Op {
	return Op{Name: "untraceable", Call: unix.SYS_PRCTL, Args: [6]Arg{Int(unix.PR_SET_DUMPABLE), Int(0)}, Text: "prctl(PR_SET_DUMPABLE, 0)"}
}

// Fchown makes uid the owner of a file behind a descriptor.
func Fchown(fd Arg, uid int) Op {
	return Op{Name: "own " + fd.String(), Call: unix.SYS_FCHOWN, Args: [6]Arg{fd, Int(uid), Int(-1)}}
}

// Setaffinity is sched_setaffinity(2).
func Setaffinity(cpus *unix.CPUSet, list string) Op {
	mask := make([]Arg, len(cpus))
	for i, word := range cpus {
		mask[i] = Int(uint64(word))
	}
	return Op{
		Name: "affinity", Call: unix.SYS_SCHED_SETAFFINITY, Args: [6]Arg{Int(0), Int(8 * len(mask)), Words(mask...)},
		Text: "sched_setaffinity(0, {" + list + "})",
	}
}
