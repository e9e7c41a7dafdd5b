package program

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// What a program may become that is started before it is complete. It is memory
// only where it is used.
const (
	partialOps  = 1 << 13
	partialSize = arenaMost
)

// CanBegin says whether this process may have a file as large as Begin makes,
// in memory (RLIMIT_FSIZE). Where not, a program has to be complete first.
func CanBegin() bool {
	var l unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_FSIZE, &l) == nil && l.Cur >= partialSize
}

// Begin starts the program that there is so far; the last op must be a gate.
// While the child gets there, the launcher adds the rest, and then calls
// Continue: a clone, and the execve of the stub, take as long as the planning of
// a container. Early, Keep and DieWithParent must have been called before.
func Begin(p *Program) (*Process, error) {
	if n := len(p.ops); n == 0 || p.ops[n-1].Call != callWait {
		return nil, fmt.Errorf("begin program: its last op is no gate for the child to wait at")
	}
	img, err := loadInto(p, partialOps, partialSize, false)
	if err != nil {
		return nil, err
	}
	img.partial = true
	proc, err := img.Start()
	if err != nil {
		img.Close()
		return nil, err
	}
	proc.owned = true
	return proc, nil
}

// Continue lays out the ops that were added since, and lets the child pass the
// gate at which it waits for them; any number of times. Ops that were laid out
// before must not be changed. It does not wait for the child: Confirm, or another
// wait, has to follow. After an error the child still waits: kill it.
func (p *Process) Continue(g Gate) error {
	img := p.img
	if !img.partial {
		return fmt.Errorf("continue process %d: its program was complete when it began", p.Pid())
	}
	known, ops := img.ops.len(), img.ops
	if err := img.program.check(known - img.extra()); err != nil {
		return err
	}
	ops.rest = img.program.ops[img.program.early:]
	if n := ops.len(); n > img.room {
		return fmt.Errorf("load program: it has %d ops, the most is %d", n, img.room)
	}
	img.ops, img.armed = ops, img.program.armed
	if err := img.layout(known); err != nil {
		return err
	}
	if err := img.fits(img.arena.size); err != nil {
		return err
	}
	img.writeOps(known, ops.len())
	p.Open(g)
	return nil
}
