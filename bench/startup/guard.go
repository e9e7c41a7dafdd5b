package startup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Guard is for the parent of a process that measures. A process that is killed
// ends nothing: the runtime that it had started dies with it (PR_SET_PDEATHSIG),
// but not what that has started, and not one with a set-user-ID bit. As orphans
// they go to the nearest ancestor that adopts (PR_SET_CHILD_SUBREAPER, prctl(2)):
// to the process that measures while it lives, and then to the guard.
//
//	guard ──start──► isoperf, measuring ──start──► runtime ──► container
//	  ▲                 │ killed                                  │
//	  └── its end ──────┘          Clear: kills ◄── comes to it ──┘
//
// What is measured is not touched: the guard is no part of a start, and sleeps
// until the end.
type Guard struct {
	known  []int    // children of before
	groups []string // control groups of before
}

// engineGroups are the control groups at the top of a hierarchy that peers make
// for themselves and put containers into under names of their own.
func engineGroups() []string { return []string{"libpod_parent", "lxc.pivot", "payload", "supervisor"} }

// NewGuard has orphans come to this process. It is called before the process
// that measures is started.
func NewGuard() (*Guard, error) {
	known, err := adopted()
	if err != nil {
		return nil, err
	}
	groups, err := directories(groupsAt)
	if err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("have orphans come to this process: %w", err)
	}
	return &Guard{known, groups}, nil
}

// Clear ends and removes what the process of that number, which has ended and was
// waited for, has left: processes, the scratch directory, control groups, and
// what runtimes note of its containers below /run. After an end in order there is
// nothing.
func (g *Guard) Clear(pid int) error {
	errs := []error{endOrphans(g.known)}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
		errs = append(errs, fmt.Errorf("have orphans go where they went: %w", err))
	}
	return errors.Join(append(errs, sweep(), g.removeNamed(pid))...)
}

// removeNamed removes control groups and directories below /run that are called
// after a container of a process that has ended, and groups of engines that were
// not there before and have nothing in them.
func (g *Guard) removeNamed(pid int) error {
	name := containersOf(pid)
	dirs, err := directories(groupsAt)
	for _, dir := range slices.Backward(dirs) { // what is inside comes first
		ofEngine := slices.ContainsFunc(engineGroups(), func(name string) bool { return named(dir, name) }) && !slices.Contains(g.groups, dir)
		if strings.Contains(dir, name) || ofEngine {
			err = errors.Join(err, removeEmpty(dir))
		}
	}
	notes, gerr := filepath.Glob("/run/*/" + name + "*")
	err = errors.Join(err, gerr)
	for _, dir := range notes {
		if rerr := os.RemoveAll(dir); rerr != nil {
			err = errors.Join(err, fmt.Errorf("remove %q, which a runtime has left: %w", dir, rerr))
		}
	}
	return err
}
