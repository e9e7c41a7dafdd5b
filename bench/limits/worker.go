package limits

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// patience is how long a load may take to get ready, or to stop. A group of 1 %
// lets a process start within seconds only.
const patience = 30 * time.Second

// awaitReady waits until as many threads of the load wait for Go.
func (w *worker) awaitReady(threads int) error {
	for begin := time.Now(); w.board.Ready.Load() < uint32(threads); time.Sleep(200 * time.Microsecond) {
		if time.Since(begin) > patience {
			return fmt.Errorf("it does not get ready within %v", patience)
		}
		if w.gone() {
			status, err := w.wait()
			if err == nil {
				err = fmt.Errorf("it ended at once: %v", status)
			}
			return err
		}
	}
	return nil
}

// gone says whether the process has ended.
func (w *worker) gone() bool {
	fds := []unix.PollFd{{Fd: int32(w.proc.Pidfd()), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, 0) // interrupted: it is looked at again
	return n > 0
}

func (w *worker) wait() (program.Status, error) {
	w.ended = true
	status, err := w.proc.Wait()
	w.proc.Release()
	return status, err
}

// stop tells the load to end and waits for it, bounded; then it is killed.
func (w *worker) stop() (program.Status, error) {
	if w.ended {
		return program.Status{}, nil
	}
	w.board.Stop()
	timer := time.AfterFunc(patience, func() { _ = w.proc.Signal(unix.SIGKILL) }) // it may have ended
	defer timer.Stop()
	return w.wait()
}

// close kills the load, when it still runs, and gives its board back.
func (w *worker) close() error {
	var err error
	if !w.ended && w.proc != nil {
		if kerr := w.proc.Signal(unix.SIGKILL); kerr != nil && !errors.Is(kerr, os.ErrProcessDone) {
			err = fmt.Errorf("kill a load: %w", kerr)
		}
		_, werr := w.wait()
		err = errors.Join(err, werr)
	}
	if w.board != nil {
		err = errors.Join(err, w.board.Close())
		w.board = nil
	}
	return err
}

// cpuTime is the CPU time of the load's processes, by their own clocks: what no
// group has a say in. See clock_getcpuclockid(3).
func (w *worker) cpuTime() (sum time.Duration, err error) {
	for _, pid := range append([]int{w.proc.Pid()}, w.hogs...) {
		var ts unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
			return 0, fmt.Errorf("read the CPU clock of load %d: %w", pid, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// strays are the threads of the load that are not in a directory's group; in
// version 1 each thread can be somewhere else.
func (w *worker) strays(dir string, v2 bool) (strays []int, err error) {
	for _, pid := range append([]int{w.proc.Pid()}, w.hogs...) {
		some, err := straysOf(pid, dir, v2)
		if err != nil {
			return nil, err
		}
		strays = append(strays, some...)
	}
	return strays, nil
}

func straysOf(pid int, dir string, v2 bool) ([]int, error) {
	file := dir + "/tasks"
	if v2 {
		file = dir + "/cgroup.threads"
	}
	// A thread that is made between the two readings, or has ended, is no stray.
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, fmt.Errorf("list the threads of load %d: %w", pid, err)
	}
	inside, err := numbers(file)
	if errors.Is(err, unix.EOPNOTSUPP) { // version 2, no threads of its own: by process
		inside, err = numbers(dir + "/cgroup.procs")
		if err == nil && !slices.Contains(inside, pid) {
			return []int{pid}, nil
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	var strays []int
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil && !slices.Contains(inside, tid) {
			if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", pid, tid)); err == nil {
				strays = append(strays, tid)
			}
		}
	}
	return strays, nil
}

// numbers reads a file of numbers.
func numbers(file string) ([]int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the members of a group: %w", err)
	}
	var list []int
	for word := range strings.FieldsSeq(string(text)) {
		if n, err := strconv.Atoi(word); err == nil {
			list = append(list, n)
		}
	}
	return list, nil
}
