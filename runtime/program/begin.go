package program

import "fmt"

// What a program may become that is started before it is complete. It is memory
// only where it is used.
const (
	partialOps  = 1 << 13
	partialSize = 1 << 23
)

// Begin starts the program that there is so far; the last op must be a gate.
// While the child gets there, the launcher adds the rest, and then calls
// Continue: a clone, and the execve of the stub, take as long as the planning of
// a container. Early, Keep and DieWithParent must have been called before.
func Begin(p *Program) (*Process, error) {
	if n := len(p.ops); n == 0 || p.ops[n-1].Call != callWait {
		return nil, fmt.Errorf("begin program: its last op is no gate for the child to wait at")
	}
	img, err := loadInto(p, partialOps, partialSize)
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
// before must not be changed. After an error the child still waits: kill it.
func (p *Process) Continue(g Gate) error {
	img := p.img
	if !img.partial {
		return fmt.Errorf("continue process %d: its program was complete when it began", p.Pid())
	}
	if err := img.program.check(); err != nil {
		return err
	}
	known := img.ops.len()
	img.ops.rest = img.program.ops[img.program.early:]
	if n := img.ops.len(); n > img.room {
		return fmt.Errorf("load program: it has %d ops, the most is %d", n, img.room)
	}
	if err := img.layout(known); err != nil {
		return err
	}
	if err := img.fits(img.arena.size); err != nil {
		return err
	}
	img.writeOps(known)
	p.Open(g)
	p.answer()
	return nil
}
