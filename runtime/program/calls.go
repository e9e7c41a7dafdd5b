package program

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
)

// Constants of the kernel that x/sys does not have.
const (
	futexWait   = 0
	futexWake   = 1
	sigSetMask  = 2
	sysExecveat = unix.SYS_EXECVEAT
)

// The constructors below make the ops that programs are written with, each
// with its symbolic text. Their man pages are those of the system calls.

// Exit ends the child with a status.
func Exit(status int) Op {
	return Op{Name: "exit", Call: unix.SYS_EXIT_GROUP, Args: [6]Arg{Int(status)}, Text: fmt.Sprintf("exit_group(%d)", status)}
}

// Unshare moves the child into new namespaces.
func Unshare(flags uint64) Op {
	return Op{Name: "unshare", Call: unix.SYS_UNSHARE, Args: [6]Arg{Int(flags)}, Text: "unshare(" + namespace.FlagString(flags) + ")"}
}

// Setns moves the child into the namespace behind a descriptor.
func Setns(fd Arg, flag uint64) Op {
	return Op{Name: "setns", Call: unix.SYS_SETNS, Args: [6]Arg{fd, Int(flag)}, Text: fmt.Sprintf("setns(%v, %s)", fd, namespace.FlagString(flag))}
}

// Execve runs the file at path in the child's place.
func Execve(path string, argv, env []string) Op {
	return Op{
		Name: "execve", Call: unix.SYS_EXECVE,
		Args: [6]Arg{String(path), Strings(argv), Strings(env)},
		Text: fmt.Sprintf("execve(%q, %v, [%d variables])", path, Strings(argv), len(env)),
	}
}

// Open opens a path; the result is the descriptor, closed on exec.
func Open(path string, flags int) Op {
	return Op{
		Name: "open " + path, Call: unix.SYS_OPENAT,
		Args: [6]Arg{Int(unix.AT_FDCWD), String(path), Int(flags | unix.O_CLOEXEC), Int(0o644)},
		Text: fmt.Sprintf("openat(AT_FDCWD, %q, %s)", path, openFlags(flags|unix.O_CLOEXEC)),
	}
}

// Write writes text to a descriptor.
func Write(fd Arg, text string) Op {
	return Op{
		Name: "write", Call: unix.SYS_WRITE, Args: [6]Arg{fd, Bytes([]byte(text)), Int(len(text))},
		Text: fmt.Sprintf("write(%v, %q, %d)", fd, text, len(text)),
	}
}

// Close closes a descriptor.
func Close(fd Arg) Op {
	return Op{Name: "close", Call: unix.SYS_CLOSE, Args: [6]Arg{fd}, Text: fmt.Sprintf("close(%v)", fd)}
}

// Mount is mount(2); source, fstype and data may be empty, which passes NULL.
func Mount(source, target, fstype string, flags uintptr, data string) Op {
	name := "mount " + fstype
	switch {
	case flags&unix.MS_BIND != 0:
		name = "bind " + target
	case flags&(unix.MS_PRIVATE|unix.MS_SLAVE|unix.MS_SHARED|unix.MS_UNBINDABLE) != 0:
		name = "propagation " + target
	case flags&unix.MS_MOVE != 0:
		name = "move to " + target
	case fstype == "":
		name = "remount " + target
	}
	return Op{
		Name: name, Call: unix.SYS_MOUNT,
		Args: [6]Arg{optional(source), String(target), optional(fstype), Int(flags), optional(data)},
		Text: fmt.Sprintf("mount(%s, %q, %s, %s, %s)", orNull(source), target, orNull(fstype), mountFlags(flags), orNull(data)),
	}
}

// Umount is umount2(2).
func Umount(target string, flags int) Op {
	return Op{Name: "umount " + target, Call: unix.SYS_UMOUNT2, Args: [6]Arg{String(target), Int(flags)}, Text: fmt.Sprintf("umount2(%q, %s)", target, umountFlags(flags))}
}

// PivotRoot is pivot_root(2).
func PivotRoot(newRoot, putOld string) Op {
	return Op{Name: "pivot_root", Call: unix.SYS_PIVOT_ROOT, Args: [6]Arg{String(newRoot), String(putOld)}, Text: fmt.Sprintf("pivot_root(%q, %q)", newRoot, putOld)}
}

// Chdir is chdir(2).
func Chdir(path string) Op {
	return Op{Name: "chdir " + path, Call: unix.SYS_CHDIR, Args: [6]Arg{String(path)}, Text: fmt.Sprintf("chdir(%q)", path)}
}

// Mkdir is mkdirat(2) relative to the current directory.
func Mkdir(path string, mode uint32) Op {
	return Op{Name: "mkdir " + path, Call: unix.SYS_MKDIRAT, Args: [6]Arg{Int(unix.AT_FDCWD), String(path), Int(mode)}, Text: fmt.Sprintf("mkdirat(AT_FDCWD, %q, %#o)", path, mode)}
}

// Sethostname is sethostname(2).
func Sethostname(name string) Op {
	return Op{Name: "sethostname", Call: unix.SYS_SETHOSTNAME, Args: [6]Arg{Bytes([]byte(name)), Int(len(name))}, Text: fmt.Sprintf("sethostname(%q, %d)", name, len(name))}
}

// Prctl is prctl(2) with one argument.
func Prctl(name string, option int, arg Arg) Op {
	return Op{Name: name, Call: unix.SYS_PRCTL, Args: [6]Arg{Int(option), arg}, Text: fmt.Sprintf("prctl(%d, %v)", option, arg)}
}

// Sleep is nanosleep(2) for ns nanoseconds.
func Sleep(ns int64) Op {
	return Op{
		Name: "sleep", Call: unix.SYS_NANOSLEEP, Args: [6]Arg{Words(Int(ns/1e9), Int(ns%1e9))},
		Text: "nanosleep(" + strconv.FormatInt(ns, 10) + " ns)",
	}
}

// Pause waits for a signal, for ever.
func Pause() Op {
	return Op{Name: "pause", Call: unix.SYS_PPOLL, Text: "ppoll(NULL, 0, NULL, NULL)"}
}

// CloseRange closes every descriptor from first to last (Linux 5.9). Among them
// is one of the launcher's process, by which a child that waits at a gate, or
// to Confirm, sees that the launcher is alive: without it, it exits after a
// tenth of a second.
func CloseRange(first, last uint32) Op {
	return Op{Name: "close_range", Call: unix.SYS_CLOSE_RANGE, Args: [6]Arg{Int(first), Int(last)}, Text: fmt.Sprintf("close_range(%d, %d, 0)", first, last)}
}

// Null does nothing in the kernel: getppid(2), the cheapest call.
func Null() Op {
	return Op{Name: "getppid", Call: unix.SYS_GETPPID, Text: "getppid()"}
}

func optional(s string) Arg {
	if s == "" {
		return Arg{}
	}
	return String(s)
}

func orNull(s string) string {
	if s == "" {
		return "NULL"
	}
	return strconv.Quote(s)
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
		{Bit: unix.MS_BIND, Name: "MS_BIND"}, {Bit: unix.MS_MOVE, Name: "MS_MOVE"}, {Bit: unix.MS_REC, Name: "MS_REC"},
		{Bit: unix.MS_SILENT, Name: "MS_SILENT"}, {Bit: unix.MS_PRIVATE, Name: "MS_PRIVATE"}, {Bit: unix.MS_SLAVE, Name: "MS_SLAVE"},
		{Bit: unix.MS_SHARED, Name: "MS_SHARED"}, {Bit: unix.MS_UNBINDABLE, Name: "MS_UNBINDABLE"}, {Bit: unix.MS_STRICTATIME, Name: "MS_STRICTATIME"},
	})
}
