package mount

import (
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// methods are the rows of the family Pivot. Each begins in the new root, a
// tmpfs that is a mount already, and ends with chdir("/"):
//
//	pivot_root  pivot_root(".", "."); umount2(".", MNT_DETACH)   the old root is gone
//	move        mount(".", "/", MS_MOVE); chroot(".")            the old root lies under the new one
//	chroot      chroot(".")                                      the old root is in reach of who may chroot
//
// The first is what runtimes do; the second what they do on an initial RAM disk,
// whose root cannot be pivoted (runc --no-pivot).
func methods() []act {
	return []act{
		{name: "method=pivot_root", build: pivotRoot},
		{name: "method=move", build: moveRoot},
		{name: "method=chroot", build: changeRoot},
	}
}

func pivotRoot(p *plan) {
	p.Add(program.Chdir(newRoot))
	p.timed([]string{"pivot-ns", "detach-ns"}, program.PivotRoot(".", "."), program.Umount(".", unix.MNT_DETACH), program.Chdir("/"))
	arrived(p)
}

func moveRoot(p *plan) {
	p.Add(program.Chdir(newRoot))
	p.timed([]string{"move-ns", "chroot-ns"}, program.Mount(".", "/", "", unix.MS_MOVE, ""), chroot(), program.Chdir("/"))
	arrived(p)
}

func changeRoot(p *plan) {
	p.Add(program.Chdir(newRoot))
	p.timed([]string{"chroot-ns"}, chroot(), program.Chdir("/"))
	arrived(p)
}

func chroot() program.Op {
	return program.Op{Name: "chroot", Call: unix.SYS_CHROOT, Args: [6]program.Arg{program.String(".")}}
}

// arrived checks that / is the new root and nothing of the old one is there.
func arrived(p *plan) {
	there("/inside")(p)
	absent(p, source)
}
