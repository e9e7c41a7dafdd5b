package startup

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long what a runtime leaves running may take to end by itself.
const patience = 3 * time.Second

// comeTo lists the children of this process's first thread, to which orphans
// come: of the reaper's threads the kernel takes the first one that has not
// ended (kernel/exit.c, find_new_reaper), and Go never ends the one that it began
// with. The children that other threads have started are not there: they are
// somebody's, who waits for them.
var comeTo = fmt.Sprintf("/proc/self/task/%d/children", os.Getpid())

// adopted are the orphans that have come to this process, and whatever else its
// first thread has started. This is looked at before and after each start, and
// must not take long: while this process works, the machine forgets what starts
// need, and the next one takes longer.
func adopted() ([]int, error) {
	text, err := os.ReadFile(comeTo)
	if err != nil {
		return nil, fmt.Errorf("list the orphans that have come to this process: %w", err)
	}
	var pids []int
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("list the orphans that have come to this process: %q in %q: %w", word, comeTo, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// awaitOrphans waits until the orphans that are not among known have ended,
// and reaps them; left are those that have not after a while.
func awaitOrphans(known []int, within time.Duration) (left []int, err error) {
	for pause, start := 100*time.Microsecond, time.Now(); ; pause = min(2*pause, 5*time.Millisecond) {
		if left, err = adopted(); err != nil {
			return nil, err
		}
		left = slices.DeleteFunc(left, func(pid int) bool {
			if slices.Contains(known, pid) {
				return true
			}
			got, err := unix.Wait4(pid, nil, unix.WNOHANG|unix.WALL, nil)
			return got == pid || err == unix.ECHILD
		})
		if len(left) == 0 || time.Since(start) > within {
			return left, nil
		}
		time.Sleep(pause)
	}
}

// endOrphans kills what is left of a start, again and again, since those whose
// parent dies come to us. Known ones are spared. One that may not be killed is
// named in the error, once the others are gone.
func endOrphans(known []int) error {
	spared := slices.Clone(known)
	var refused []error
	for range 200 {
		left, err := awaitOrphans(spared, 0)
		if err != nil || len(left) == 0 {
			return errors.Join(append(refused, err)...)
		}
		for _, pid := range left {
			switch err := unix.Kill(pid, unix.SIGKILL); err {
			case nil, unix.ESRCH:
			case unix.EPERM:
				spared, refused = append(spared, pid), append(refused, notOurs(pid))
			default:
				return fmt.Errorf("kill process %d, which a runtime has left: %w", pid, err)
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.Join(append(refused, errors.New("kill what a runtime has left: there is always more of it"))...)
}

// notOurs is the error of a process that may not be killed. Whoever has changed
// all of its user ids, as a program with the set-user-ID bit can, is out of reach
// of the user who started it; see kill(2).
func notOurs(pid int) error {
	return fmt.Errorf("kill process %d (%s), which a runtime has left: %w; it has made itself another user's and still runs: end it as root, with \"kill -9 %d\"", pid, commandOf(pid), unix.EPERM, pid)
}

// commandOf is what a process is called.
func commandOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return strconv.Itoa(pid)
	}
	return strings.TrimSpace(string(text))
}
