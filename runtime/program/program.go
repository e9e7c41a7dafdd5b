package program

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
)

// Mode is how the child is launched; see the package comment.
type Mode uint8

// The launch modes.
const (
	VM Mode = iota
	Stub
	Fork
)

// String is the name that result files use.
func (m Mode) String() string { return [...]string{"vm", "stub", "fork"}[m] }

var modeFlags = [...]uint64{VM: unix.CLONE_VM, Stub: unix.CLONE_VM, Fork: 0}

// Program is a list of ops for a child, and how the child is cloned. The zero
// value is not useful; see New. A program may be loaded any number of times.
type Program struct {
	Mode  Mode
	Flags uint64 // CLONE_NEW*, added to what the engine itself sets; 0: none
	// Cgroup is a descriptor of a cgroup v2 directory in which the child is
	// born (CLONE_INTO_CGROUP, Linux 5.7); 0: the launcher's.
	Cgroup int

	ops     []Op
	early   int // how many of ops run before the stub is entered
	kept    []int
	tells   uint32
	gates   uint32
	watched bool             // the kernel marks exec and exit in the arena
	bond    bool             // DieWithParent
	last    []func(*Program) // adds what runs just before execve
	// The original limits are given back already.
	restored bool
	report   Arg  // where it is written that no command could be executed
	reported bool // it is
	execs    int  // how many ops, the last ones, execute a command, or follow when that fails
	armed    Tell // the message after the last time the death signal was armed
	again    bool
	err      error
}

// New is an empty program.
func New(mode Mode, flags uint64) *Program { return &Program{Mode: mode, Flags: flags} }

// Grow makes room for n more ops.
func (p *Program) Grow(n int) { p.ops = slices.Grow(p.ops, n) }

// Add appends an op and names its result.
func (p *Program) Add(op Op) Ref {
	p.ops = append(p.ops, op)
	return Ref(len(p.ops) - 1)
}

// Skip makes an op that fails with an errno it accepts pass over everything that
// was added since.
func (p *Program) Skip(r Ref) { p.ops[r].Skip = len(p.ops) - int(r) - 1 }

// Early appends an op that runs before the stub is entered, while the child
// still has all descriptors of the launcher; in the other modes it is the
// first op. It must come before every other op.
func (p *Program) Early(op Op) Ref {
	if len(p.ops) > p.early {
		p.fail("Early must come before every other op")
	}
	p.early++
	return p.Add(op)
}

// Stdio makes the launcher's descriptors the child's 0, 1 and 2.
func (p *Program) Stdio(in, out, err int) {
	var from [3]Arg
	for i, fd := range []int{in, out, err} {
		from[i] = Int(fd)
		if fd < i { // it would be overwritten before its turn
			from[i] = Result(p.Early(Op{
				Name: "save", Call: unix.SYS_FCNTL, Args: [6]Arg{Int(fd), Int(unix.F_DUPFD_CLOEXEC), Int(3)},
				Text: fmt.Sprintf("fcntl(%d, F_DUPFD_CLOEXEC, 3)", fd),
			}))
		}
	}
	for i, fd := range []int{in, out, err} {
		if fd == i {
			p.Inherit(fd)
			continue
		}
		p.Early(Op{
			Name: "stdio", Call: unix.SYS_DUP3, Args: [6]Arg{from[i], Int(i)},
			Text: fmt.Sprintf("dup3(%v, %d, 0)", from[i], i),
		})
	}
}

// Inherit lets the command have a descriptor of the launcher, under the same
// number.
func (p *Program) Inherit(fd int) {
	p.Early(setCloexec(fd, false))
}

// Hide keeps a descriptor of the launcher from the child: it is closed by the
// next execve.
func (p *Program) Hide(fd int) { p.Early(setCloexec(fd, true)) }

// Keep lets the ops use a descriptor of the launcher; the command does not
// get it.
func (p *Program) Keep(fd int) { p.kept = append(p.kept, fd) }

// setCloexec sets whether the next execve closes a descriptor.
func setCloexec(fd int, on bool) Op {
	name, flag := "inherit", 0
	if on {
		name, flag = "hide", unix.FD_CLOEXEC
	}
	return Op{Name: name, Call: unix.SYS_FCNTL, Args: [6]Arg{Int(fd), Int(unix.F_SETFD), Int(flag)}}
}

// called is the op with a text.
func (op Op) called(text string) Op {
	op.Text = text
	return op
}

// Ops is the program's list, in order.
func (p *Program) Ops() []Op { return p.ops }

// Tell is a message of the child to the launcher; see Process.Await.
type Tell uint32

// Tell adds a message to the launcher: everything before it has been done.
func (p *Program) Tell(name string) Tell {
	p.watched = true
	p.tells++
	n := p.tells
	p.Add(Op{
		Name: name, Call: callTell, Show: func() string { return fmt.Sprintf("tell %d: %s", n, name) },
		Args: [6]Arg{inHeader(offsetTell), Int(futexWake), Int(1<<31 - 1), {}, {}, Int(n)},
	})
	return Tell(n)
}

// Gate is a point at which the child waits for the launcher; see Process.Open.
type Gate uint32

// Wait adds a gate. While it waits, the child looks ten times a second
// whether the launcher's process is alive, and exits when it is not.
func (p *Program) Wait(name string) Gate {
	p.watched = true
	p.gates++
	n := p.gates
	p.Add(Op{
		Name: name, Call: callWait, Show: func() string { return fmt.Sprintf("wait %d: %s", n, name) },
		Args: [6]Arg{inHeader(offsetOpen), Int(futexWait), {}, inHeader(offsetStopAfter), {}, Int(n)},
	})
	return Gate(n)
}

// DieWithParent arms SIGKILL for the end of the launching thread
// (PR_SET_PDEATHSIG). The kernel sends nothing when that thread has ended
// before, so the child tells when it has armed the signal, and Exec waits until
// the launcher has seen that; Start answers by itself. Before an op of its own
// that may wait for ever, a program should Confirm.
func (p *Program) DieWithParent() {
	if p.tells+p.gates > 0 || p.again {
		p.fail("DieWithParent must come before the first Tell, Wait and Again")
	}
	p.bond = true
	p.Rearm()
}

// Rearm arms the death signal again, after an op that changed credentials,
// which disarms it. With DieWithParent the launcher has to answer once more: it
// does when it next calls Await, WaitExec or Wait.
func (p *Program) Rearm() {
	p.Add(Op{
		Name: "die with parent", Call: unix.SYS_PRCTL, Args: [6]Arg{Int(unix.PR_SET_PDEATHSIG), Int(unix.SIGKILL)},
		Text: "prctl(PR_SET_PDEATHSIG, SIGKILL)",
	})
	if p.bond {
		p.armed = p.Tell("armed")
	}
}

// Confirm waits until the launcher has shown that it was alive after the death
// signal was armed. A launcher that was not is gone soon, and so is the child.
// Without DieWithParent it does nothing.
func (p *Program) Confirm() {
	if !p.bond {
		return
	}
	armed := p.armed
	p.Add(Op{
		Name: "confirm", Call: callWait, Show: func() string { return fmt.Sprintf("wait until the launcher has seen tell %d", armed) },
		Args: [6]Arg{inHeader(offsetBond), Int(futexWait), {}, inHeader(offsetStopAfter), {}, Int(uint32(armed))},
	})
}

// Again adds a second clone: a new child, with the flags, goes on with the
// program as the launcher's child, and the first one exits. Joining a pid
// namespace takes it, since setns(2) moves only children there. A program can
// do it once, and not as the init of a new pid namespace.
func (p *Program) Again(flags uint64) Ref {
	if p.again {
		p.fail("Again can be used once")
	}
	p.again, p.watched = true, true
	// The first child's end must not look like the second's.
	p.Add(unwatch())
	flags |= unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID
	args := make([]Arg, unsafe.Sizeof(cloneArgs{})/8)
	args[0] = Int(flags)
	args[unsafe.Offsetof(cloneArgs{}.parentTid)/8] = inHeader(offsetAgain)
	ref := p.Add(Op{
		Name: "clone again", Call: callAgain, Text: "clone3({" + namespace.FlagString(flags) + "})",
		Args: [6]Arg{Words(args...), Int(unsafe.Sizeof(cloneArgs{})), {}, {}, {}, Int(unix.SYS_CLONE3)},
	})
	p.Add(watch())
	if p.bond {
		p.Rearm()
	}
	return ref
}

// ForkFlags are the flags of Fork's clone, its first argument.
const ForkFlags = unix.CLONE_PARENT_SETTID

// Fork adds a clone that copies the child (without its threads, of which it has
// one): the copy passes over skip ops, the original goes on with the next one.
// Both then walk the same list, so each must end, or execute something, before
// it meets the other's ops. Copy is the copy's number. They share the results of
// the ops. It is the old clone and not clone3, whose flags are in memory, so that
// no seccomp filter can see them: filters that let processes be made, but no
// namespaces (Docker's is one), have clone3 fail with ENOSYS.
func (p *Program) Fork(skip int) {
	p.watched = true
	p.Add(unwatch())
	p.Add(Op{
		Name: "fork", Call: unix.SYS_CLONE, Text: "clone(CLONE_PARENT_SETTID): the copy goes on behind the original's ops", Zero: skip,
		Args: [6]Arg{Int(ForkFlags), {}, inHeader(offsetForked)},
	})
}

// Rewatch makes the calling process the one whose execve and end the launcher
// sees; a copy that Fork made is to be that.
func (p *Program) Rewatch() { p.Add(watch()) }

// unwatch takes the mark away: this process's end is not the command's.
func unwatch() Op {
	return Op{Name: "unwatch", Call: unix.SYS_SET_ROBUST_LIST, Args: [6]Arg{{}, Int(24)}, Text: "set_robust_list(NULL, 24)"}
}

// watch has the kernel mark the child's execve and exit in the arena: it
// walks the robust futex list then; see get_robust_list(2).
func watch() Op {
	return Op{Name: "watch", Call: callWatch, Text: "gettid, set_robust_list: mark exec and exit"}
}

// What the child is called until it executes the command: its first argument
// (in mode stub), and its name, which no file can have.
const (
	initName = "isoperf-init"
	initComm = "isoperf/init"
)

// setName gives the child its name.
func setName() Op {
	return Op{
		Name: "name", Call: unix.SYS_PRCTL, Args: [6]Arg{Int(unix.PR_SET_NAME), String(initComm)},
		Text: `prctl(PR_SET_NAME, "` + initComm + `")`,
	}
}

func (p *Program) fail(text string) {
	if p.err == nil {
		p.err = fmt.Errorf("build program: %s", text)
	}
}

// Print writes the program, one op a line, as it is executed. The ops that the
// mode adds have no number.
func (p *Program) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "clone3({%s}), mode %s\n", namespace.FlagString(p.cloneFlags()), p.Mode)
	img := Image{program: p, ops: p.plan(&stubFile{fd: -1})}
	width := 0
	for _, op := range img.ops.all() {
		width = max(width, utf8.RuneCountInString(op.Name))
	}
	for i, op := range img.ops.all() {
		number := "-"
		if n := img.number(i); n != 0 {
			number = strconv.Itoa(n)
		}
		fmt.Fprintf(&b, "%4s  %-*s  %s\n", number, width, op.Name, op)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
