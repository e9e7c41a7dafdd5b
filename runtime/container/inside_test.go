package container

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// partServe answers questions, one JSON array a line: a name of questions and
// its arguments.
func partServe([]string) error {
	runtime.LockOSThread()
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var list []any
		if err := json.Unmarshal(in.Bytes(), &list); err != nil {
			return err
		}
		name := list[0].(string)
		q, ok := questions()[name]
		if !ok {
			return fmt.Errorf("no question is called %q", name)
		}
		var a answer
		var err error
		if name == "call" {
			a.Value, err = rawCall(list[1:])
		} else {
			a.Out, err = q(texts(list[1:]))
		}
		if err != nil {
			a.Err = err.Error()
			errors.As(err, &a.Errno)
		}
		line, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return in.Err()
}

func texts(list []any) []string {
	var all []string
	for _, v := range list {
		if n, ok := v.(float64); ok {
			v = strconv.FormatInt(int64(n), 10)
		}
		all = append(all, v.(string))
	}
	return all
}

// questions are what can be asked inside.
func questions() map[string]func(args []string) (string, error) {
	return map[string]func([]string) (string, error){
		"call": nil,
		"read": func(a []string) (string, error) {
			b, err := os.ReadFile(a[0])
			return string(b), err
		},
		"write": func(a []string) (string, error) { return "", writeTo(a[0], a[1], os.O_WRONLY) },
		"create": func(a []string) (string, error) {
			return "", writeTo(a[0], a[1], os.O_WRONLY|os.O_CREATE)
		},
		"list":     list,
		"link":     func(a []string) (string, error) { return os.Readlink(a[0]) },
		"stat":     stat,
		"status":   status,
		"identity": identity,
		"env":      func([]string) (string, error) { return strings.Join(os.Environ(), "\n"), nil },
		"cwd":      func([]string) (string, error) { return os.Getwd() },
		"uname":    uname,
		"limit":    limit,
		"clock":    clock,
		"fds":      descriptors,
		"run": func(a []string) (string, error) {
			out, err := exec.Command(a[0], a[1:]...).CombinedOutput()
			return string(out), err
		},
		"as":      runAs,
		"console": console,
		"reopen":  reopen,
		"memory":  readMemory,
		"connect": func(a []string) (string, error) { return "", abstract(a[0], false) },
		"listen":  func(a []string) (string, error) { return "", abstract(a[0], true) },
		"tcp":     overLoopback,
	}
}

// rawCall makes a system call with numbers and texts, NULL for null.
func rawCall(list []any) (uintptr, error) {
	var words [7]uintptr
	var keep [][]byte
	for i, v := range list {
		switch v := v.(type) {
		case float64:
			words[i] = uintptr(int64(v))
		case string:
			b := append([]byte(v), 0)
			keep = append(keep, b)
			words[i] = uintptr(unsafe.Pointer(&b[0]))
		}
	}
	r, _, errno := syscall.Syscall6(words[0], words[1], words[2], words[3], words[4], words[5], words[6])
	runtime.KeepAlive(keep)
	if errno != 0 {
		return 0, errno
	}
	return r, nil
}

func writeTo(path, text string, flags int) error {
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func list(a []string) (string, error) {
	entries, err := os.ReadDir(a[0])
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " "), err
}

// stat is kind and mode, owner, device.
func stat(a []string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(a[0], &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%o %d:%d %d:%d", st.Mode, st.Uid, st.Gid, unix.Major(st.Rdev), unix.Minor(st.Rdev)), nil
}

// status is a field of /proc/self/status.
func status(a []string) (string, error) {
	text, err := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, a[0]+":"); ok {
			return strings.Join(strings.Fields(value), " "), nil
		}
	}
	return "", errors.Join(err, fmt.Errorf("no field %q", a[0]))
}

func identity([]string) (string, error) {
	groups, err := os.Getgroups()
	mask := unix.Umask(0)
	unix.Umask(mask)
	return fmt.Sprintf("pid %d uid %d %d gid %d %d groups %v umask %03o session %v", os.Getpid(), os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid(), groups, mask, leads()), err
}

func leads() bool {
	sid, err := unix.Getsid(0)
	return err == nil && sid == os.Getpid()
}

func uname([]string) (string, error) {
	var u unix.Utsname
	err := unix.Uname(&u)
	return unix.ByteSliceToString(u.Nodename[:]) + " " + unix.ByteSliceToString(u.Domainname[:]), err
}

// limit is a resource limit, soft and hard. Prlimit, since Go's own Getrlimit
// hides what it has raised.
func limit(a []string) (string, error) {
	n, err := strconv.Atoi(a[0])
	if err != nil {
		return "", err
	}
	var l unix.Rlimit
	err = unix.Prlimit(0, n, nil, &l)
	return fmt.Sprintf("%d %d", l.Cur, l.Max), err
}

// clock is a clock in seconds.
func clock(a []string) (string, error) {
	n, err := strconv.Atoi(a[0])
	if err != nil {
		return "", err
	}
	var ts unix.Timespec
	err = unix.ClockGettime(int32(n), &ts)
	return strconv.FormatInt(ts.Sec, 10), err
}

// descriptors are numbers and files of all that are open here, but Go's own.
func descriptors([]string) (string, error) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return "", err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	var all []string
	for _, name := range names {
		if name == strconv.Itoa(int(dir.Fd())) {
			continue
		}
		link, err := os.Readlink("/proc/self/fd/" + name)
		if err == nil && !strings.HasPrefix(link, "anon_inode:[event") { // Go's poller
			all = append(all, name+" "+link)
		}
	}
	return strings.Join(all, "\n"), err
}

// runAs runs this binary as another user, with a question.
func runAs(a []string) (string, error) {
	uid, err := strconv.Atoi(a[0])
	if err != nil {
		return "", err
	}
	cmd := exec.Command(a[1], a[2:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid), NoSetGroups: true}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// console opens a terminal, and says its name.
func console([]string) (string, error) {
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return "", err
	}
	n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPTN)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("/dev/pts/%d", n)
	return name, writeTo(name, "hello", os.O_WRONLY|unix.O_NOCTTY)
}

// reopen opens a file for reading and for writing, and says what worked.
func reopen(a []string) (string, error) {
	var did []string
	for _, how := range []struct {
		name  string
		flags int
	}{{"read", os.O_RDONLY}, {"write", os.O_WRONLY}, {"truncate", os.O_WRONLY | os.O_TRUNC}} {
		if f, err := os.OpenFile(a[0], how.flags, 0); err == nil {
			did = append(did, how.name)
			f.Close()
		}
	}
	return strings.Join(did, " "), nil
}

// readMemory reads and writes a byte of another process, by system call.
func readMemory(a []string) (string, error) {
	pid, err := strconv.Atoi(a[0])
	if err != nil {
		return "", err
	}
	addr, err := strconv.ParseUint(a[1], 0, 64)
	if err != nil {
		return "", err
	}
	buf := make([]byte, 8)
	local := []unix.Iovec{{Base: &buf[0], Len: 8}}
	remote := []unix.RemoteIovec{{Base: uintptr(addr), Len: 8}}
	if _, err = unix.ProcessVMReadv(pid, local, remote, 0); err != nil {
		return "", os.NewSyscallError("process_vm_readv", err)
	}
	return fmt.Sprintf("%x", buf), nil
}

// abstract connects to an abstract unix socket, or leaves one listening.
func abstract(name string, listen bool) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if !listen {
		defer unix.Close(fd)
		return unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + name})
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + name}); err != nil {
		return err
	}
	return unix.Listen(fd, 1)
}

// overLoopback connects to itself over 127.0.0.1.
func overLoopback([]string) (string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return "", err
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return "", err
	}
	peer, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(peer)
	return "", unix.Connect(peer, at)
}
