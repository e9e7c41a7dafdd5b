package rootfs

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// mount adds one mount of the container.
func (b *builder) mount(i int, m specs.Mount) error {
	if absolute(m.Destination) == "/" {
		return fmt.Errorf("mount %q: nothing can be mounted over the root", m.Destination)
	}
	o, err := parse(m)
	if err != nil {
		return err
	}
	fd, ready := b.o.Prepared[i]
	switch {
	case o.remount:
		b.remount(m, o)
		return nil
	case ready:
		b.attachPrepared(fd, m, o)
		return nil
	case o.mapped || o.copyUp:
		return fmt.Errorf("mount %q: nobody has prepared it", m.Destination)
	case o.bind:
		return b.bind(m, o)
	case m.Type == "":
		return fmt.Errorf("mount %q: it has no type, and is no bind", m.Destination)
	case strings.HasPrefix(m.Type, "cgroup"):
		return b.cgroups(m, o)
	}
	b.make(m.Destination, Directory)
	b.fileSystem(m.Type, m.Source, m.Destination, o)
	return nil
}

// remount changes what is mounted at a place already: with bind the mount alone,
// otherwise its file system. All attributes are set anew, as mount(2) does it.
func (b *builder) remount(m specs.Mount, o options) {
	flags := unix.MS_REMOUNT | o.bits
	if o.bind {
		flags |= unix.MS_BIND
	}
	b.show(m.Destination)
	b.addNamed("remount "+m.Destination, program.Mount(m.Source, shownPath, m.Type, flags, strings.Join(o.data, ",")))
	if o.propagation != 0 {
		b.propagation(m.Destination, o.propagation)
	}
}

// mounted notes that something stands at a path now.
func (b *builder) mounted(p string) {
	p = absolute(p)
	b.forget(p)
	b.over[p] = false
}

// hide forgets what an earlier mount, or the working directory, has made below the
// place of this one, which hides it.
func (b *builder) hide(i int) {
	above := absolute(b.o.Mounts[i].Destination) + "/"
	below := func(p string) bool { return strings.HasPrefix(absolute(p), above) }
	if !below(b.o.Dir) && !slices.ContainsFunc(b.o.Mounts[:i], func(m specs.Mount) bool { return below(m.Destination) }) {
		return
	}
	for _, known := range []map[string]bool{b.made, b.over, b.links} {
		maps.DeleteFunc(known, func(p string, _ bool) bool { return below(p) })
	}
}

// fileSystem mounts a file system on a directory that is there.
func (b *builder) fileSystem(kind, source, target string, o options) {
	name := "mount " + kind + " " + target
	if source == "" {
		source = kind
	}
	if b.o.Old {
		place := b.at(target, unix.O_PATH|unix.O_DIRECTORY)
		b.Add(program.Dup3(place, shown, unix.O_CLOEXEC))
		b.addNamed(name, program.Mount(source, shownPath, kind, o.bits, strings.Join(o.data, ",")))
		b.done(place)
		if o.propagation != 0 {
			b.propagation(target, o.propagation)
		}
		b.mounted(target)
		b.likeHost(kind, target)
		return
	}
	place, end := b.place(target, unix.O_PATH|unix.O_DIRECTORY)
	fs := program.Result(b.Add(program.Fsopen(kind)))
	b.Add(program.FsconfigSet(fs, "source", source, false))
	for _, word := range append(o.data, superblock(kind, o.bits)...) {
		key, value, has := strings.Cut(word, "=")
		b.Add(program.FsconfigSet(fs, key, value, !has))
	}
	b.addNamed("create "+kind, program.FsconfigCreate(fs))
	mount := program.Result(b.Add(program.Fsmount(fs, (o.set|o.all)&^unix.MOUNT_ATTR_NOSYMFOLLOW)))
	if set := o.set & unix.MOUNT_ATTR_NOSYMFOLLOW; set != 0 || o.propagation != 0 {
		b.Add(program.MountSetattr(mount, set, 0, uint64(o.propagation&^unix.MS_REC), false))
	}
	b.addNamed(name, program.MoveMount(mount, place))
	b.done(fs)
	end()
	b.mounted(target)
	if kind == "tmpfs" {
		b.fresh = append(b.fresh, fresh{absolute(target), mount})
	} else {
		b.done(mount)
	}
	b.likeHost(kind, target)
}

// likeHost notes a file system that shows what the host's does.
func (b *builder) likeHost(kind, target string) {
	if kind == "proc" || kind == "sysfs" {
		b.over[absolute(target)] = true
	}
}

// superblock are the options among the flags that only a file system has.
func superblock(kind string, bits uintptr) []string {
	var words []string
	if bits&unix.MS_RDONLY != 0 && !strings.HasPrefix(kind, "cgroup") { // whose superblock is the host's
		words = append(words, "ro")
	}
	for _, s := range []struct {
		bit  uintptr
		word string
	}{{unix.MS_SYNCHRONOUS, "sync"}, {unix.MS_DIRSYNC, "dirsync"}, {unix.MS_LAZYTIME, "lazytime"}, {unix.MS_MANDLOCK, "mand"}} {
		if bits&s.bit != 0 {
			words = append(words, s.word)
		}
	}
	return words
}

// bind shows a directory or a file of the host.
func (b *builder) bind(m specs.Mount, o options) error {
	kind := hostKind(m.Source)
	if kind == Missing {
		return fmt.Errorf("mount %q: its source %q does not exist on the host", m.Destination, m.Source)
	}
	if kind == Unknown {
		return fmt.Errorf("mount %q: its source %q cannot be looked at: permission denied", m.Destination, m.Source)
	}
	b.make(m.Destination, kind)
	b.bindAt(m.Source, m.Destination, o)
	return nil
}

// bindAt binds a path of the host to a place that is there.
func (b *builder) bindAt(source, target string, o options) {
	name := "bind " + target
	if b.host != unix.MS_PRIVATE && o.propagation == 0 {
		o.propagation = unix.MS_PRIVATE
		if o.recursive {
			o.propagation |= unix.MS_REC
		}
	}
	if b.o.Old {
		b.show(target)
		flags := uintptr(unix.MS_BIND)
		if o.recursive {
			flags |= unix.MS_REC
		}
		b.addNamed(name, program.Mount(source, shownPath, "", flags, ""))
		if o.bits != 0 {
			b.show(target) // what is on top of it now
			b.addNamed("remount "+target, program.Mount("", shownPath, "", unix.MS_REMOUNT|unix.MS_BIND|o.bits|locked(source), ""))
		}
		if o.propagation != 0 {
			b.propagation(target, o.propagation)
		}
		b.mounted(target)
		return
	}
	tree := program.Result(b.Add(program.OpenTree(program.Place{Dir: program.Cwd(), Path: source}, o.recursive)))
	b.attach(tree, target, name, o)
}

// attach gives a detached tree its attributes, and puts it in its place.
func (b *builder) attach(tree program.Arg, target, name string, o options) {
	if o.set|o.clear != 0 || o.propagation != 0 && o.propagation&unix.MS_REC == 0 {
		b.Add(program.MountSetattr(tree, o.set, o.clear, uint64(single(o.propagation)), false))
	}
	if o.all|o.clearAll != 0 || o.propagation&unix.MS_REC != 0 {
		b.Add(program.MountSetattr(tree, o.all, o.clearAll, uint64(o.propagation&^unix.MS_REC), true))
	}
	place, end := b.place(target, unix.O_PATH)
	b.addNamed(name, program.MoveMount(tree, place))
	b.done(tree)
	end()
	b.mounted(target)
}

// single is a propagation that concerns one mount; 0 for one of a whole tree.
func single(propagation uintptr) uintptr {
	if propagation&unix.MS_REC != 0 {
		return 0
	}
	return propagation
}

// show makes a place in the container visible to mount(2).
func (b *builder) show(p string) {
	place := b.at(p, unix.O_PATH)
	b.Add(program.Dup3(place, shown, unix.O_CLOEXEC))
	b.done(place)
}

// propagation changes that of a mount, by mount(2).
func (b *builder) propagation(target string, bits uintptr) {
	b.show(target)
	b.addNamed("propagation "+target, program.Mount("", shownPath, "", bits, ""))
}

// cgroups shows the container its control groups: with a cgroup namespace the
// hierarchies, whose roots are then its own groups, otherwise those groups.
func (b *builder) cgroups(m specs.Mount, o options) error {
	if err := b.groups(); err != nil {
		return err
	}
	b.make(m.Destination, Directory)
	o.data = nil
	if len(b.o.Hierarchies) == 0 {
		return fmt.Errorf("mount %q: this machine has no control groups mounted", m.Destination)
	}
	if first := b.o.Hierarchies[0]; len(b.o.Hierarchies) == 1 && first.Name == "" {
		group, err := b.enter()
		if err != nil {
			return err
		}
		if first.Group == "" {
			first.Group = group
		}
		b.hierarchy(first, m.Destination, o)
		return nil
	}
	top := o
	top.set, top.bits = o.set&^unix.MOUNT_ATTR_RDONLY, o.bits&^unix.MS_RDONLY
	top.data = []string{"mode=755"}
	b.fileSystem("tmpfs", "tmpfs", m.Destination, top)
	var own []Hierarchy
	for _, h := range b.o.Hierarchies {
		if h.Group == "" {
			own = append(own, h)
			continue
		}
		b.among(m.Destination, h, o)
	}
	if len(own) > 0 {
		if err := b.further(); err != nil {
			return err
		}
	}
	group, err := b.enter()
	if err != nil {
		return err
	}
	for _, h := range own {
		h.Group = group
		b.among(m.Destination, h, o)
	}
	if o.set&unix.MOUNT_ATTR_RDONLY != 0 {
		b.remountReadOnly(m.Destination, o.bits)
	}
	return nil
}

// among shows one of several hierarchies, with links for names that it has besides.
func (b *builder) among(destination string, h Hierarchy, o options) {
	target := path.Join(destination, h.Name)
	b.make(target, Directory)
	b.hierarchy(h, target, o)
	for name := range strings.SplitSeq(h.Name, ",") {
		if name != h.Name { // cpu and cpuacct beside "cpu,cpuacct"
			dir, end := b.directoryAt(destination)
			b.Add(program.Symlinkat(h.Name, program.Place{Dir: dir, Path: name}))
			b.links[absolute(path.Join(destination, name))] = true
			end()
		}
	}
}

// hierarchy shows one of them.
func (b *builder) hierarchy(h Hierarchy, target string, o options) {
	switch {
	case !b.o.CgroupNamespace:
		o.recursive = true
		b.bindAt(h.Group, target, o)
	case h.V2:
		b.fileSystem("cgroup2", "cgroup", target, o)
	default:
		o.data = strings.Split(h.Options, ",")
		b.fileSystem("cgroup", "cgroup", target, o)
	}
}

// remountReadOnly makes one mount read-only that was filled before.
func (b *builder) remountReadOnly(target string, bits uintptr) {
	if b.o.Old {
		b.show(target)
		b.addNamed("read-only "+target, program.Mount("", shownPath, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|bits, ""))
		return
	}
	place, end := b.directoryAt(target)
	b.addNamed("read-only "+target, program.MountSetattr(place, unix.MOUNT_ATTR_RDONLY, 0, 0, false))
	end()
}
