package program

import (
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Cwd is the current directory, for the calls that take a directory's
// descriptor.
func Cwd() Arg { return Int(unix.AT_FDCWD) }

// emptyPath is no path, for calls on a descriptor itself.
var emptyPath = String("")

// Place is a path below the directory behind a descriptor.
type Place struct {
	Dir  Arg
	Path string
}

// How is the way in which Openat2 opens; ops can share it.
func How(flags int, mode uint32, resolve uint64) Arg {
	return Words(Int(flags|unix.O_CLOEXEC), Int(mode), Int(resolve))
}

// Openat2 is openat2(2); Linux 5.6. The result is closed on exec.
func Openat2(at Place, how Arg) Op {
	return Op{
		Name: "open " + at.Path, Call: unix.SYS_OPENAT2,
		Args: [6]Arg{at.Dir, String(at.Path), how, Int(unsafe.Sizeof(unix.OpenHow{}))},
	}
}

// Mkdirat is mkdirat(2).
func Mkdirat(at Place, mode uint32) Op {
	return Op{
		Name: "mkdir " + at.Path, Call: unix.SYS_MKDIRAT, Args: [6]Arg{at.Dir, String(at.Path), Int(mode)},
	}
}

// Mknodat is mknodat(2); mode holds the kind, device is 0 for a plain file.
func Mknodat(at Place, mode uint32, device uint64) Op {
	return Op{
		Name: "mknod " + at.Path, Call: unix.SYS_MKNODAT, Args: [6]Arg{at.Dir, String(at.Path), Int(mode), Int(device)},
	}
}

// Symlinkat is symlinkat(2).
func Symlinkat(target string, at Place) Op {
	return Op{
		Name: "symlink " + at.Path, Call: unix.SYS_SYMLINKAT, Args: [6]Arg{String(target), at.Dir, String(at.Path)},
	}
}

// Fchownat is fchownat(2); an id of -1 stays.
func Fchownat(at Place, uid, gid int, flags int) Op {
	return Op{
		Name: "chown " + at.Path, Call: unix.SYS_FCHOWNAT, Args: [6]Arg{at.Dir, String(at.Path), Int(uid), Int(gid), Int(flags)},
	}
}

// Dup3 makes to a copy of a descriptor; flags is 0 or O_CLOEXEC.
func Dup3(fd Arg, to int, flags int) Op {
	return Op{
		Name: "dup to " + strconv.Itoa(to), Call: unix.SYS_DUP3, Args: [6]Arg{fd, Int(to), Int(flags)},
	}
}

// Fchdir is fchdir(2).
func Fchdir(fd Arg) Op {
	return Op{Name: "fchdir", Call: unix.SYS_FCHDIR, Args: [6]Arg{fd}}
}

// Fsopen begins a file system's configuration; fsopen(2), Linux 5.2.
func Fsopen(fstype string) Op {
	return Op{
		Name: "fsopen " + fstype, Call: unix.SYS_FSOPEN, Args: [6]Arg{String(fstype), Int(unix.FSOPEN_CLOEXEC)},
	}
}

// FsconfigSet sets a parameter; flag: one without a value. fsconfig(2), Linux
// 5.2.
func FsconfigSet(fs Arg, key, value string, flag bool) Op {
	if flag {
		return Op{
			Name: "set " + key, Call: unix.SYS_FSCONFIG, Args: [6]Arg{fs, Int(unix.FSCONFIG_SET_FLAG), String(key)},
		}
	}
	return Op{
		Name: "set " + key, Call: unix.SYS_FSCONFIG, Args: [6]Arg{fs, Int(unix.FSCONFIG_SET_STRING), String(key), String(value)},
	}
}

// FsconfigCreate makes the file system.
func FsconfigCreate(fs Arg) Op {
	return Op{
		Name: "create", Call: unix.SYS_FSCONFIG, Args: [6]Arg{fs, Int(unix.FSCONFIG_CMD_CREATE)},
	}
}

// Fsmount makes a mount of it that is nowhere yet; fsmount(2), Linux 5.2.
func Fsmount(fs Arg, attrs uint64) Op {
	return Op{
		Name: "fsmount", Call: unix.SYS_FSMOUNT, Args: [6]Arg{fs, Int(unix.FSMOUNT_CLOEXEC), Int(attrs)},
	}
}

// OpenTree makes a copy of what is mounted at a place, as a mount that is
// nowhere yet: of the whole tree, or of the topmost mount. open_tree(2), Linux
// 5.2.
func OpenTree(at Place, recursive bool) Op {
	flags := unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	if at.Path == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	return Op{
		Name: "open_tree", Call: unix.SYS_OPEN_TREE, Args: [6]Arg{at.Dir, String(at.Path), Int(flags)},
	}
}

// MountSetattr changes the attributes of a mount behind a descriptor;
// mount_setattr(2), Linux 5.12. Propagation is 0 or one of MS_PRIVATE and its
// like.
func MountSetattr(mount Arg, set, clear, propagation uint64, recursive bool) Op {
	flags := unix.AT_EMPTY_PATH
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	attr := Words(Int(set), Int(clear), Int(propagation), Int(0))
	return Op{
		Name: "mount_setattr", Call: unix.SYS_MOUNT_SETATTR, Args: [6]Arg{mount, emptyPath, Int(flags), attr, Int(32)},
	}
}

// MoveMount puts a mount at a place, or, without a path, at what is behind the
// place's descriptor; move_mount(2), Linux 5.2. A link at the end of the path is not
// followed.
func MoveMount(mount Arg, at Place) Op {
	flags := unix.MOVE_MOUNT_F_EMPTY_PATH
	if at.Path == "" {
		flags |= unix.MOVE_MOUNT_T_EMPTY_PATH
	}
	return Op{
		Name: "move_mount", Call: unix.SYS_MOVE_MOUNT, Args: [6]Arg{mount, emptyPath, at.Dir, String(at.Path), Int(flags)},
	}
}

// SendDescriptor sends descriptor number fd over a unix socket, with one byte;
// see unix(7), SCM_RIGHTS.
func SendDescriptor(socket Arg, fd int) Op {
	control := unix.UnixRights(fd)
	message := Words(Int(0), Int(0), Words(Bytes([]byte{0}), Int(1)), Int(1), Bytes(control), Int(len(control)), Int(0))
	return Op{
		Name: "send descriptor", Call: unix.SYS_SENDMSG, Args: [6]Arg{socket, message, Int(unix.MSG_NOSIGNAL)},
	}
}

// CloseOnExec marks every descriptor from first up to be closed by the next
// execve (Linux 5.11). As an early op it makes sure that emptyPath which the
// launcher inherited itself gets into the child.
func CloseOnExec(first int) Op {
	return Op{
		Name: "hide descriptors", Call: unix.SYS_CLOSE_RANGE, Args: [6]Arg{Int(first), Int(^uint32(0)), Int(unix.CLOSE_RANGE_CLOEXEC)},
	}
}
