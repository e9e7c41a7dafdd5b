package program

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// cloneFlags are all flags of the program's clone3.
func (p *Program) cloneFlags() uint64 {
	flags := p.Flags | modeFlags[p.Mode] | unix.CLONE_PIDFD | unix.CLONE_CLEAR_SIGHAND
	if p.Cgroup != 0 {
		flags |= unix.CLONE_INTO_CGROUP
	}
	return flags
}

// check finds what would lead the loop astray, in the ops from number from on:
// it trusts what it walks.
func (p *Program) check(from int) error {
	if p.err != nil {
		return p.err
	}
	if p.Flags&unix.CLONE_PARENT != 0 {
		return fmt.Errorf("load program: with CLONE_PARENT the launcher could not wait for the child")
	}
	if p.Flags&unix.CLONE_VFORK != 0 && p.gates+p.tells > 0 {
		return fmt.Errorf("load program: with CLONE_VFORK the launcher sleeps until execve; a program that waits for it, or tells it something, would wait for ever")
	}
	for i := from; i < len(p.ops); i++ {
		op := &p.ops[i]
		if err := p.checkOp(i, op); err != nil {
			return fmt.Errorf("load op %d (%s): %w", i+1, op.Name, err)
		}
	}
	return nil
}

func (p *Program) checkOp(i int, op *Op) error {
	if most := len(record{}.accept); len(op.Accept) > most {
		return fmt.Errorf("it accepts %d errnos, the most is %d", len(op.Accept), most)
	}
	// An early op stays among the early ones: past them the stub is entered.
	first, last := p.early, len(p.ops)
	if i < p.early {
		first, last = 0, p.early
	}
	for _, skip := range [...]int{op.Skip, op.Zero} {
		if to := i + 1 + skip; to < first || to > last || skip != int(int16(skip)) {
			return fmt.Errorf("skip %d leads to op %d, outside %d to %d", skip, to+1, first+1, last+1)
		}
	}
	for j := range op.Args {
		arg := &op.Args[j]
		if arg.data == nil { // a number, as most
			continue
		}
		if k := arg.kind(); (k == argResult || k == argPlace) && (int(arg.word) < 0 || int(arg.word) >= i) {
			return fmt.Errorf("it uses the result of op %d, which does not come before it", int(arg.word)+1)
		}
	}
	return nil
}
