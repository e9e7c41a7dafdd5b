package program

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Constants of the kernel that x/sys does not have.
const (
	futexWait   = 0
	futexWake   = 1
	sigSetMask  = 2
	sysExecveat = unix.SYS_EXECVEAT
)

// The constructors below make the ops that programs are written with. Their
// man pages are those of the system calls; what they look like when they are
// printed is in text.go.

// Exit ends the child with a status.
func Exit(status int) Op {
	return Op{Name: "exit", Call: unix.SYS_EXIT_GROUP, Args: [6]Arg{Int(status)}}
}

// Unshare moves the child into new namespaces.
func Unshare(flags uint64) Op {
	return Op{Name: "unshare", Call: unix.SYS_UNSHARE, Args: [6]Arg{Int(flags)}}
}

// Setns moves the child into the namespace behind a descriptor.
func Setns(fd Arg, flag uint64) Op {
	return Op{Name: "setns", Call: unix.SYS_SETNS, Args: [6]Arg{fd, Int(flag)}}
}

// Execve runs the file at path in the child's place.
func Execve(path string, argv, env []string) Op {
	return execve(String(path), Strings(argv), Strings(env))
}

func execve(path, argv, env Arg) Op {
	return Op{Name: "execve", Call: unix.SYS_EXECVE, Args: [6]Arg{path, argv, env}}
}

// Open opens a path; the result is the descriptor, closed on exec.
func Open(path string, flags int) Op {
	return Op{
		Name: "open " + path, Call: unix.SYS_OPENAT,
		Args: [6]Arg{Cwd(), String(path), Int(flags | unix.O_CLOEXEC), Int(0o644)},
	}
}

// Write writes text to a descriptor.
func Write(fd Arg, text string) Op {
	return Op{Name: "write", Call: unix.SYS_WRITE, Args: [6]Arg{fd, Bytes([]byte(text)), Int(len(text))}}
}

// Close closes a descriptor.
func Close(fd Arg) Op { return Op{Name: "close", Call: unix.SYS_CLOSE, Args: [6]Arg{fd}} }

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
	}
}

// Umount is umount2(2).
func Umount(target string, flags int) Op {
	return Op{Name: "umount " + target, Call: unix.SYS_UMOUNT2, Args: [6]Arg{String(target), Int(flags)}}
}

// PivotRoot is pivot_root(2).
func PivotRoot(newRoot, putOld string) Op {
	return Op{Name: "pivot_root", Call: unix.SYS_PIVOT_ROOT, Args: [6]Arg{String(newRoot), String(putOld)}}
}

// Chdir is chdir(2).
func Chdir(path string) Op {
	return Op{Name: "chdir " + path, Call: unix.SYS_CHDIR, Args: [6]Arg{String(path)}}
}

// Mkdir is mkdirat(2) relative to the current directory.
func Mkdir(path string, mode uint32) Op { return Mkdirat(Place{Dir: Cwd(), Path: path}, mode) }

// Sethostname is sethostname(2).
func Sethostname(name string) Op {
	return Op{Name: "sethostname", Call: unix.SYS_SETHOSTNAME, Args: [6]Arg{Bytes([]byte(name)), Int(len(name))}}
}

// Prctl is prctl(2) with one argument.
func Prctl(name string, option int, arg Arg) Op {
	return Op{Name: name, Call: unix.SYS_PRCTL, Args: [6]Arg{Int(option), arg}, Text: "prctl(" + strconv.Itoa(option) + ", " + arg.String() + ")"}
}

// Read reads n bytes from a descriptor, which nobody looks at: it waits for them.
func Read(fd Arg, n int) Op {
	return Op{
		Name: "read", Call: unix.SYS_READ, Args: [6]Arg{fd, Buffer(n), Int(n)},
		Text: "read(" + fd.String() + ", buffer, " + strconv.Itoa(n) + ")",
	}
}

// Executable asks whether there is a file that the child may execute;
// faccessat2(2), Linux 5.8.
func Executable(path string) Op {
	return Op{
		Name: "find " + path, Call: unix.SYS_FACCESSAT2, Args: [6]Arg{Cwd(), String(path), Int(unix.X_OK), Int(unix.AT_EACCESS)},
		Text: "faccessat2(AT_FDCWD, " + strconv.Quote(path) + ", X_OK, AT_EACCESS)",
	}
}

// DieAlone takes the death signal of DieWithParent back.
func DieAlone() Op {
	return Op{Name: "outlive parent", Call: unix.SYS_PRCTL, Args: [6]Arg{Int(unix.PR_SET_PDEATHSIG), Int(0)}, Text: "prctl(PR_SET_PDEATHSIG, 0)"}
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
	return Op{Name: "close_range", Call: unix.SYS_CLOSE_RANGE, Args: [6]Arg{Int(first), Int(last)}}
}

// Null does nothing in the kernel: getppid(2), the cheapest call.
func Null() Op { return Op{Name: "getppid", Call: unix.SYS_GETPPID} }

func optional(s string) Arg {
	if s == "" {
		return Arg{}
	}
	return String(s)
}
