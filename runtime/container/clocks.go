package container

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

const enterTimeOp = "enter time namespace"

// enterTime enters the time namespace that the child has made. From Linux 6.2
// on the command's execve does that. Before, it is for the next child alone, and
// a process that stays outside can start no thread (clone is EINVAL), which few
// programs survive; but a process that is alone in its memory, as the stub is,
// can join it.
func (pl *Plan) enterTime() {
	p := pl.program
	fd := program.Result(p.Add(program.Open("/proc/self/ns/time_for_children", unix.O_RDONLY)))
	p.Add(named(enterTimeOp, program.Setns(fd, unix.CLONE_NEWTIME)))
	pl.enters = true
	p.Add(program.Close(fd))
}

// execEntersTime says whether execve enters the time namespace for children:
// Linux 6.2, commit 2b5f9dad32ed.
func execEntersTime() bool {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false // then it is entered twice, which does no harm
	}
	words := strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3)
	if len(words) < 2 {
		return false
	}
	// What is no number is 0: an old kernel, as above.
	major, _ := strconv.Atoi(words[0])
	minor, _ := strconv.Atoi(words[1])
	return major > 6 || major == 6 && minor >= 2
}

// unshift takes the offset of the monotonic clock out of the stamps that the
// child took by that clock inside of its time namespace.
func (pl *Plan) unshift(t program.Timeline) program.Timeline {
	if !pl.shifts() {
		return t
	}
	o := pl.spec.Linux.TimeOffsets["monotonic"]
	offset := o.Secs*1e9 + int64(o.Nanosecs)
	inside := false
	for i := range t.Spans {
		s := &t.Spans[i]
		if inside {
			s.Start -= offset
		}
		inside = inside || s.Name == enterTimeOp
		if inside {
			s.End -= offset
		}
	}
	return t
}

// shifts says whether a part of the child's stamps is shifted.
func (pl *Plan) shifts() bool {
	_, ok := pl.spec.Linux.TimeOffsets["monotonic"]
	return pl.enters && ok && program.ClockSource() == "clock_gettime"
}
