package attach

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// openWrite prepares the move of a process from one group to another, after a
// pause, by a write to a file; self: of the writer itself.
func openWrite(hierarchy, file string, self bool, gap time.Duration) (harness.Sampler, error) {
	w, err := newPlace(hierarchy, 2)
	if err != nil {
		return nil, err
	}
	s := &sampler{place: w, closing: func() error { return nil }}
	who := "0"
	if !self {
		moved, err := w.waiting()
		if err != nil {
			return nil, fmt.Errorf("start the process that is moved: %w", first(err, s.Close()))
		}
		who = strconv.Itoa(moved.Pid())
		s.closing = func() error { return harness.End(moved) }
	}
	p, timed, seen := mover(w.dirs, file, who, gap)
	img, err := program.Load(p)
	if err != nil {
		return nil, first(err, s.Close())
	}
	ended := s.closing
	s.closing = func() error { img.Close(); return ended() }
	s.one = func() ([]sample.Value, error) {
		if _, err := img.Cycle(); err != nil {
			return nil, err
		}
		took := float64(img.Took(timed))
		err := isIn(who, w.dirs[1]+"/"+file)
		if self {
			err = seen.in(img, w.dirs[1])
		}
		return []sample.Value{{Unit: "op-ns", Value: took}}, err
	}
	return s.begin()
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// waiting is a process that waits, and ends with the place's thread.
func (w *place) waiting() (*program.Process, error) {
	p := program.New(program.Stub, 0)
	p.DieWithParent()
	p.Add(program.Pause())
	return w.Start(p)
}

// mover writes who into the first group, pauses, and writes who into the second:
// that is timed. Without a pause, two more writes come before.
func mover(dirs []string, file, who string, gap time.Duration) (*program.Program, program.Ref, whereabouts) {
	p := program.New(program.Stub, 0)
	var into [2]program.Arg
	for i, dir := range dirs {
		into[i] = program.Result(p.Add(program.Open(dir+"/"+file, unix.O_WRONLY)))
	}
	p.Add(program.Write(into[0], who))
	if gap > 0 {
		p.Add(program.Sleep(int64(gap)))
	} else {
		p.Add(program.Write(into[1], who))
		p.Add(program.Write(into[0], who))
	}
	timed := p.Add(program.Write(into[1], who))
	seen := newWhereabouts(p)
	p.Add(program.Exit(0))
	return p, timed, seen
}

// isIn looks for a process in a group's list.
func isIn(pid, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("look where process %s is: %w", pid, err)
	}
	if list := strings.Fields(string(text)); !slices.Contains(list, pid) {
		return fmt.Errorf("process %s is not in %q, which has %v", pid, path, list)
	}
	return nil
}
