package follow

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lingers is how long what a run that is not followed has put into the
// background may stay after the command's end.
const lingers = 30 * time.Second

// background are the processes that a command leaves behind. They come to this
// process, as a subreaper's (Linux 3.4), in whose list of children they are
// (CONFIG_PROC_CHILDREN).
type background struct {
	known   []int // children that are not of the command
	adopted int   // whether this process was a subreaper before
}

// adopt is called before the command starts. release undoes it.
func adopt() (b *background, err error) {
	b = &background{}
	var was int32
	if err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&was)), 0, 0, 0); err != nil {
		return nil, fmt.Errorf("ask who adopts orphans: %w", err)
	}
	b.adopted = int(was)
	if b.known, err = children(); err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("adopt what a command leaves behind: %w", err)
	}
	return b, nil
}

func (b *background) release() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, uintptr(b.adopted), 0, 0, 0); err != nil {
		return fmt.Errorf("no longer adopt what a command leaves behind: %w", err)
	}
	return nil
}

// wait waits until all have ended. After the bound, or when the context is
// done, it kills them: that is an error.
func (b *background) wait(ctx context.Context, most time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	left, err := b.until(bounded)
	if err != nil || len(left) == 0 {
		return err
	}
	name := nameOf(left[0])
	// Those whose parent dies come to us, so that there may be more of them.
	killing, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	for len(left) > 0 && killing.Err() == nil {
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
		}
		short, stop := context.WithTimeout(killing, 10*time.Millisecond)
		left, err = b.until(short)
		stop()
		if err != nil {
			return err
		}
	}
	switch {
	case len(left) > 0:
		return fmt.Errorf("end %q (process %d), which the command has left running: it outlives SIGKILL", name, left[0])
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("it has left %q running, which was killed after %v: a command whose background stays cannot be compared", name, most)
}

// until reaps until none is left or the context is done.
func (b *background) until(ctx context.Context) (left []int, err error) {
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		if left, err = children(); err != nil {
			return nil, err
		}
		left = slices.DeleteFunc(left, func(pid int) bool {
			if slices.Contains(b.known, pid) {
				return true
			}
			got, err := unix.Wait4(pid, nil, unix.WNOHANG|unix.WALL, nil)
			return got == pid || errors.Is(err, unix.ECHILD)
		})
		if len(left) == 0 {
			// Who has just been reaped may have left some of its own.
			if left, err = children(); err != nil {
				return nil, err
			}
			if left = slices.DeleteFunc(left, func(pid int) bool { return slices.Contains(b.known, pid) }); len(left) == 0 {
				return nil, nil
			}
		}
		select {
		case <-ctx.Done():
			return left, nil
		case <-time.After(pause):
		}
	}
}

// children are those of this process, in no order.
func children() ([]int, error) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err == nil && len(lists) == 0 {
		err = errors.New("there is no /proc/self/task/*/children: is /proc mounted, and the kernel built with CONFIG_PROC_CHILDREN?")
	}
	var pids []int
	for _, name := range lists {
		text, rerr := os.ReadFile(name)
		if errors.Is(rerr, os.ErrNotExist) || errors.Is(rerr, unix.ESRCH) {
			continue // that thread has ended
		}
		err = errors.Join(err, rerr)
		for _, word := range strings.Fields(string(text)) {
			if pid, perr := strconv.Atoi(word); perr == nil {
				pids = append(pids, pid)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list the children of this process: %w", err)
	}
	return pids, nil
}

// nameOf is what a process is called, or its number.
func nameOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return strconv.Itoa(pid)
	}
	return strings.TrimSpace(string(text))
}
