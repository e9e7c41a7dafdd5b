package program

import (
	"sync"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
	"isoperf/runtime/program/inherit"
)

// SpareFlags are the namespaces that a launcher may have ready.
const SpareFlags = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// Spare are new namespaces that were made beside the start of this process, by
// a process of its own (see package inherit), for one child to join: a network
// namespace takes the kernel half as long as Go takes to start. They belong to
// the launcher's user namespace, and what the kernel keeps for them is charged
// to the launcher's control groups. Joining them takes setns(2), which whoever
// filters the launcher has to let through. In the network namespace the loopback
// interface is up, if the kernel let it; see LoopbackUp. Nil has none.
type Spare struct {
	kinds []namespace.Namespace
	fds   []int
	up    bool
	maker int // it is done, and to be reaped; 0: nothing is to be
}

// takeOnce guards what a process has once, and taken is who took it; nil: nobody.
var (
	takeOnce sync.Once
	taken    *Spare
)

// TakeSpare gives those of the wanted namespaces, by clone flags, that are
// ready, once in a process. Nil: there are none, because the process was started
// without their maker, or the kernel did not let it make or open them. The
// caller must Close it after the start. The others are given up; 0 gives all up that
// nobody has taken, and reaps their maker, which every process has to do before it
// ends.
func TakeSpare(want uint64) *Spare {
	var s *Spare
	takeOnce.Do(func() {
		s = takeSpare(want)
		taken = s
	})
	if want == 0 {
		taken.reap()
	}
	return s
}

func takeSpare(want uint64) *Spare {
	maker := inherit.Maker()
	if maker == 0 {
		return nil
	}
	s := &Spare{maker: maker}
	made, complete := inherit.Made()
	if !complete { // it is not there yet, or will never be
		s.maker = 0
		if !awaitMaker(maker) {
			return nil
		}
		made, complete = inherit.Made()
	}
	s.up = made.Up
	for _, ns := range []struct {
		name string
		fd   int
	}{{"net", made.Net}, {"uts", made.UTS}, {"ipc", made.IPC}} {
		n, _ := namespace.ByName(ns.name)
		switch {
		case ns.fd < 3: // never 0, 1 or 2, which are the command's
			complete = false
		case n.Flag&want == 0:
			unix.Close(ns.fd)
		default:
			s.kinds, s.fds = append(s.kinds, n), append(s.fds, ns.fd)
		}
	}
	if !complete || len(s.fds) == 0 {
		s.Close()
		return nil
	}
	return s
}

// awaitMaker waits for its end. One that somebody stops is given up.
func awaitMaker(maker int) bool {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(maker, &status, unix.WALL|unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return false
		case status.Stopped():
			_ = unix.Kill(maker, unix.SIGKILL) // it may be gone
		default:
			return true
		}
	}
}

// Flags are the namespaces that it has.
func (s *Spare) Flags() (flags uint64) {
	if s != nil {
		for _, n := range s.kinds {
			flags |= n.Flag
		}
	}
	return flags
}

// LoopbackUp says whether it has a network namespace whose loopback interface is
// up already.
func (s *Spare) LoopbackUp() bool { return s.Flags()&unix.CLONE_NEWNET != 0 && s.up }

// Close gives the descriptors back, a namespace that no child has joined is gone then,
// and reaps the maker.
func (s *Spare) Close() {
	if s == nil {
		return
	}
	for _, fd := range s.fds {
		unix.Close(fd)
	}
	s.fds, s.kinds = nil, nil
	s.reap()
}

// reap reaps the maker. Until a container has its child there are more urgent things.
func (s *Spare) reap() {
	if s != nil && s.maker != 0 {
		awaitMaker(s.maker)
		s.maker = 0
	}
}

// Join enters the namespaces of a Spare, before every other op.
func (p *Program) Join(s *Spare) {
	if s == nil {
		return
	}
	for i, n := range s.kinds {
		op := Setns(Int(s.fds[i]), n.Flag)
		op.Name = "join " + n.Name
		p.Early(op)
	}
}
