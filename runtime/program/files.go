package program

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
)

// Cwd is the current directory, for the calls that take a directory's
// descriptor.
func Cwd() Arg { return Int(unix.AT_FDCWD) }

// Place is a path below the directory behind a descriptor.
type Place struct {
	Dir  Arg
	Path string
}

func (at Place) String() string {
	dir := at.Dir.String()
	if at.Dir == Cwd() {
		dir = "AT_FDCWD"
	}
	return fmt.Sprintf("%s, %q", dir, at.Path)
}

// Openat2 is openat2(2); Linux 5.6.
func Openat2(at Place, flags int, mode uint32, resolve uint64) Op {
	how := Words(Int(flags|unix.O_CLOEXEC), Int(mode), Int(resolve))
	return Op{
		Name: "open " + at.Path, Call: unix.SYS_OPENAT2,
		Args: [6]Arg{at.Dir, String(at.Path), how, Int(unsafe.Sizeof(unix.OpenHow{}))},
		Text: fmt.Sprintf("openat2(%v, {%s, %#o, %s})", at, openFlags(flags|unix.O_CLOEXEC), mode, resolveFlags(resolve)),
	}
}

func resolveFlags(flags uint64) string {
	return namespace.Symbols(flags, []namespace.Symbol{
		{Bit: unix.RESOLVE_IN_ROOT, Name: "RESOLVE_IN_ROOT"}, {Bit: unix.RESOLVE_BENEATH, Name: "RESOLVE_BENEATH"},
		{Bit: unix.RESOLVE_NO_MAGICLINKS, Name: "RESOLVE_NO_MAGICLINKS"}, {Bit: unix.RESOLVE_NO_SYMLINKS, Name: "RESOLVE_NO_SYMLINKS"},
		{Bit: unix.RESOLVE_NO_XDEV, Name: "RESOLVE_NO_XDEV"},
	})
}

// Mkdirat is mkdirat(2).
func Mkdirat(at Place, mode uint32) Op {
	return Op{
		Name: "mkdir " + at.Path, Call: unix.SYS_MKDIRAT, Args: [6]Arg{at.Dir, String(at.Path), Int(mode)},
		Text: fmt.Sprintf("mkdirat(%v, %#o)", at, mode),
	}
}

// Mknodat is mknodat(2); mode holds the kind, device is 0 for a plain file.
func Mknodat(at Place, mode uint32, device uint64) Op {
	kind := map[uint32]string{unix.S_IFREG: "S_IFREG", unix.S_IFBLK: "S_IFBLK", unix.S_IFCHR: "S_IFCHR", unix.S_IFIFO: "S_IFIFO"}[mode&unix.S_IFMT]
	return Op{
		Name: "mknod " + at.Path, Call: unix.SYS_MKNODAT, Args: [6]Arg{at.Dir, String(at.Path), Int(mode), Int(device)},
		Text: fmt.Sprintf("mknodat(%v, %s|%#o, %d:%d)", at, kind, mode&^unix.S_IFMT, unix.Major(device), unix.Minor(device)),
	}
}

// Symlinkat is symlinkat(2).
func Symlinkat(target string, at Place) Op {
	return Op{
		Name: "symlink " + at.Path, Call: unix.SYS_SYMLINKAT, Args: [6]Arg{String(target), at.Dir, String(at.Path)},
		Text: fmt.Sprintf("symlinkat(%q, %v)", target, at),
	}
}

// Fchownat is fchownat(2); an id of -1 stays.
func Fchownat(at Place, uid, gid int, flags int) Op {
	return Op{
		Name: "chown " + at.Path, Call: unix.SYS_FCHOWNAT, Args: [6]Arg{at.Dir, String(at.Path), Int(uid), Int(gid), Int(flags)},
		Text: fmt.Sprintf("fchownat(%v, %d, %d, %#x)", at, uid, gid, flags),
	}
}

// Dup3 makes to a copy of a descriptor; flags is 0 or O_CLOEXEC.
func Dup3(fd Arg, to int, flags int) Op {
	text := "0"
	if flags&unix.O_CLOEXEC != 0 {
		text = "O_CLOEXEC"
	}
	return Op{
		Name: fmt.Sprintf("dup to %d", to), Call: unix.SYS_DUP3, Args: [6]Arg{fd, Int(to), Int(flags)},
		Text: fmt.Sprintf("dup3(%v, %d, %s)", fd, to, text),
	}
}

// Fchdir is fchdir(2).
func Fchdir(fd Arg) Op {
	return Op{Name: "fchdir", Call: unix.SYS_FCHDIR, Args: [6]Arg{fd}, Text: fmt.Sprintf("fchdir(%v)", fd)}
}

// Fsopen begins a file system's configuration; fsopen(2), Linux 5.2.
func Fsopen(fstype string) Op {
	return Op{
		Name: "fsopen " + fstype, Call: unix.SYS_FSOPEN, Args: [6]Arg{String(fstype), Int(unix.FSOPEN_CLOEXEC)},
		Text: fmt.Sprintf("fsopen(%q, FSOPEN_CLOEXEC)", fstype),
	}
}

// FsconfigSet sets a parameter; flag: one without a value. fsconfig(2), Linux
// 5.2.
func FsconfigSet(fs Arg, key, value string, flag bool) Op {
	if flag {
		return Op{
			Name: "set " + key, Call: unix.SYS_FSCONFIG, Args: [6]Arg{fs, Int(unix.FSCONFIG_SET_FLAG), String(key)},
			Text: fmt.Sprintf("fsconfig(%v, FSCONFIG_SET_FLAG, %q)", fs, key),
		}
	}
	return Op{
		Name: "set " + key, Call: unix.SYS_FSCONFIG, Args: [6]Arg{fs, Int(unix.FSCONFIG_SET_STRING), String(key), String(value)},
		Text: fmt.Sprintf("fsconfig(%v, FSCONFIG_SET_STRING, %q, %q)", fs, key, value),
	}
}

// FsconfigCreate makes the file system.
func FsconfigCreate(fs Arg) Op {
	return Op{
		Name: "create", Call: unix.SYS_FSCONFIG, Args: [6]Arg{fs, Int(unix.FSCONFIG_CMD_CREATE)},
		Text: fmt.Sprintf("fsconfig(%v, FSCONFIG_CMD_CREATE)", fs),
	}
}

// Fsmount makes a mount of it that is nowhere yet; fsmount(2), Linux 5.2.
func Fsmount(fs Arg, attrs uint64) Op {
	return Op{
		Name: "fsmount", Call: unix.SYS_FSMOUNT, Args: [6]Arg{fs, Int(unix.FSMOUNT_CLOEXEC), Int(attrs)},
		Text: fmt.Sprintf("fsmount(%v, FSMOUNT_CLOEXEC, %s)", fs, attrFlags(attrs)),
	}
}

// OpenTree makes a copy of what is mounted at a place, as a mount that is
// nowhere yet: of the whole tree, or of the topmost mount. open_tree(2), Linux
// 5.2.
func OpenTree(at Place, recursive bool) Op {
	flags, text := unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC, "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC"
	if recursive {
		flags, text = flags|unix.AT_RECURSIVE, text+"|AT_RECURSIVE"
	}
	if at.Path == "" {
		flags, text = flags|unix.AT_EMPTY_PATH, text+"|AT_EMPTY_PATH"
	}
	return Op{
		Name: "open_tree", Call: unix.SYS_OPEN_TREE, Args: [6]Arg{at.Dir, String(at.Path), Int(flags)},
		Text: fmt.Sprintf("open_tree(%v, %s)", at, text),
	}
}

// MountSetattr changes the attributes of a mount behind a descriptor;
// mount_setattr(2), Linux 5.12. Propagation is 0 or one of MS_PRIVATE and its
// like.
func MountSetattr(mount Arg, set, clear, propagation uint64, recursive bool) Op {
	flags, text := unix.AT_EMPTY_PATH, "AT_EMPTY_PATH"
	if recursive {
		flags, text = flags|unix.AT_RECURSIVE, text+"|AT_RECURSIVE"
	}
	attr := Words(Int(set), Int(clear), Int(propagation), Int(0))
	return Op{
		Name: "mount_setattr", Call: unix.SYS_MOUNT_SETATTR, Args: [6]Arg{mount, String(""), Int(flags), attr, Int(32)},
		Text: fmt.Sprintf("mount_setattr(%v, \"\", %s, {set %s, clear %s, %s})", mount, text, attrFlags(set), attrFlags(clear), mountFlags(uintptr(propagation))),
	}
}

// MoveMount puts a mount at the place behind a descriptor; move_mount(2), Linux
// 5.2.
func MoveMount(mount, target Arg) Op {
	return Op{
		Name: "move_mount", Call: unix.SYS_MOVE_MOUNT,
		Args: [6]Arg{mount, String(""), target, String(""), Int(unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH)},
		Text: fmt.Sprintf("move_mount(%v, \"\", %v, \"\", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)", mount, target),
	}
}

// attrFlags prints the attributes of mount_setattr(2) by name.
func attrFlags(flags uint64) string {
	return namespace.Symbols(flags, []namespace.Symbol{
		{Bit: unix.MOUNT_ATTR_RDONLY, Name: "MOUNT_ATTR_RDONLY"}, {Bit: unix.MOUNT_ATTR_NOSUID, Name: "MOUNT_ATTR_NOSUID"},
		{Bit: unix.MOUNT_ATTR_NODEV, Name: "MOUNT_ATTR_NODEV"}, {Bit: unix.MOUNT_ATTR_NOEXEC, Name: "MOUNT_ATTR_NOEXEC"},
		{Bit: unix.MOUNT_ATTR_NOATIME, Name: "MOUNT_ATTR_NOATIME"}, {Bit: unix.MOUNT_ATTR_STRICTATIME, Name: "MOUNT_ATTR_STRICTATIME"},
		{Bit: unix.MOUNT_ATTR_NODIRATIME, Name: "MOUNT_ATTR_NODIRATIME"}, {Bit: unix.MOUNT_ATTR_NOSYMFOLLOW, Name: "MOUNT_ATTR_NOSYMFOLLOW"},
	})
}

// SendDescriptor sends descriptor number fd over a unix socket, with one byte;
// see unix(7), SCM_RIGHTS.
func SendDescriptor(socket Arg, fd int) Op {
	control := unix.UnixRights(fd)
	message := Words(Int(0), Int(0), Words(Bytes([]byte{0}), Int(1)), Int(1), Bytes(control), Int(len(control)), Int(0))
	return Op{
		Name: "send descriptor", Call: unix.SYS_SENDMSG, Args: [6]Arg{socket, message, Int(unix.MSG_NOSIGNAL)},
		Text: fmt.Sprintf("sendmsg(%v, {1 byte, SCM_RIGHTS [%d]}, MSG_NOSIGNAL)", socket, fd),
	}
}

// CloseOnExec marks every descriptor from first up to be closed by the next
// execve (Linux 5.11). As an early op it makes sure that nothing which the
// launcher inherited itself gets into the child.
func CloseOnExec(first int) Op {
	return Op{
		Name: "hide descriptors", Call: unix.SYS_CLOSE_RANGE, Args: [6]Arg{Int(first), Int(^uint32(0)), Int(unix.CLOSE_RANGE_CLOEXEC)},
		Text: fmt.Sprintf("close_range(%d, ~0, CLOSE_RANGE_CLOEXEC)", first),
	}
}
