package rootfs

import (
	"fmt"
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// node is a device that every container has; see the OCI runtime
// specification, "Default Devices".
type node struct {
	name         string
	major, minor uint32
}

func nodes() []node {
	return []node{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}
}

// links are those that programs expect in /dev.
func links() [][2]string {
	return [][2]string{
		{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
		{"core", "/proc/kcore"}, {"ptmx", "pts/ptmx"},
	}
}

// devices fills a /dev that was just mounted.
func (b *builder) devices() error {
	dev, end := b.directoryAt("/dev")
	own := map[string]bool{}
	for _, d := range b.o.Devices {
		own[path.Clean(d.Path)] = true
	}
	for _, n := range nodes() {
		if own["/dev/"+n.name] {
			continue
		}
		if b.o.User {
			b.hostDevice("/dev/" + n.name)
			continue
		}
		b.Add(program.Mknodat(program.Place{Dir: dev, Path: n.name}, unix.S_IFCHR|0o666, unix.Mkdev(n.major, n.minor)))
	}
	for _, l := range links() {
		op := program.Symlinkat(l[1], program.Place{Dir: dev, Path: l[0]})
		op.Accept = append(op.Accept, unix.EEXIST)
		b.Add(op)
	}
	end()
	for _, d := range b.o.Devices {
		if err := b.device(d); err != nil {
			return err
		}
	}
	return nil
}

// hostDevice binds a device of the host: in a user namespace none can be made.
func (b *builder) hostDevice(p string) {
	b.make(p, File)
	b.bindAt(p, p, options{})
}

// device makes one that the container asks for.
func (b *builder) device(d specs.LinuxDevice) error {
	if b.o.User {
		if hostKind(d.Path) != File {
			return fmt.Errorf("make device %q: in a user namespace it is the host's, and the host has none there", d.Path)
		}
		b.hostDevice(d.Path)
		return nil
	}
	kind := map[string]uint32{"c": unix.S_IFCHR, "u": unix.S_IFCHR, "b": unix.S_IFBLK, "p": unix.S_IFIFO}[d.Type]
	if kind == 0 {
		return fmt.Errorf("make device %q: the type %q is none of c, u, b and p", d.Path, d.Type)
	}
	mode := uint32(0o666)
	if d.FileMode != nil {
		mode = uint32(d.FileMode.Perm())
	}
	above, name := path.Split(absolute(d.Path))
	b.directory(above)
	place := program.Place{Dir: b.at(above, unix.O_PATH|unix.O_DIRECTORY), Path: name}
	b.Add(program.Mknodat(place, kind|mode, unix.Mkdev(uint32(d.Major), uint32(d.Minor))))
	if d.UID != nil || d.GID != nil {
		uid, gid := -1, -1
		if d.UID != nil {
			uid = int(*d.UID)
		}
		if d.GID != nil {
			gid = int(*d.GID)
		}
		b.Add(program.Fchownat(place, uid, gid, unix.AT_SYMLINK_NOFOLLOW))
	}
	b.done(place.Dir)
	return nil
}

// console makes a terminal in the container's own /dev/pts, binds it to
// /dev/console, and sends the other end to the launcher.
func (b *builder) console() {
	master := b.at("/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY)
	b.Add(program.Ioctl(master, "TIOCSPTLCK", unix.TIOCSPTLCK, program.Words(program.Int(0))))
	peer := program.Ioctl(master, "TIOCGPTPEER", unix.TIOCGPTPEER, program.Int(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC))
	b.tty = program.Result(b.addNamed("open terminal", peer))
	if s := b.o.Size; s != nil {
		b.Add(program.Winsize(b.tty, s.Height, s.Width))
	}
	if b.o.Owner != 0 {
		b.addNamed("own terminal", program.Fchownat(program.Place{Dir: b.tty, Path: ""}, b.o.Owner, -1, unix.AT_EMPTY_PATH))
	}
	b.make("/dev/console", File)
	if b.o.Old {
		// The instance is new, and this is its first terminal.
		b.showFrom("/dev/pts/0", "/dev/console")
	} else {
		tree := program.Result(b.Add(program.OpenTree(program.Place{Dir: b.tty, Path: ""}, false)))
		b.attach(tree, "/dev/console", "bind /dev/console", options{})
	}
	b.Add(program.Dup3(master, shown, unix.O_CLOEXEC))
	b.addNamed("send terminal", program.SendDescriptor(program.Int(b.o.Console), shown))
	b.done(master)
}

// showFrom binds one place in the container to another, by mount(2).
func (b *builder) showFrom(source, target string) {
	const second, secondPath = shown - 1, "/proc/self/fd/1022"
	from := b.at(source, unix.O_PATH)
	b.Add(program.Dup3(from, second, unix.O_CLOEXEC))
	b.show(target)
	b.addNamed("bind "+target, program.Mount(secondPath, shownPath, "", unix.MS_BIND, ""))
	b.done(from)
	b.mounted(target)
}
