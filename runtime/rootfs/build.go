package rootfs

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// resolve keeps every path inside the root, and off the links in /proc that
// lead to files rather than to names.
const resolve = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// shown is the descriptor's number under which mount(2) sees what is behind
// another one.
const (
	shown     = 1023
	shownPath = "/proc/self/fd/1023"
)

// builder writes the ops of one file system.
type builder struct {
	*program.Program
	o     Options
	look  func(string) Kind
	host  uintptr         // what the host's mounts are made: MS_PRIVATE, MS_SLAVE, MS_SHARED
	root  program.Arg     // a descriptor of the root
	over  map[string]bool // where something was mounted; true: a /proc or /sys, which is as the host's
	made  map[string]bool
	links map[string]bool // that lead to a control group's hierarchy
	fresh []fresh         // file systems in memory that were just mounted
	empty string          // where an empty file system was put that can be copied
	hows  []how
	tty   program.Arg // the container's end of its terminal
}

// Build adds the ops that make the file system, up to the pivot and the end of
// the old root. The result is the container's terminal, when there is one.
func Build(p *program.Program, o Options) (tty program.Arg, err error) {
	b := &builder{Program: p, o: o, look: o.Look, over: map[string]bool{}, made: map[string]bool{}, links: map[string]bool{}}
	if b.look == nil {
		root := o.Root
		if root == "" {
			root = "/"
		}
		var end func()
		b.look, end = lookAt(root)
		defer end()
	}
	b.Add(program.Umask(0))
	b.makeRoot()
	if o.Dir != "" && o.Dir != "/" && o.Root != "" {
		b.directory(o.Dir)
	}
	last := b.lastMount()
	dev, err := b.mounts(0, last)
	if err != nil {
		return tty, err
	}
	if dev {
		if err := b.devices(); err != nil {
			return tty, err
		}
		b.texts()
	} else if len(o.Devices) > 0 {
		return tty, fmt.Errorf("make device %q: /dev is not a file system of the container's own", o.Devices[0].Path)
	}
	if o.Console != 0 {
		b.console()
	}
	if err := b.sysctls(); err != nil {
		return tty, err
	}
	if err := b.further(); err != nil {
		return tty, err
	}
	b.masks()
	if _, err := b.mounts(last, len(o.Mounts)); err != nil {
		return tty, err
	}
	if err := b.enterUnseen(); err != nil {
		return tty, err
	}
	b.forget("/")
	if o.Made != nil {
		b.addNamed("return to root", program.Fchdir(b.root))
		o.Made()
	}
	if o.Root != "" {
		b.pivot()
	}
	return b.tty, nil
}

// mounts adds those of the list from one place up to another, each behind a gate of
// its own where there are any; dev says that a file system of the container's own is
// on /dev.
func (b *builder) mounts(from, to int) (dev bool, err error) {
	for i := from; i < to; i++ {
		if err := b.further(); err != nil {
			return dev, err
		}
		m := b.o.Mounts[i]
		if err := b.mount(i, m); err != nil {
			return dev, err
		}
		b.hide(i)
		dev = dev || absolute(m.Destination) == "/dev" && m.Type != "bind" && !slices.Contains(m.Options, "bind") && !slices.Contains(m.Options, "rbind")
	}
	return dev, nil
}

// further says that what was added so far can be executed.
func (b *builder) further() error {
	if b.o.Further == nil {
		return nil
	}
	return b.o.Further()
}

// addNamed adds an op under the name that a person knows it by.
func (b *builder) addNamed(name string, op program.Op) program.Ref {
	op.Name = name
	return b.Add(op)
}

// makeRoot makes the current directory, and the descriptor root, the place
// that becomes "/".
func (b *builder) makeRoot() {
	if !b.o.Host {
		b.fromHost()
	}
	switch {
	case b.o.Root == "":
		b.root = b.dir("/")
		return
	case b.o.Overlay:
		b.overlay()
	default:
		b.bindRoot()
		b.addNamed("enter root", program.Chdir(b.o.Root))
	}
	b.root = b.dir(".")
}

// bindRoot binds the root on itself, so that it is a mount. On the host, with
// mount(2) alone, nothing keeps its end from taking along a bind mount of the user's
// on a shared one; see bindRootOnHost.
func (b *builder) bindRoot() {
	if b.o.Host && !b.o.Old {
		b.bindRootOnHost()
		return
	}
	b.addNamed("bind root", program.Mount(b.o.Root, b.o.Root, "", unix.MS_BIND|unix.MS_REC, ""))
	if b.o.Host {
		b.addNamed("mounts private", program.Mount("", b.o.Root, "", unix.MS_REC|unix.MS_PRIVATE, ""))
	} else if b.host != unix.MS_PRIVATE && b.o.Propagation&unix.MS_SLAVE == 0 {
		b.addNamed("root private", program.Mount("", b.o.Root, "", unix.MS_REC|unix.MS_PRIVATE, ""))
	}
}

// fromHost settles what this mount namespace, a copy of the host's, has to do with
// it. Usually nothing. Where the root or a mount is to learn what the host mounts,
// everything is its slave at first; where it is to be the other way round too, the
// peers stay peers, but for the mount that the root is in: what is mounted below it
// is nobody's business.
func (b *builder) fromHost() {
	b.host = unix.MS_PRIVATE
	for _, m := range b.o.Mounts {
		if o, err := parse(m); err == nil && o.propagation&(unix.MS_SLAVE|unix.MS_SHARED) != 0 {
			b.host = unix.MS_SLAVE
		}
	}
	if kind := b.o.Propagation & (unix.MS_SLAVE | unix.MS_SHARED); kind != 0 {
		b.host = kind
	}
	if b.host == unix.MS_SHARED {
		if b.o.Root == "" {
			return
		}
		around := "/"
		if b.o.Look == nil {
			around = mountPoint(b.o.Root)
		}
		b.addNamed("around the root private", program.Mount("", around, "", unix.MS_PRIVATE, ""))
		return
	}
	name := "mounts private"
	if b.host == unix.MS_SLAVE {
		name = "mounts slaves"
	}
	b.addNamed(name, program.Mount("", "/", "", unix.MS_REC|b.host, ""))
}

// mountPoint is where the mount begins that a path of the host is in; "/" when it
// cannot be found.
func mountPoint(p string) string {
	best := "/"
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return best
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 5 {
			continue
		}
		at := unescape(words[4])
		if (p == at || strings.HasPrefix(p, strings.TrimSuffix(at, "/")+"/")) && len(at) > len(best) {
			best = at
		}
	}
	return best
}

// unescape is a path of mountinfo as it is: blanks and their like are octal there.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// dir opens a directory of the host.
func (b *builder) dir(path string) program.Arg {
	op := program.Open(path, unix.O_PATH|unix.O_DIRECTORY)
	return program.Result(b.addNamed("open root", op))
}

// overlay mounts a layer in memory over the root, on the root: what lies below
// is held by a descriptor.
func (b *builder) overlay() {
	lower := program.Result(b.addNamed("open lower layer", program.Open(b.o.Root, unix.O_PATH|unix.O_DIRECTORY)))
	b.addNamed("show lower layer", program.Dup3(lower, shown, unix.O_CLOEXEC))
	b.addNamed("mount upper layer", program.Mount("tmpfs", b.o.Root, "tmpfs", 0, "mode=755"))
	b.addNamed("enter root", program.Chdir(b.o.Root))
	for _, name := range []string{"upper", "work", "root"} {
		b.Add(program.Mkdir(name, 0o755))
	}
	data := "lowerdir=" + shownPath + ",upperdir=upper,workdir=work"
	if b.o.User {
		data += ",userxattr"
	}
	b.addNamed("mount overlay", program.Mount("overlay", "root", "overlay", 0, data))
	b.addNamed("enter root", program.Chdir("root"))
}

// relative is a path of the container as openat2 takes it, from the root.
func relative(p string) string {
	if p = absolute(p)[1:]; p == "" {
		return "."
	}
	return p
}

// absolute is a clean path from the root.
func absolute(p string) string {
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	return path.Clean(p)
}

// kind is what stands at a path of the container, as far as that can be known
// before the start: below a /proc or /sys of its own what is in the host's, below
// nothing that is mounted what is in the root.
func (b *builder) kind(p string) Kind {
	p = absolute(p)
	for at := p; at != "/"; at = path.Dir(at) {
		host, mounted := b.over[at]
		switch {
		case mounted && at == p:
			return Directory
		case mounted && host && b.o.Look == nil:
			return hostKind(p)
		case mounted && !host:
			return Unknown
		case mounted:
			return b.look(p)
		}
	}
	return b.look(p)
}

// directory makes a directory, and those above it, where they are missing.
func (b *builder) directory(p string) { b.make(p, Directory) }

// make makes a directory or an empty file and the directories above it. What
// is there already is taken as it is; a link is followed inside the root. That
// something is there is a guess, from before the start: when it is not, opening
// it fails.
func (b *builder) make(p string, kind Kind) {
	p = absolute(p)
	if p == "/" || b.kind(p) >= Directory || b.made[p] {
		return
	}
	b.made[p] = true
	above, name := path.Split(p)
	above = path.Clean(above)
	b.make(above, Directory)
	dir, end := b.directoryAt(above)
	op := program.Mkdirat(program.Place{Dir: dir, Path: name}, 0o755)
	if kind == File {
		op = program.Mknodat(program.Place{Dir: dir, Path: name}, unix.S_IFREG|0o644, 0)
	}
	op.Accept = append(op.Accept, unix.EEXIST)
	b.Add(op)
	end()
}

// pivot makes the root the only one there is, and drops the old; on the host it
// is only the one that the child sees.
func (b *builder) pivot() {
	b.addNamed("return to root", program.Fchdir(b.root))
	if b.o.ReadOnly {
		b.readOnlyRoot()
	}
	if b.o.Host {
		b.addNamed("chroot", program.Op{Call: unix.SYS_CHROOT, Args: [6]program.Arg{program.String(".")}, Text: `chroot(".")`})
	} else {
		b.Add(program.PivotRoot(".", "."))
		b.addNamed("drop old root", program.Umount(".", unix.MNT_DETACH))
	}
	b.addNamed("enter /", program.Chdir("/"))
	if b.o.Propagation != 0 {
		b.addNamed("propagation of /", program.Mount("", "/", "", b.o.Propagation, ""))
	}
}

// readOnlyRoot makes the root's mount read-only; what is mounted below stays as
// it is.
func (b *builder) readOnlyRoot() {
	if !b.o.Old {
		op := program.MountSetattr(b.root, unix.MOUNT_ATTR_RDONLY, 0, 0, false)
		b.addNamed("root read-only", op)
		return
	}
	b.addNamed("root read-only", program.Mount("", ".", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|locked(b.o.Root), ""))
}

// locked are the attributes that a mount has now: a remount by mount(2) has to
// repeat them, and in a user namespace must not drop them.
func locked(p string) uintptr {
	var st unix.Statfs_t
	if unix.Statfs(p, &st) != nil {
		return 0
	}
	// The flags of statfs(2) have the values of mount(2), but for this one.
	const stRelatime = 0x1000
	bits := uintptr(st.Flags) & (unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	if st.Flags&stRelatime != 0 {
		bits |= unix.MS_RELATIME
	}
	return bits
}
