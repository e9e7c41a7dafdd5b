package rootfs

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// sysctls writes the container's own kernel parameters, through its own /proc:
// no link there is followed, and nothing that is mounted over it.
func (b *builder) sysctls() error {
	if len(b.o.Sysctl) == 0 {
		return nil
	}
	if !b.over["/proc"] {
		return errors.New("linux.sysctl: it takes a file system of type proc at /proc, through which it is written")
	}
	proc := b.at("/proc", unix.O_PATH|unix.O_DIRECTORY)
	for _, key := range slices.Sorted(maps.Keys(b.o.Sysctl)) {
		file := "sys/" + strings.ReplaceAll(key, ".", "/")
		op := program.Openat2(program.Place{Dir: proc, Path: file}, program.How(unix.O_WRONLY, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV))
		fd := program.Result(b.addNamed("open sysctl "+key, op))
		b.addNamed("sysctl "+key, program.Write(fd, b.o.Sysctl[key]))
		b.done(fd)
	}
	b.done(proc)
	return nil
}

// masks hides some paths, and makes some read-only. What is missing needs
// neither.
func (b *builder) masks() {
	for _, p := range b.o.ReadOnlyPaths {
		b.readOnly(p)
	}
	if len(b.o.MaskedPaths) == 0 {
		return
	}
	if b.o.Old {
		b.oldMasks()
		return
	}
	null := program.Result(b.addNamed("open mask", program.Open("/dev/null", unix.O_PATH)))
	for _, p := range b.o.MaskedPaths {
		if guess := b.kind(p); guess != Missing {
			b.mask(p, guess, null)
		}
	}
}

// mask hides one path: a file behind the host's /dev/null, a directory behind an
// empty file system, of which the first place gets the original and the others
// copies. What the path was taken for is only a guess: the kernel refuses a file
// over a directory, and the other way round.
func (b *builder) mask(p string, guess Kind, null program.Arg) {
	open := b.open(p, unix.O_PATH)
	open.Accept = missing()
	opened := b.Add(open)
	place := program.Result(opened)
	if guess != Directory {
		tree := program.Result(b.Add(program.OpenTree(program.Place{Dir: null, Path: ""}, false)))
		// Read-only: the node is the host's, whose mode must not change.
		b.Add(program.MountSetattr(tree, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, 0, 0, false))
		move := program.MoveMount(tree, program.Place{Dir: place})
		if guess == Unknown {
			move.Accept, move.Zero = []unix.Errno{unix.ENOTDIR, unix.EINVAL}, emptyOps
		}
		b.addNamed("mask "+p, move)
	}
	if guess != File {
		b.coverEmpty(p, place, guess == Directory)
	}
	b.done(place)
	b.Skip(opened)
	b.mounted(p)
}

// emptyOps is how many ops coverEmpty adds for a place that may be none.
const emptyOps = 7

// coverEmpty puts an empty read-only file system over a directory. What is not
// sure to be there cannot be copied from later.
func (b *builder) coverEmpty(p string, place program.Arg, sure bool) {
	if b.empty != "" && sure {
		from := b.at(b.empty, unix.O_PATH)
		tree := program.Result(b.Add(program.OpenTree(program.Place{Dir: from, Path: ""}, false)))
		b.addNamed("mask "+p, program.MoveMount(tree, program.Place{Dir: place}))
		b.done(from, tree)
		return
	}
	fs := program.Result(b.Add(program.Fsopen("tmpfs")))
	b.Add(program.FsconfigSet(fs, "source", "tmpfs", false))
	b.Add(program.FsconfigSet(fs, "mode", "755", false))
	b.Add(program.FsconfigSet(fs, "ro", "", true))
	b.addNamed("create mask", program.FsconfigCreate(fs))
	mount := program.Result(b.Add(program.Fsmount(fs, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)))
	b.addNamed("mask "+p, program.MoveMount(mount, program.Place{Dir: place}))
	if sure {
		b.empty = p
	}
}

// oldMasks hides paths by mount(2).
func (b *builder) oldMasks() {
	for _, p := range b.o.MaskedPaths {
		if b.kind(p) == Missing {
			continue
		}
		open := b.open(p, unix.O_PATH)
		open.Accept = missing()
		opened := b.Add(open)
		place := program.Result(opened)
		b.Add(program.Dup3(place, shown, unix.O_CLOEXEC))
		empty := program.Mount("tmpfs", shownPath, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755")
		// Not over a file; then what is bound there has to be made read-only.
		empty.Accept, empty.Zero = []unix.Errno{unix.ENOTDIR}, 5
		b.addNamed("mask "+p, empty)
		b.addNamed("mask "+p, program.Mount("/dev/null", shownPath, "", unix.MS_BIND, ""))
		b.show(p)
		b.addNamed("read-only "+p, program.Mount("", shownPath, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NOEXEC|locked("/dev"), ""))
		b.done(place)
		b.Skip(opened)
		b.mounted(p)
	}
}

// readOnly binds a path to itself and makes the bind, and all below, read-only.
func (b *builder) readOnly(p string) {
	if b.kind(p) == Missing {
		return
	}
	open := b.open(p, unix.O_PATH)
	open.Accept = missing()
	if b.o.Old {
		open.Skip = 7
		place := program.Result(b.Add(open))
		b.Add(program.Dup3(place, shown, unix.O_CLOEXEC))
		b.addNamed("bind "+p, program.Mount(shownPath, shownPath, "", unix.MS_BIND|unix.MS_REC, ""))
		b.show(p)
		b.addNamed("read-only "+p, program.Mount("", shownPath, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|b.attributes(p), ""))
		b.done(place)
		b.mounted(p)
		return
	}
	open.Skip = 5
	place := program.Result(b.Add(open))
	tree := program.Result(b.Add(program.OpenTree(program.Place{Dir: place, Path: ""}, true)))
	b.Add(program.MountSetattr(tree, unix.MOUNT_ATTR_RDONLY, 0, 0, true))
	b.addNamed("read-only "+p, program.MoveMount(tree, program.Place{Dir: place}))
	b.done(tree, place)
	b.mounted(p)
}

// attributes are those of the mount that a path will be on, as mount(2) has to
// repeat them.
func (b *builder) attributes(p string) uintptr {
	p = absolute(p)
	best, bits := "", uintptr(0)
	for _, m := range b.o.Mounts {
		at := absolute(m.Destination)
		if (p == at || strings.HasPrefix(p, at+"/")) && len(at) > len(best) {
			if o, err := parse(m); err == nil {
				best, bits = at, o.bits
			}
		}
	}
	if best == "" && b.o.Root != "" {
		return locked(b.o.Root)
	}
	return bits
}

// missing are the errnos of a path that is not there.
func missing() []unix.Errno { return []unix.Errno{unix.ENOENT, unix.ENOTDIR} }
