package container

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// stopped is a container whose child waits before its command, at the gate of
// the network, until release is called.
type stopped struct {
	release func() // may be called again
	ended   chan error
}

func (b *box) stopAtGate() *stopped {
	gate, here := make(chan struct{}), make(chan bool, 1)
	s := &stopped{release: sync.OnceFunc(func() { close(gate) }), ended: make(chan error, 1)}
	b.Connected = true
	b.run("true")
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	must(b.t, err)
	fd := int(null.Fd())
	b.options.Stdio = [3]int{fd, fd, fd}
	plan, err := b.plan()
	must(b.t, err)
	go func() {
		defer null.Close()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		c, err := plan.Start(context.Background(), func(context.Context, int, int, int) error {
			here <- true
			<-gate
			return nil
		})
		if err == nil {
			_, err = c.Wait()
			c.Release()
		}
		s.ended <- err
	}()
	b.t.Cleanup(s.release) // before whom it has joined is waited for
	select {
	case <-here:
	case err := <-s.ended:
		b.t.Fatal(err)
	}
	return s
}

// TestStartingProcess: a process inside can do nothing to the child that starts
// or joins beside it: not trace it, nor see its memory, binary, root or files.
// The attacker has all the usual capabilities, and CAP_SYS_PTRACE where that is
// over its own user namespace.
func TestStartingProcess(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		victim := newBox(t, k)
		host := newBox(t, k)
		h := host.start()
		join := map[specs.LinuxNamespaceType]string{specs.PIDNamespace: "pid", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts"}
		if k.user() {
			join[specs.UserNamespace] = "user"
		}
		victim.joining(h.Pid(), join)
		s := victim.stopAtGate()
		target := 0
		for range 500 {
			for _, name := range strings.Fields(h.ask("list", "/proc")) {
				if n, err := strconv.Atoi(name); err == nil && n != 1 {
					target = n
				}
			}
			if target != 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if target == 0 {
			t.Fatal("the attacker does not see the child")
		}
		dir := fmt.Sprintf("/proc/%d/", target)
		h.refuse(denied, "memory", target, stubAddress)
		h.refuse(denied, "call", unix.SYS_PTRACE, unix.PTRACE_SEIZE, target, 0, 0)
		h.refuse(denied, "call", unix.SYS_PTRACE, unix.PTRACE_ATTACH, target, 0, 0)
		for _, file := range []string{"mem", "environ", "auxv", "maps", "syscall", "stack"} {
			h.refuse(append([]syscall.Errno{unix.ENOENT}, denied...), "read", dir+file)
		}
		h.refuse(denied, "write", dir+"mem", "x")
		for _, name := range []string{"exe", "root", "cwd", "fd/0", "fd/1", "ns/mnt"} {
			h.refuse(denied, "link", dir+name)
		}
		h.refuse(denied, "list", dir+"root/")
		h.refuse(denied, "read", dir+"exe")
		h.refuse(denied, "write", dir+"exe", "x")
		if a := h.try("call", unix.SYS_PIDFD_OPEN, target, 0); a.Errno == 0 {
			for fd := range 12 {
				if errno := h.call(unix.SYS_PIDFD_GETFD, a.Value, fd, 0); errno != unix.EPERM {
					t.Errorf("pidfd_getfd of %d: %v", fd, errno)
				}
			}
		}
		s.release()
		if err := <-s.ended; err != nil {
			t.Error(err)
		}
		h.end()
	})
}

// TestSetuid: a setuid binary gains nothing with no_new_privs, and without it
// what the bounding set allows.
func TestSetuid(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		if k.name == "own" {
			t.Skip("there is one id only")
		}
		for _, nnp := range []bool{true, false} {
			b := newBox(t, k)
			b.Process.User = specs.User{UID: 1000, GID: 1000}
			b.Process.NoNewPrivileges = nnp
			must(t, copyFile(world.binary, b.root+"/bin/setuid"))
			must(t, os.Chown(b.root+"/bin/setuid", k.root, k.root))
			must(t, os.Chmod(b.root+"/bin/setuid", 0o755|os.ModeSetuid))
			c := b.start()
			usual := c.ask("status", "CapBnd")
			want := "uid 1000 1000 0000000000000000"
			if !nnp {
				want = "uid 1000 0 " + usual
			}
			c.want(want, "run", "/bin/setuid", "who")
			c.end()
		}
	})
}

// TestKeyrings: a key of the launcher's session is not to be found inside.
func TestKeyrings(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		const name = "isoperf-test-key"
		runtime.LockOSThread() // the session is the thread's
		defer runtime.UnlockOSThread()
		_, err := unix.KeyctlJoinSessionKeyring("isoperf-test")
		require(t, err == nil, fmt.Sprintf("there are no keyrings: %v", err))
		id, err := unix.AddKey("user", name, []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING)
		must(t, err)
		for _, init := range []bool{false, true} {
			b := newBox(t, k)
			b.Init = init
			c := b.start()
			if errno := c.call(unix.SYS_KEYCTL, unix.KEYCTL_SEARCH, int64(unix.KEY_SPEC_SESSION_KEYRING), "user", name, 0); errno != unix.ENOKEY {
				t.Errorf("search: %v", errno)
			}
			if errno := c.call(unix.SYS_REQUEST_KEY, "user", name, 0, 0); errno != unix.ENOKEY {
				t.Errorf("request_key: %v", errno)
			}
			// By its number it may be read only where the user is the same, which
			// is what possession is not.
			if errno := c.call(unix.SYS_KEYCTL, unix.KEYCTL_READ, id, 0, 0); errno != unix.EACCES && errno != unix.ENOKEY {
				t.Errorf("read key %d: %v", id, errno)
			}
			c.end()
		}
	})
}

// TestTerminalInjection: the command cannot type into the launcher's terminal.
func TestTerminalInjection(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		require(t, err == nil, fmt.Sprintf("no terminal can be had: %v", err))
		defer unix.Close(master)
		must(t, unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0))
		slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY)
		require(t, errno == 0, fmt.Sprintf("no terminal can be had: %v", errno))
		// It is a shell's, as a terminal is.
		shell := exec.Command(world.binary, "pause")
		shell.Env = []string{helperEnv + "=1"}
		terminal := os.NewFile(slave, "terminal")
		defer terminal.Close()
		shell.Stdin = terminal
		shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		must(t, shell.Start())
		defer func() {
			_ = shell.Process.Kill()
			_ = shell.Wait()
		}()
		for _, init := range []bool{false, true} {
			b := newBox(t, k)
			b.Init = init
			b.errs = int(slave)
			c := b.start()
			if errno := c.call(unix.SYS_IOCTL, 2, unix.TIOCSTI, "x"); errno != unix.EPERM && errno != unix.EIO {
				t.Errorf("TIOCSTI: %v", errno)
			}
			if errno := c.call(unix.SYS_IOCTL, 2, unix.TIOCSCTTY, 1); errno != unix.EPERM {
				t.Errorf("TIOCSCTTY: %v", errno)
			}
			fds := []unix.PollFd{{Fd: int32(slave), Events: unix.POLLIN}}
			if n, _ := unix.Poll(fds, 0); n != 0 {
				t.Error("something was typed into the launcher's terminal")
			}
			c.end()
		}
	})
}

// TestNeighbours: two containers side by side can neither signal, trace nor see
// each other, and share no IPC of any kind.
func TestNeighbours(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		a, b := newBox(t, k).start(), newBox(t, k).start()
		// Nobody is there but oneself.
		for _, c := range []*live{a, b} {
			for _, pid := range []int{a.Pid(), b.Pid(), os.Getpid()} {
				if errno := c.call(unix.SYS_KILL, pid, 0); errno != unix.ESRCH {
					t.Errorf("kill %d: %v", pid, errno)
				}
				if errno := c.call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, pid, 0, 0); errno != unix.ESRCH {
					t.Errorf("ptrace %d: %v", pid, errno)
				}
			}
			if errno := c.call(unix.SYS_KILL, -1, 0); errno != unix.ESRCH {
				t.Errorf("kill all: %v", errno)
			}
		}
		const key = 0x150
		if v := a.try("call", unix.SYS_SHMGET, key, 4096, 0o666|unix.IPC_CREAT); v.Errno != 0 {
			t.Errorf("shmget: %+v", v)
		}
		if errno := b.call(unix.SYS_SHMGET, key, 4096, 0); errno != unix.ENOENT {
			t.Errorf("the shared memory of the other: %v", errno)
		}
		if _, err := unix.SysvShmGet(key, 4096, 0); err != unix.ENOENT {
			t.Errorf("the shared memory is seen on the host: %v", err)
		}
		for _, get := range []int{unix.SYS_MSGGET, unix.SYS_SEMGET} {
			second := map[int]int{unix.SYS_MSGGET: 0o666 | unix.IPC_CREAT, unix.SYS_SEMGET: 1}[get]
			if errno := a.call(get, key, second, 0o666|unix.IPC_CREAT); errno != 0 {
				t.Errorf("call %d: %v", get, errno)
			}
			if errno := b.call(get, key, 0, 0); errno != unix.ENOENT {
				t.Errorf("call %d sees the other's: %v", get, errno)
			}
		}
		if errno := a.call(unix.SYS_MQ_OPEN, "queue", unix.O_CREAT|unix.O_RDWR, 0o666, 0); errno != 0 {
			t.Errorf("mq_open: %v", errno)
		}
		if errno := b.call(unix.SYS_MQ_OPEN, "queue", unix.O_RDWR, 0, 0); errno != unix.ENOENT {
			t.Errorf("the queue of the other: %v", errno)
		}
		a.ask("listen", "isoperf-test")
		a.ask("connect", "isoperf-test")
		b.refuse([]syscall.Errno{unix.ECONNREFUSED}, "connect", "isoperf-test")
		if err := abstract("isoperf-test", false); err != unix.ECONNREFUSED {
			t.Errorf("the abstract socket is reached from the host: %v", err)
		}
		a.ask("create", "/dev/shm/file", "x")
		b.want("", "list", "/dev/shm")
		a.end()
		b.end()
	})
}

// TestEscape: the usual capabilities do not lead out: not by chroot, nor
// through a device node of the host's disk, nor by mounting.
func TestEscape(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		must(t, os.Mkdir(b.root+"/tmp/jail", 0o755))
		c := b.start()
		inside := c.ask("list", "/")
		// A directory kept open above a new root is the old way out.
		fd := c.try("call", unix.SYS_OPENAT, unix.AT_FDCWD, "/", unix.O_RDONLY|unix.O_DIRECTORY)
		if errno := c.call(unix.SYS_CHROOT, "/tmp/jail"); errno != 0 {
			t.Errorf("chroot: %v", errno)
		}
		if errno := c.call(unix.SYS_FCHDIR, fd.Value); errno != 0 {
			t.Errorf("fchdir: %v", errno)
		}
		for range 30 {
			c.call(unix.SYS_CHDIR, "..")
		}
		c.call(unix.SYS_CHROOT, ".")
		c.want(inside, "list", "/")
		for _, refused := range [][]any{
			{unix.SYS_MOUNT, "proc", "/tmp", "proc", 0, 0}, {unix.SYS_UMOUNT2, "/proc/sys", unix.MNT_DETACH}, {unix.SYS_UMOUNT2, "/", unix.MNT_DETACH},
			{unix.SYS_MOUNT, "", "/sys", "", unix.MS_REMOUNT | unix.MS_BIND, 0}, {unix.SYS_UNSHARE, unix.CLONE_NEWNS}, {unix.SYS_FSOPEN, "tmpfs", 0},
			{unix.SYS_OPEN_TREE, unix.AT_FDCWD, "/", 1}, {unix.SYS_PIVOT_ROOT, "/", "/tmp"}, {unix.SYS_OPEN_BY_HANDLE_AT, int64(unix.AT_FDCWD), "\x08\x00\x00\x00\x01\x00\x00\x0012345678", 0},
		} {
			c.refuse([]syscall.Errno{unix.EPERM}, "call", refused...)
		}
		c.end()
	})
}

// TestHostDevices: the disk of the host cannot be reached through a node that
// is made inside: with control groups by the device list, and in a user
// namespace since none can be made.
func TestHostDevices(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		if !k.user() {
			b.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
		}
		c := b.start()
		var st unix.Stat_t
		must(t, unix.Stat("/", &st))
		errno := c.call(unix.SYS_MKNODAT, unix.AT_FDCWD, "/tmp/disk", unix.S_IFBLK|0o600, st.Dev)
		if k.user() && errno != unix.EPERM {
			t.Errorf("mknod: %v", errno)
		}
		if !k.user() {
			for _, flags := range []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR} {
				if errno := c.call(unix.SYS_OPENAT, unix.AT_FDCWD, "/tmp/disk", flags, 0); errno != unix.EPERM {
					t.Errorf("open with flags %d: %v", flags, errno)
				}
			}
		}
		c.ask("write", "/dev/null", "x")
		c.end()
	})
}

// TestKernelSwitches: what belongs to the whole machine cannot be written.
func TestKernelSwitches(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		b.Mounts = append(b.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}})
		c := b.start()
		refused := append([]syscall.Errno{unix.EROFS}, denied...)
		for _, path := range []string{
			"/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/panic_on_oom", "/proc/sys/kernel/hostname",
			"/sys/kernel/uevent_helper", "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/memory/notify_on_release", "/sys/fs/cgroup/cgroup.procs",
			"/sys/fs/cgroup/unified/cgroup.procs", "/sys/kernel/mm/transparent_hugepage/enabled",
		} {
			if a := c.try("stat", path); a.Errno == unix.ENOENT {
				continue // this machine has none
			}
			c.refuse(refused, "write", path, "")
		}
		c.end()
	})
}
