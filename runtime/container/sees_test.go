package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestSees: the command is process 1, root, and alone in a world of its own.
func TestSees(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		b.Domainname = "house"
		c := b.start()
		c.want("box house", "uname")
		groups := "[]"
		if !strings.HasPrefix(c.ask("identity"), "pid 1 uid 0 0 gid 0 0 groups ") {
			t.Errorf("identity %q", c.ask("identity"))
		}
		if k.name != "own" && !strings.Contains(c.ask("identity"), "groups "+groups) {
			t.Errorf("groups of the launcher are left: %q", c.ask("identity"))
		}
		if !strings.HasSuffix(c.ask("identity"), "umask 022 session true") {
			t.Errorf("identity %q", c.ask("identity"))
		}
		c.want("/", "cwd")
		c.want(strings.Join(b.Process.Env, "\n"), "env")
		c.want(b.top(), "list", "/")
		for _, kind := range []string{"pid", "net", "ipc", "uts", "mnt", "cgroup"} {
			inside, outside := c.ask("link", "/proc/self/ns/"+kind), link(t, "/proc/self/ns/"+kind)
			if inside == outside {
				t.Errorf("the %s namespace is the launcher's", kind)
			}
			if from := link(t, fmt.Sprintf("/proc/%d/ns/%s", c.Pid(), kind)); k.name == "root" && from != inside {
				t.Errorf("the %s namespace is %s from outside, %s from inside", kind, from, inside)
			}
		}
		// Only the processes of the namespace are there.
		numbers := 0
		for _, name := range strings.Fields(c.ask("list", "/proc")) {
			if strings.Trim(name, "0123456789") == "" {
				numbers++
				if name != "1" {
					t.Errorf("there is a process %s", name)
				}
			}
		}
		if numbers != 1 {
			t.Errorf("%d processes are in /proc", numbers)
		}
		c.end()
	})
}

func link(t testing.TB, path string) string {
	t.Helper()
	text, err := os.Readlink(path)
	must(t, err)
	return text
}

// TestDevices: those that the specification wants are there and work.
func TestDevices(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, old := range []bool{false, true} {
			b := newBox(t, k)
			b.options.OldMounts = old
			c := b.start()
			for name, device := range map[string]string{"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"} {
				if got := c.ask("stat", "/dev/"+name); !strings.HasPrefix(got, "20666 ") || !strings.HasSuffix(got, " "+device) {
					t.Errorf("/dev/%s is %q", name, got)
				}
			}
			for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"} {
				c.want(to, "link", "/dev/"+name)
			}
			c.ask("write", "/dev/null", "gone")
			c.want("", "read", "/dev/null")
			c.refuse([]syscall.Errno{unix.ENOSPC}, "write", "/dev/full", "x")
			for _, name := range []string{"/dev/zero", "/dev/urandom"} {
				fd := c.try("call", unix.SYS_OPENAT, unix.AT_FDCWD, name, unix.O_RDONLY).Value
				if fd == 0 {
					t.Fatalf("%s cannot be opened", name)
				}
				if a := c.try("call", unix.SYS_READ, fd, "12345678", 8); a.Value != 8 {
					t.Errorf("read %s: %+v", name, a)
				}
			}
			c.want("/dev/pts/0", "console")
			c.ask("create", "/dev/shm/file", "text")
			c.want("text", "read", "/dev/shm/file")
			fd := c.try("call", unix.SYS_MQ_OPEN, "queue", unix.O_CREAT|unix.O_RDWR, 0o600, 0)
			if fd.Err != "" {
				t.Errorf("mq_open: %s", fd.Err)
			}
			c.want("queue", "list", "/dev/mqueue")
			c.end()
		}
	})
}

// TestMasks: masked paths show nothing, read-only ones cannot be written, by
// either mount API; with a directory and a file in the root too.
func TestMasks(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, old := range []bool{false, true} {
			b := newBox(t, k)
			b.options.OldMounts = old
			must(t, os.Mkdir(b.root+"/secrets", 0o755))
			must(t, os.WriteFile(b.root+"/secrets/key", []byte("secret"), 0o644))
			must(t, os.WriteFile(b.root+"/secret", []byte("secret"), 0o644))
			must(t, os.MkdirAll(b.root+"/fixed/below", 0o777))
			must(t, os.Chmod(b.root+"/fixed", 0o777))
			b.Linux.MaskedPaths = append(b.Linux.MaskedPaths, "/secrets", "/secret", "/missing")
			b.Linux.ReadonlyPaths = append(b.Linux.ReadonlyPaths, "/fixed", "/missing")
			c := b.start()
			c.want("", "read", "/secret")
			c.want("", "list", "/secrets")
			c.refuse([]syscall.Errno{unix.EROFS}, "create", "/secrets/new", "x")
			for _, dir := range []string{"/fixed", "/fixed/below", "/proc/sys"} {
				c.refuse([]syscall.Errno{unix.EROFS, unix.ENOENT}, "create", dir+"/new", "x")
			}
			if _, err := os.Stat("/proc/sysrq-trigger"); err == nil {
				// Which of the two is looked at first depends on the kernel.
				c.refuse([]syscall.Errno{unix.EROFS, unix.EACCES}, "write", "/proc/sysrq-trigger", "h")
			}
			for _, p := range b.Linux.MaskedPaths {
				info, err := os.Stat(p)
				switch {
				case err != nil: // the host has none
				case info.IsDir():
					c.want("", "list", p)
				default:
					c.want("", "read", p)
				}
			}
			c.end()
			if text, err := os.ReadFile(b.root + "/secrets/key"); err != nil || string(text) != "secret" {
				t.Errorf("the file below the mask is %q, %v", text, err)
			}
		}
	})
}

// TestReadOnlyRoot: the root's mount is, and what is mounted below it is not.
func TestReadOnlyRoot(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, old := range []bool{false, true} {
			b := newBox(t, k)
			b.options.OldMounts = old
			b.Root.Readonly = true
			b.Mounts = append(b.Mounts, specs.Mount{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=700", "size=64k"}})
			c := b.start()
			c.refuse([]syscall.Errno{unix.EROFS}, "create", "/tmp/file", "x")
			c.refuse([]syscall.Errno{unix.EROFS}, "create", "/bin/new", "x")
			c.ask("create", "/run/file", "x")
			c.ask("create", "/dev/shm/file", "x")
			c.refuse([]syscall.Errno{unix.EPERM, unix.EACCES}, "call", unix.SYS_MOUNT, "", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "")
			c.end()
		}
	})
}

// TestOverlay: what is written is gone with the container.
func TestOverlay(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		b.Overlay = true
		must(t, os.WriteFile(b.root+"/lower", []byte("lower"), 0o644))
		if k.root != os.Getuid() {
			must(t, os.Chown(b.root+"/lower", k.root, k.root))
		}
		before := tree(t, b.root)
		c := b.start()
		c.want("lower", "read", "/lower")
		c.ask("write", "/lower", "upper")
		c.want("upper", "read", "/lower")
		c.ask("create", "/tmp/new", "x")
		if errno := c.call(unix.SYS_UNLINKAT, unix.AT_FDCWD, "/probe", 0); errno != 0 {
			t.Errorf("unlink: %v", errno)
		}
		c.end()
		if after := tree(t, b.root); after != before {
			t.Errorf("the lower tree changed from\n%s to\n%s", before, after)
		}
	})
}

// tree is every path below a directory, with what shows a change.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		size := info.Size()
		if info.IsDir() {
			size = 0
		}
		fmt.Fprintf(&b, "%s %v %d\n", strings.TrimPrefix(path, dir), info.Mode(), size)
		return nil
	}))
	return b.String()
}

// TestVolumes: directories and files of the host, to write and only to read.
func TestVolumes(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, old := range []bool{false, true} {
			b := newBox(t, k)
			b.options.OldMounts = old
			dir := newDir(t)
			must(t, os.WriteFile(dir+"/file", []byte("host"), 0o644))
			must(t, os.Mkdir(dir+"/sub", 0o755))
			for _, p := range []string{dir, dir + "/file", dir + "/sub"} {
				must(t, os.Lchown(p, k.root, k.root))
			}
			bind := func(at, from string, options ...string) {
				b.Mounts = append(b.Mounts, specs.Mount{Destination: at, Source: from, Options: append(options, "rbind")})
			}
			bind("/rw", dir)
			bind("/ro", dir, "ro", "nosuid")
			bind("/deep/er/file", dir+"/file")
			bind("/fixed", dir+"/file", "ro")
			c := b.start()
			c.want("host", "read", "/rw/file")
			c.want("host", "read", "/deep/er/file")
			c.ask("create", "/rw/sub/new", "made inside")
			c.refuse([]syscall.Errno{unix.EROFS}, "create", "/ro/other", "x")
			c.refuse([]syscall.Errno{unix.EROFS}, "write", "/ro/file", "x")
			c.refuse([]syscall.Errno{unix.EROFS}, "write", "/fixed", "x")
			c.ask("write", "/deep/er/file", "HOST")
			c.end()
			for name, want := range map[string]string{"/file": "HOST", "/sub/new": "made inside"} {
				if text, err := os.ReadFile(dir + name); err != nil || string(text) != want {
					t.Errorf("%s is %q, %v on the host", name, text, err)
				}
			}
		}
	})
}

// TestMissingVolume: a volume that the host does not have is an error that
// names it, and nothing starts.
func TestMissingVolume(t *testing.T) {
	b := newBox(t, plain(t))
	b.Mounts = append(b.Mounts, specs.Mount{Destination: "/data", Source: "/nowhere/at/all", Options: []string{"bind"}})
	_, err := b.tryStart()
	if err == nil || !strings.Contains(err.Error(), `"/nowhere/at/all" does not exist`) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(b.root + "/data"); err == nil {
		t.Error("its place was made all the same")
	}
}

// TestTmpfs: size and mode are as they are asked for.
func TestTmpfs(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		b.Mounts = append(b.Mounts, specs.Mount{Destination: "/scratch", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=64k", "mode=1770", "noexec"}})
		c := b.start()
		c.want("41770 0:0 0:0", "stat", "/scratch")
		c.refuse([]syscall.Errno{unix.ENOSPC}, "create", "/scratch/big", strings.Repeat("x", 100<<10))
		c.end()
	})
}

// TestWorkingDirectory: it is made when it is missing.
func TestWorkingDirectory(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		b.Process.Cwd = "/srv/deep/place"
		c := b.start()
		c.want("/srv/deep/place", "cwd")
		c.end()
	})
}

// TestCopiedBinary: what is copied into a live root from outside runs inside.
func TestCopiedBinary(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c := newBox(t, k)
		l := c.start()
		must(t, copyFile(world.binary, c.root+"/bin/copied"))
		l.want("", "run", "/bin/copied", "true")
		l.end()
	})
}

// TestSysctl: the container's own parameters are written, the host's stay.
func TestSysctl(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		host, err := os.ReadFile("/proc/sys/kernel/shmmni")
		must(t, err)
		b := newBox(t, k)
		b.Linux.Sysctl = map[string]string{"kernel.shmmni": "77", "net.ipv4.ip_unprivileged_port_start": "81", "net.ipv4.conf.lo.forwarding": "1"}
		c := b.start()
		c.want("77", "read", "/proc/sys/kernel/shmmni")
		c.want("81", "read", "/proc/sys/net/ipv4/ip_unprivileged_port_start")
		c.want("1", "read", "/proc/sys/net/ipv4/conf/lo/forwarding")
		c.end()
		if now, _ := os.ReadFile("/proc/sys/kernel/shmmni"); string(now) != string(host) {
			t.Errorf("the host's became %q", now)
		}
	})
}

// TestLoopback: it is up in a network of its own, and the only interface.
func TestLoopback(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c := newBox(t, k).start()
		c.ask("tcp")
		for line := range strings.Lines(c.ask("read", "/proc/net/dev")) {
			if name, _, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) != "lo" && strings.Contains(line, "0") {
				t.Logf("there is an interface %q too", strings.TrimSpace(name)) // fallback tunnels that the kernel makes
			}
		}
		c.end()
	})
}

// TestHostRoot: without a root the host's tree is seen, in a mount namespace
// where what is mounted is not the host's.
func TestHostRoot(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		b.HostRoot, b.Root = true, nil
		b.Mounts, b.Linux.MaskedPaths, b.Linux.ReadonlyPaths = b.Mounts[:1], nil, nil
		b.Process.Args[0] = world.binary
		if k.name == "root" {
			b.give("CAP_SYS_ADMIN")
		}
		before, err := os.ReadFile("/proc/self/mountinfo")
		must(t, err)
		c := b.start()
		entries, err := os.ReadDir("/")
		must(t, err)
		for _, e := range entries {
			if !strings.Contains(" "+c.ask("list", "/")+" ", " "+e.Name()+" ") {
				t.Errorf("/%s is not seen", e.Name())
			}
		}
		if got := c.ask("list", "/proc"); !strings.HasPrefix(got, "1 ") || strings.HasPrefix(got, "1 2 ") {
			t.Errorf("/proc is %q", got)
		}
		if k.name == "root" {
			if errno := c.call(unix.SYS_MOUNT, "tmpfs", world.dir, "tmpfs", 0, 0); errno != 0 {
				t.Errorf("mount inside: %v", errno)
			}
		}
		c.end()
		if after, _ := os.ReadFile("/proc/self/mountinfo"); string(after) != string(before) {
			t.Errorf("the host's mounts became\n%s", after)
		}
	})
}
