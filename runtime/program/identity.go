package program

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Setresuid makes one user the real, the effective and the saved one.
func Setresuid(uid int) Op {
	return Op{Name: "setresuid", Call: unix.SYS_SETRESUID, Args: [6]Arg{Int(uid), Int(uid), Int(uid)}}
}

// Setresgid makes one group the real, the effective and the saved one.
func Setresgid(gid int) Op {
	return Op{Name: "setresgid", Call: unix.SYS_SETRESGID, Args: [6]Arg{Int(gid), Int(gid), Int(gid)}}
}

// Setgroups sets the supplementary groups.
func Setgroups(gids []uint32) Op {
	list := make([]byte, 0, 4*len(gids))
	for _, g := range gids {
		list = append(list, byte(g), byte(g>>8), byte(g>>16), byte(g>>24))
	}
	return Op{
		Name: "setgroups", Call: unix.SYS_SETGROUPS, Args: [6]Arg{Int(len(gids)), Bytes(list)},
		Show: func() string { return fmt.Sprintf("setgroups(%d, %v)", len(gids), gids) },
	}
}

// Umask is umask(2).
func Umask(mask uint32) Op {
	return Op{Name: "umask", Call: unix.SYS_UMASK, Args: [6]Arg{Int(mask)}}
}

// Setsid makes the child the leader of a new session, without a terminal.
func Setsid() Op { return Op{Name: "setsid", Call: unix.SYS_SETSID} }

// Prlimit sets a resource limit of the child; see getrlimit(2).
func Prlimit(name string, resource int, soft, hard uint64) Op {
	return Op{
		Name: "limit " + name, Call: unix.SYS_PRLIMIT64, Args: [6]Arg{Int(0), Int(resource), Words(Int(soft), Int(hard))},
		Show: func() string { return fmt.Sprintf("prlimit64(0, %s, {%d, %d}, NULL)", name, soft, hard) },
	}
}

// Ioctl is ioctl(2); request is shown as its name.
func Ioctl(fd Arg, name string, request uint, arg Arg) Op {
	return Op{Name: name, Call: unix.SYS_IOCTL, Args: [6]Arg{fd, Int(request), arg}, Text: fmt.Sprintf("ioctl(%v, %s, %v)", fd, name, arg)}
}

// Winsize sets the size of a terminal, in characters; see ioctl_tty(2).
func Winsize(tty Arg, rows, columns uint) Op {
	size := []byte{byte(rows), byte(rows >> 8), byte(columns), byte(columns >> 8), 0, 0, 0, 0}
	return Op{
		Name: "terminal size", Call: unix.SYS_IOCTL, Args: [6]Arg{tty, Int(unix.TIOCSWINSZ), Bytes(size)},
		Text: fmt.Sprintf("ioctl(%v, TIOCSWINSZ, {%d, %d})", tty, rows, columns),
	}
}

// Setdomainname is setdomainname(2).
func Setdomainname(name string) Op {
	return Op{Name: "setdomainname", Call: unix.SYS_SETDOMAINNAME, Args: [6]Arg{Bytes([]byte(name)), Int(len(name))}}
}
