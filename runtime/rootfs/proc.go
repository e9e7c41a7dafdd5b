package rootfs

import (
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// sysctls writes the container's own kernel parameters, through its own /proc:
// no link there is followed, and nothing that is mounted over it.
func (b *builder) sysctls() {
	if len(b.o.Sysctl) == 0 {
		return
	}
	proc := b.at("/proc", unix.O_PATH|unix.O_DIRECTORY)
	for _, key := range slices.Sorted(maps.Keys(b.o.Sysctl)) {
		file := "sys/" + strings.ReplaceAll(key, ".", "/")
		op := program.Openat2(program.Place{Dir: proc, Path: file}, unix.O_WRONLY, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
		fd := program.Result(b.addNamed("open sysctl "+key, op))
		b.addNamed("sysctl "+key, program.Write(fd, b.o.Sysctl[key]))
		b.done(fd)
	}
	b.done(proc)
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
	// One /dev/null of the host and one empty file system serve all: each place
	// gets a copy of the mount.
	null := program.Result(b.addNamed("open mask", program.Open("/dev/null", unix.O_PATH)))
	empty := program.Arg{}
	if slices.ContainsFunc(b.o.MaskedPaths, func(p string) bool { return b.kind(p) != File }) {
		fs := program.Result(b.Add(program.Fsopen("tmpfs")))
		b.Add(program.FsconfigSet(fs, "mode", "755", false))
		b.addNamed("create mask", program.FsconfigCreate(fs))
		empty = program.Result(b.Add(program.Fsmount(fs, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)))
		b.done(fs)
	}
	for _, p := range b.o.MaskedPaths {
		b.mask(p, null, empty)
	}
}

// mask hides one path. What it was taken for is only a guess: the kernel
// refuses a file over a directory, and the other way round, and then the other
// one is tried.
func (b *builder) mask(p string, null, empty program.Arg) {
	guess := b.kind(p)
	if guess == Missing {
		return
	}
	sources := []program.Arg{null, empty}
	if guess == Directory {
		sources[0], sources[1] = empty, null
	}
	if guess == File {
		sources = sources[:1]
	}
	const perSource = 3 // open_tree, move_mount, close
	open := program.Openat2(program.Place{Dir: b.root, Path: relative(p)}, unix.O_PATH, 0, resolve)
	open.Accept, open.Skip = missing(), perSource*len(sources)+1
	place := program.Result(b.Add(open))
	for i, source := range sources {
		tree := program.Result(b.Add(program.OpenTree(program.Place{Dir: source, Path: ""}, false)))
		move := program.MoveMount(tree, place)
		if i < len(sources)-1 {
			// The copy stays open until execve; it is what is not used.
			move.Accept = append(move.Accept, unix.ENOTDIR, unix.EINVAL)
			move.Skip = 1
		}
		b.addNamed("mask "+p, move)
		end := program.Close(tree)
		if i < len(sources)-1 {
			end.Zero = perSource
		}
		b.Add(end)
	}
	b.done(place)
	b.mounted(p)
}

// oldMasks hides paths by mount(2).
func (b *builder) oldMasks() {
	for _, p := range b.o.MaskedPaths {
		if b.kind(p) == Missing {
			continue
		}
		open := program.Openat2(program.Place{Dir: b.root, Path: relative(p)}, unix.O_PATH, 0, resolve)
		open.Accept, open.Skip = missing(), 4
		place := program.Result(b.Add(open))
		b.Add(program.Dup3(place, shown, unix.O_CLOEXEC))
		file := program.Mount("/dev/null", shownPath, "", unix.MS_BIND, "")
		file.Accept, file.Zero = append(file.Accept, unix.ENOTDIR), 1
		b.addNamed("mask "+p, file)
		b.addNamed("mask "+p, program.Mount("tmpfs", shownPath, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755"))
		b.done(place)
		b.mounted(p)
	}
}

// readOnly binds a path to itself and makes the bind, and all below, read-only.
func (b *builder) readOnly(p string) {
	if b.kind(p) == Missing {
		return
	}
	open := program.Openat2(program.Place{Dir: b.root, Path: relative(p)}, unix.O_PATH, 0, resolve)
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
	b.addNamed("read-only "+p, program.MoveMount(tree, place))
	b.done(tree, place)
	b.mounted(p)
}

// attributes are those of the mount that a path will be on, as mount(2) has to
// repeat them.
func (b *builder) attributes(p string) uintptr {
	p = path.Clean("/" + p)
	best, bits := "", uintptr(0)
	for _, m := range b.o.Mounts {
		at := path.Clean("/" + m.Destination)
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
