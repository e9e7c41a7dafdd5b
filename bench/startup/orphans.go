package startup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long what a runtime leaves running may take to end by itself.
const patience = 3 * time.Second

// children are those of this process.
func children() ([]int, error) {
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil, fmt.Errorf("list the children of this process: %w", err)
	}
	var pids []int
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return nil, fmt.Errorf("list the children of this process: %w", err)
		}
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

// awaitOrphans waits until the children that are not among known have ended,
// and reaps them; left are those that have not after a while.
func awaitOrphans(known []int, within time.Duration) (left []int, err error) {
	for pause, start := 100*time.Microsecond, time.Now(); ; pause = min(2*pause, 5*time.Millisecond) {
		if left, err = children(); err != nil {
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
// parent dies come to us. Known children are spared.
func endOrphans(known []int) error {
	for range 200 {
		left, err := awaitOrphans(known, 0)
		if err != nil || len(left) == 0 {
			return err
		}
		for _, pid := range left {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
				return fmt.Errorf("kill process %d, which a runtime has left: %w", pid, err)
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.New("kill what a runtime has left: there is always more of it")
}

// commandOf is what a process is called.
func commandOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return strconv.Itoa(pid)
	}
	return strings.TrimSpace(string(text))
}
