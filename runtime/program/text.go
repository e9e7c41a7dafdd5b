package program

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
)

// callText is the op's call with symbolic arguments.
func (op Op) callText() string {
	switch {
	case op.Text != "":
		return op.Text
	case op.Show != nil:
		return op.Show()
	}
	if show := op.table(); show != nil {
		return show(op.Args)
	}
	last := len(op.Args)
	for last > 0 && op.Args[last-1] == (Arg{}) {
		last--
	}
	texts := make([]string, last)
	for i, a := range op.Args[:last] {
		texts[i] = a.String()
	}
	return fmt.Sprintf("syscall_%d(%s)", op.Call, strings.Join(texts, ", "))
}

// table is how the calls are shown that programs are written with.
func (op Op) table() func(a [6]Arg) string {
	switch op.Call {
	case unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_CLOSE, unix.SYS_FCHDIR, unix.SYS_CHDIR, unix.SYS_SETSID, unix.SYS_GETPPID, unix.SYS_PIVOT_ROOT:
		return op.plain
	case unix.SYS_UNSHARE:
		return func(a [6]Arg) string { return "unshare(" + namespace.FlagString(uint64(a[0].word)) + ")" }
	case unix.SYS_SETNS:
		return func(a [6]Arg) string {
			return fmt.Sprintf("setns(%v, %s)", a[0], namespace.FlagString(uint64(a[1].word)))
		}
	case unix.SYS_EXECVE:
		return func(a [6]Arg) string {
			return fmt.Sprintf("execve(%v, %v, [%d variables])", a[0], a[1], a[2].count())
		}
	case sysExecveat:
		return func(a [6]Arg) string {
			return fmt.Sprintf("execveat(%v, %v, %v, [%d variables], AT_EMPTY_PATH)", a[0], a[1], a[2], a[3].count())
		}
	case unix.SYS_OPENAT:
		return func(a [6]Arg) string {
			return fmt.Sprintf("openat(%s, %v, %s)", dirText(a[0]), a[1], openFlags(int(a[2].word)))
		}
	case unix.SYS_OPENAT2:
		return openat2Text
	case unix.SYS_WRITE:
		return func(a [6]Arg) string {
			text := a[1].String()
			if a[1].kind() == argData && a[1].data.form == formBytes {
				text = fmt.Sprintf("%q", a[1].data.text)
			}
			return fmt.Sprintf("write(%v, %s, %v)", a[0], text, a[2])
		}
	case unix.SYS_MOUNT:
		return func(a [6]Arg) string {
			return fmt.Sprintf("mount(%s, %v, %s, %s, %s)", orNull(a[0]), a[1], orNull(a[2]), mountFlags(a[3].word), orNull(a[4]))
		}
	case unix.SYS_UMOUNT2:
		return func(a [6]Arg) string { return fmt.Sprintf("umount2(%v, %s)", a[0], umountFlags(int(a[1].word))) }
	}
	return op.more()
}

// plain is a call whose arguments are what they look like.
func (op Op) plain(a [6]Arg) string {
	shape := map[Call]struct {
		name string
		n    int
	}{
		unix.SYS_EXIT: {"exit", 1}, unix.SYS_EXIT_GROUP: {"exit_group", 1}, unix.SYS_CLOSE: {"close", 1}, unix.SYS_FCHDIR: {"fchdir", 1},
		unix.SYS_CHDIR: {"chdir", 1}, unix.SYS_SETSID: {"setsid", 0}, unix.SYS_GETPPID: {"getppid", 0}, unix.SYS_PIVOT_ROOT: {"pivot_root", 2},
		unix.SYS_SETRESUID: {"setresuid", 3}, unix.SYS_SETRESGID: {"setresgid", 3},
	}[op.Call]
	texts := make([]string, shape.n)
	for i := range texts {
		texts[i] = a[i].String()
	}
	return shape.name + "(" + strings.Join(texts, ", ") + ")"
}

// more is the rest of the table: files, the mount API, identity.
func (op Op) more() func(a [6]Arg) string {
	switch op.Call {
	case unix.SYS_SETRESUID, unix.SYS_SETRESGID:
		return op.plain
	case unix.SYS_MKDIRAT:
		return func(a [6]Arg) string { return fmt.Sprintf("mkdirat(%s, %v, %#o)", dirText(a[0]), a[1], a[2].word) }
	case unix.SYS_MKNODAT:
		return mknodatText
	case unix.SYS_SYMLINKAT:
		return func(a [6]Arg) string { return fmt.Sprintf("symlinkat(%v, %s, %v)", a[0], dirText(a[1]), a[2]) }
	case unix.SYS_FCHOWNAT:
		return func(a [6]Arg) string {
			return fmt.Sprintf("fchownat(%s, %v, %v, %v, %#x)", dirText(a[0]), a[1], a[2], a[3], a[4].word)
		}
	case unix.SYS_DUP3:
		return func(a [6]Arg) string { return fmt.Sprintf("dup3(%v, %v, %s)", a[0], a[1], cloexec(a[2])) }
	case unix.SYS_FSOPEN:
		return func(a [6]Arg) string { return fmt.Sprintf("fsopen(%v, FSOPEN_CLOEXEC)", a[0]) }
	case unix.SYS_FSCONFIG:
		return fsconfigText
	case unix.SYS_FSMOUNT:
		return func(a [6]Arg) string {
			return fmt.Sprintf("fsmount(%v, FSMOUNT_CLOEXEC, %s)", a[0], attrFlags(uint64(a[2].word)))
		}
	case unix.SYS_OPEN_TREE:
		return func(a [6]Arg) string {
			return fmt.Sprintf("open_tree(%s, %v, %s)", dirText(a[0]), a[1], treeFlags(a[2].word))
		}
	case unix.SYS_MOUNT_SETATTR:
		return func(a [6]Arg) string {
			w := a[3].data.words
			return fmt.Sprintf("mount_setattr(%v, %v, %s, {set %s, clear %s, %s})", a[0], a[1], treeFlags(a[2].word),
				attrFlags(uint64(w[0].word)), attrFlags(uint64(w[1].word)), mountFlags(w[2].word))
		}
	case unix.SYS_MOVE_MOUNT:
		return func(a [6]Arg) string {
			return fmt.Sprintf("move_mount(%v, %v, %v, %v, MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)", a[0], a[1], a[2], a[3])
		}
	case unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME:
		name := map[Call]string{unix.SYS_SETHOSTNAME: "sethostname", unix.SYS_SETDOMAINNAME: "setdomainname"}[op.Call]
		return func(a [6]Arg) string { return fmt.Sprintf("%s(%q, %v)", name, a[0].data.text, a[1]) }
	case unix.SYS_SENDMSG:
		return func(a [6]Arg) string { return fmt.Sprintf("sendmsg(%v, %v, MSG_NOSIGNAL)", a[0], a[1]) }
	case unix.SYS_FCNTL:
		if op.Args[1] == Int(unix.F_SETFD) {
			return func(a [6]Arg) string {
				flag := "0"
				if a[2].word == unix.FD_CLOEXEC {
					flag = "FD_CLOEXEC"
				}
				return fmt.Sprintf("fcntl(%v, F_SETFD, %s)", a[0], flag)
			}
		}
	case unix.SYS_UMASK:
		return func(a [6]Arg) string { return fmt.Sprintf("umask(%#o)", a[0].word) }
	case unix.SYS_CLOSE_RANGE:
		return func(a [6]Arg) string {
			flags := "0"
			if a[2].word == unix.CLOSE_RANGE_CLOEXEC {
				flags = "CLOSE_RANGE_CLOEXEC"
			}
			last := a[1].String()
			if uint32(a[1].word) == ^uint32(0) {
				last = "~0"
			}
			return fmt.Sprintf("close_range(%v, %s, %s)", a[0], last, flags)
		}
	}
	return nil
}

// count is how many strings there are in a vector of them.
func (a Arg) count() int {
	if a.kind() != argData || a.data.words == nil {
		return 0
	}
	return len(a.data.words) - 1
}

// dirText is a directory's descriptor.
func dirText(a Arg) string {
	if a == Cwd() {
		return "AT_FDCWD"
	}
	return a.String()
}

func orNull(a Arg) string {
	if a == (Arg{}) {
		return "NULL"
	}
	return a.String()
}

func cloexec(a Arg) string {
	if a.word&unix.O_CLOEXEC != 0 {
		return "O_CLOEXEC"
	}
	return a.String()
}

func openat2Text(a [6]Arg) string {
	how := a[2].data.words
	return fmt.Sprintf("openat2(%s, %v, {%s, %#o, %s})", dirText(a[0]), a[1], openFlags(int(how[0].word)), how[1].word, resolveFlags(uint64(how[2].word)))
}

func mknodatText(a [6]Arg) string {
	mode, device := uint32(a[2].word), uint64(a[3].word)
	kind := map[uint32]string{unix.S_IFREG: "S_IFREG", unix.S_IFBLK: "S_IFBLK", unix.S_IFCHR: "S_IFCHR", unix.S_IFIFO: "S_IFIFO"}[mode&unix.S_IFMT]
	return fmt.Sprintf("mknodat(%s, %v, %s|%#o, %d:%d)", dirText(a[0]), a[1], kind, mode&^unix.S_IFMT, unix.Major(device), unix.Minor(device))
}

func fsconfigText(a [6]Arg) string {
	switch a[1].word {
	case unix.FSCONFIG_SET_FLAG:
		return fmt.Sprintf("fsconfig(%v, FSCONFIG_SET_FLAG, %v)", a[0], a[2])
	case unix.FSCONFIG_SET_STRING:
		return fmt.Sprintf("fsconfig(%v, FSCONFIG_SET_STRING, %v, %v)", a[0], a[2], a[3])
	}
	return fmt.Sprintf("fsconfig(%v, FSCONFIG_CMD_CREATE)", a[0])
}

func resolveFlags(flags uint64) string {
	return namespace.Symbols(flags, []namespace.Symbol{
		{Bit: unix.RESOLVE_IN_ROOT, Name: "RESOLVE_IN_ROOT"}, {Bit: unix.RESOLVE_BENEATH, Name: "RESOLVE_BENEATH"},
		{Bit: unix.RESOLVE_NO_MAGICLINKS, Name: "RESOLVE_NO_MAGICLINKS"}, {Bit: unix.RESOLVE_NO_SYMLINKS, Name: "RESOLVE_NO_SYMLINKS"},
		{Bit: unix.RESOLVE_NO_XDEV, Name: "RESOLVE_NO_XDEV"},
	})
}

// treeFlags prints those of open_tree(2) and mount_setattr(2).
func treeFlags(flags uintptr) string {
	return namespace.Symbols(uint64(flags), []namespace.Symbol{
		{Bit: unix.OPEN_TREE_CLONE, Name: "OPEN_TREE_CLONE"}, {Bit: unix.OPEN_TREE_CLOEXEC, Name: "OPEN_TREE_CLOEXEC"},
		{Bit: unix.AT_RECURSIVE, Name: "AT_RECURSIVE"}, {Bit: unix.AT_EMPTY_PATH, Name: "AT_EMPTY_PATH"},
	})
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

// openFlags prints the flags of open(2) by name, the access mode first.
func openFlags(flags int) string {
	text := [...]string{"O_RDONLY", "O_WRONLY", "O_RDWR", "3"}[flags&unix.O_ACCMODE]
	if rest := uint64(flags &^ unix.O_ACCMODE); rest != 0 {
		text += "|" + namespace.Symbols(rest, []namespace.Symbol{
			{Bit: unix.O_CREAT, Name: "O_CREAT"}, {Bit: unix.O_EXCL, Name: "O_EXCL"}, {Bit: unix.O_TRUNC, Name: "O_TRUNC"},
			{Bit: unix.O_APPEND, Name: "O_APPEND"}, {Bit: unix.O_NONBLOCK, Name: "O_NONBLOCK"}, {Bit: unix.O_NOCTTY, Name: "O_NOCTTY"},
			{Bit: unix.O_DIRECTORY, Name: "O_DIRECTORY"}, {Bit: unix.O_NOFOLLOW, Name: "O_NOFOLLOW"},
			{Bit: unix.O_PATH, Name: "O_PATH"}, {Bit: unix.O_CLOEXEC, Name: "O_CLOEXEC"},
		})
	}
	return text
}

func umountFlags(flags int) string {
	return namespace.Symbols(uint64(flags), []namespace.Symbol{
		{Bit: unix.MNT_FORCE, Name: "MNT_FORCE"}, {Bit: unix.MNT_DETACH, Name: "MNT_DETACH"},
		{Bit: unix.MNT_EXPIRE, Name: "MNT_EXPIRE"}, {Bit: unix.UMOUNT_NOFOLLOW, Name: "UMOUNT_NOFOLLOW"},
	})
}

// mountFlags prints the flags of mount(2) by name.
func mountFlags(flags uintptr) string {
	return namespace.Symbols(uint64(flags), []namespace.Symbol{
		{Bit: unix.MS_RDONLY, Name: "MS_RDONLY"}, {Bit: unix.MS_NOSUID, Name: "MS_NOSUID"}, {Bit: unix.MS_NODEV, Name: "MS_NODEV"},
		{Bit: unix.MS_NOEXEC, Name: "MS_NOEXEC"}, {Bit: unix.MS_REMOUNT, Name: "MS_REMOUNT"}, {Bit: unix.MS_NOATIME, Name: "MS_NOATIME"},
		{Bit: unix.MS_NODIRATIME, Name: "MS_NODIRATIME"}, {Bit: unix.MS_RELATIME, Name: "MS_RELATIME"},
		{Bit: unix.MS_BIND, Name: "MS_BIND"}, {Bit: unix.MS_MOVE, Name: "MS_MOVE"}, {Bit: unix.MS_REC, Name: "MS_REC"},
		{Bit: unix.MS_SILENT, Name: "MS_SILENT"}, {Bit: unix.MS_PRIVATE, Name: "MS_PRIVATE"}, {Bit: unix.MS_SLAVE, Name: "MS_SLAVE"},
		{Bit: unix.MS_SHARED, Name: "MS_SHARED"}, {Bit: unix.MS_UNBINDABLE, Name: "MS_UNBINDABLE"}, {Bit: unix.MS_STRICTATIME, Name: "MS_STRICTATIME"},
	})
}

// errnoName is the errno's symbol, "ENOENT".
func errnoName(e syscall.Errno) string {
	if name := unix.ErrnoName(e); name != "" {
		return name
	}
	return fmt.Sprintf("errno %d", int(e))
}
