package limits

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// kill ends all processes. They are gone when the kernel says so of each, and the
// group is empty when it says so of the group. Who is left after a while is a
// finding, not a time.
func (f *icebox) kill() (values []sample.Value, said string, err error) {
	begin := program.Now()
	signals, err := f.strike()
	if err != nil {
		return nil, "", err
	}
	told := program.Now()
	var gone, empty int64
	rest := slices.Clone(f.workers)
	err = f.until("all processes are gone", mourning, func() (bool, error) {
		if rest = slices.DeleteFunc(rest, (*worker).gone); len(rest) == 0 && gone == 0 {
			gone = program.Now()
		}
		none, err := f.empty()
		if none && empty == 0 {
			empty = program.Now()
		}
		return gone > 0 && empty > 0, err
	})
	if err != nil && !errors.Is(err, errLasts) {
		return nil, "", err
	}
	left, said := 0, "empty"
	if err != nil {
		left, said = max(1, len(rest)), "not empty"
	}
	for _, w := range f.workers {
		if slices.Contains(rest, w) {
			continue
		}
		status, err := w.wait()
		if err == nil && status.Signal != unix.SIGKILL {
			err = fmt.Errorf("it ended otherwise: %v", status)
		}
		if err != nil {
			return nil, said, fmt.Errorf("see task %d be killed: %w", w.proc.Pid(), err)
		}
	}
	values = append(values, sample.Value{Unit: "kill-write-ns", Value: float64(told - begin)}, sample.Value{Unit: "signal-count", Value: float64(signals)}, sample.Value{Unit: "left-count", Value: float64(left)})
	if left == 0 {
		values = append(values, sample.Value{Unit: "kill-ns", Value: float64(gone - begin)}, sample.Value{Unit: "empty-ns", Value: float64(empty - begin)})
	}
	return values, said, nil
}

// strike kills: by one write in version 2 since Linux 5.14, by signals otherwise;
// it says by how many.
func (f *icebox) strike() (signals int, err error) {
	if f.v2 {
		file, err := os.OpenFile(f.dir+"/cgroup.kill", os.O_WRONLY, 0)
		if err == nil {
			_, err = file.WriteString("1")
			err = errors.Join(err, file.Close())
		}
		if !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
	}
	for _, w := range f.workers {
		if err := w.proc.Signal(unix.SIGKILL); err != nil {
			return 0, fmt.Errorf("kill task %d: %w", w.proc.Pid(), err)
		}
	}
	return len(f.workers), nil
}

// empty says whether the group has no process that lives.
func (f *icebox) empty() (bool, error) {
	if f.v2 {
		n, err := f.event("populated")
		return n == "0", err
	}
	list, err := numbers(f.dir + "/cgroup.procs")
	return len(list) == 0, err
}
