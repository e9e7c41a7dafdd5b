package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// denied is what an attacker is told who may not.
var denied = []syscall.Errno{unix.EPERM, unix.EACCES}

// TestDescriptorsDoNotLeak: whatever the launcher has open, close-on-exec or
// not, the command has standard input, output and error alone.
func TestDescriptorsDoNotLeak(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, flags := range []int{unix.O_RDONLY, unix.O_PATH, unix.O_DIRECTORY, unix.O_CLOEXEC} {
			fd, err := unix.Open("/", flags, 0)
			must(t, err)
			t.Cleanup(func() { unix.Close(fd) })
			high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD, 900)
			must(t, err)
			t.Cleanup(func() { unix.Close(high) })
		}
		for _, init := range []bool{false, true} {
			b := newBox(t, k)
			b.Init = init
			c := b.start()
			for _, line := range strings.Split(c.ask("fds"), "\n") {
				number, file, _ := strings.Cut(line, " ")
				if !slices.Contains([]string{"0", "1", "2"}, number) || !strings.HasPrefix(file, "pipe:") {
					t.Errorf("init %v: inside there is a descriptor %s", init, line)
				}
			}
			if init {
				c.want("0 1 2", "list", "/proc/1/fd")
			}
			c.end()
		}
	})
}

// TestWorkingDirectoryLeak: no directory of the host can be the working
// directory (CVE-2024-21626).
func TestWorkingDirectoryLeak(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		fd, err := unix.Open("/", unix.O_PATH, 0)
		must(t, err)
		defer unix.Close(fd)
		for _, form := range []string{"/proc/self/fd/%d", "/proc/self/fd/%d/../..", "/dev/fd/%d", "/proc/thread-self/fd/%d", "/proc/self/cwd%.0d", "/proc/self/root%.0d"} {
			for n := range 20 {
				b := newBoxAt(t, k, form, n)
				if b == nil {
					break
				}
				c, err := b.tryStart()
				if err != nil {
					continue // refused
				}
				a, alive := c.answers()
				if !alive {
					continue
				}
				if a != b.top() && !strings.HasPrefix(a, "0 1 2") {
					t.Errorf("with cwd %q the working directory holds %q", b.Process.Cwd, a)
				}
			}
		}
	})
}

// newBoxAt is a container with a working directory made of a form and a
// number; nil: there is only one of the form, and it was made.
func newBoxAt(t testing.TB, k kind, form string, n int) *box {
	if n > 0 && strings.Contains(form, "%.0d") {
		return nil
	}
	b := newBox(t, k)
	b.Process.Cwd = strings.Replace(fmt.Sprintf(form, n), "self/cwd0", "self/cwd", 1)
	return b
}

// answers lists the working directory of a container that may not have
// started, and ends it.
func (l *live) answers() (string, bool) {
	_, err := l.in.WriteString(`["list","."]` + "\n")
	line, rerr := l.out.ReadString('\n')
	r := l.wait()
	if err != nil || rerr != nil || r.err != nil {
		return "", false
	}
	_, rest, _ := strings.Cut(line, `"Out":"`)
	text, _, _ := strings.Cut(rest, `"`)
	return text, true
}

// TestWorkingDirectoryLink: a link in the root to /proc/self/fd or to the
// host's directories is no way out.
func TestWorkingDirectoryLink(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, to := range []string{"/proc/self/fd/3", "/proc/self/fd/7", "/proc/1/cwd", "../../../../../..", "/"} {
			b := newBox(t, k)
			must(t, os.Symlink(to, b.root+"/way"))
			b.Process.Cwd = "/way"
			c, err := b.tryStart()
			if err != nil {
				continue
			}
			if a, alive := c.answers(); alive && a != b.top() {
				t.Errorf("%s leads to %q", to, a)
			}
		}
	})
}

// TestRuntimeBinary: neither through /proc/self/exe nor through a script that
// names it does the command get at the runtime's binary (CVE-2019-5736).
func TestRuntimeBinary(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		own := link(t, "/proc/self/exe")
		before, err := os.ReadFile(own)
		must(t, err)
		for _, init := range []bool{false, true} {
			b := newBox(t, k)
			b.Init = init
			c := b.start()
			c.want("/probe", "link", "/proc/self/exe")
			if init {
				c.refuse(denied, "link", "/proc/1/exe")
				c.refuse(denied, "read", "/proc/1/exe")
				c.refuse(denied, "write", "/proc/1/exe", "x")
				c.refuse(denied, "read", "/proc/1/mem")
			}
			c.end()
			// The first thing that is executed is a script whose interpreter is
			// whoever executes it.
			b = newBox(t, k)
			b.Init = init
			must(t, os.WriteFile(b.root+"/script", []byte("#!/proc/self/exe\n"), 0o755))
			b.Process.Args = []string{"/script"}
			r := b.start().wait()
			if r.out != "" || r.status.Success() && r.err == nil && !stubIsSilent(r) {
				t.Errorf("init %v: the script: %v", init, r)
			}
			// And the command itself.
			b = newBox(t, k)
			b.Init = init
			b.Process.Args = []string{"/proc/self/exe", "serve"}
			if r := b.start().wait(); r.out != "" || r.errs != "" {
				t.Errorf("init %v: /proc/self/exe: %v", init, r)
			}
		}
		if after, err := os.ReadFile(own); err != nil || string(after) != string(before) {
			t.Errorf("the binary changed: %v", err)
		}
	})
}

// stubIsSilent: what the script ran was the stub, which does nothing.
func stubIsSilent(r result) bool { return r.out == "" && r.errs == "" }

// hostile is a box whose root has links where things are mounted.
func hostile(t testing.TB, k kind, links map[string]string) *box {
	b := newBox(t, k)
	for at, to := range links {
		must(t, os.MkdirAll(filepath.Dir(b.root+at), 0o755))
		must(t, os.Symlink(to, b.root+at))
	}
	return b
}

// TestMountTargetLinks: where the root has a link to outside, the mount is made
// inside or not at all; nothing of the host is mounted over or created
// (CVE-2021-30465, CVE-2025-52565).
func TestMountTargetLinks(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		outside := newDir(t)
		must(t, os.Chown(outside, k.root, k.root))
		up := strings.Repeat("../", 20)
		cases := []map[string]string{
			{"/proc": "/"}, {"/proc": up}, {"/proc": outside}, {"/proc": up + outside}, {"/dev": up + ".."}, {"/dev": outside}, {"/dev": up + outside}, {"/sys": up + outside},
			{"/dev": "/proc/self/fd"}, {"/dev": "/proc/self/cwd"}, {"/dev": "/proc/self/root"}, {"/sys": "/proc/1/root"}, {"/srv": up + outside}, {"/srv": outside},
			{"/srv/a": up + outside}, {"/srv/a": "/proc/self/root" + outside}, {"/work": outside},
		}
		for _, links := range cases {
			for _, old := range []bool{false, true} {
				b := hostile(t, k, links)
				b.options.OldMounts = old
				b.Process.Cwd = "/some/place"
				b.Mounts = append(b.Mounts,
					specs.Mount{Destination: "/srv/a/b", Type: "tmpfs", Source: "tmpfs"},
					specs.Mount{Destination: "/srv/f", Source: "/dev/null", Options: []string{"bind"}})
				b.check(links, outside)
			}
		}
	})
}

// check starts a hostile container, and sees that nothing happened to the
// host, whether the container starts or not.
func (b *box) check(what any, outside string) {
	b.t.Helper()
	before := b.host(outside)
	c, err := b.tryStart()
	ended := "was refused: " + fmt.Sprint(err)
	if err == nil {
		if a, alive := c.answers(); alive {
			ended = "ran"
			if strings.Contains(a, "etc") {
				b.t.Errorf("%v: the container sees %q", what, a)
			}
		} else {
			ended = c.result.String()
		}
	}
	if after := b.host(outside); after != before {
		b.t.Errorf("%v: the container %s, and the host changed from\n%s\nto\n%s", what, ended, before, after)
	}
}

// host is what must not change: the mounts, and a directory.
func (b *box) host(outside string) string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	must(b.t, err)
	return string(table) + tree(b.t, outside)
}

// TestVolumeLinks: a volume's place behind a link is inside, and so is that of
// one volume in another, which the container's last run may have filled with
// links.
func TestVolumeLinks(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		outside, volume, data := newDir(t), newDir(t), newDir(t)
		must(t, os.WriteFile(data+"/mark", []byte("x"), 0o644))
		for _, to := range []string{outside, strings.Repeat("../", 20) + outside, "/proc/self/root" + outside, "/proc/self/cwd/" + strings.Repeat("../", 20) + outside} {
			for _, old := range []bool{false, true} {
				_ = os.Remove(volume + "/inner")
				must(t, os.Symlink(to, volume+"/inner"))
				b := newBox(t, k)
				b.options.OldMounts = old
				b.Mounts = append(b.Mounts,
					specs.Mount{Destination: "/vol", Source: volume, Options: []string{"bind"}},
					specs.Mount{Destination: "/vol/inner/deep", Source: data, Options: []string{"bind"}},
					specs.Mount{Destination: "/vol/inner", Source: data, Options: []string{"bind"}})
				b.check(to, outside)
			}
		}
	})
}

// TestSwappedLink: a directory of the root that another process swaps for a
// link to outside, again and again during the start (CVE-2021-30465).
func TestSwappedLink(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		outside := newDir(t)
		must(t, os.Chown(outside, k.root, k.root))
		root := newBox(t, k).root
		must(t, os.MkdirAll(root+"/srv/real", 0o777))
		swap := exec.Command(world.binary, "swapper", root+"/srv", outside)
		swap.Env = []string{helperEnv + "=1"}
		must(t, swap.Start())
		defer func() {
			_ = swap.Process.Kill()
			_ = swap.Wait()
		}()
		rounds := 60
		if testing.Short() || os.Getenv(secondEnv) != "" {
			rounds = 10
		}
		ran := 0
		for i := range rounds {
			b := newBox(t, k)
			b.Root.Path, b.options.OldMounts = root, i%2 == 1
			b.Process.Cwd = "/srv/swap/place"
			b.Mounts = append(b.Mounts,
				specs.Mount{Destination: "/srv/swap/a/b", Type: "tmpfs", Source: "tmpfs"},
				specs.Mount{Destination: "/srv/swap/f", Source: "/dev/null", Options: []string{"bind"}})
			b.Linux.MaskedPaths = append(b.Linux.MaskedPaths, "/srv/swap/m")
			before := b.host(outside)
			if c, err := b.tryStart(); err == nil {
				if _, alive := c.answers(); alive {
					ran++
				}
			}
			if after := b.host(outside); after != before {
				t.Fatalf("round %d: the host changed from\n%s\nto\n%s", i, before, after)
			}
		}
		t.Logf("%d of %d containers ran", ran, rounds)
	})
}

// partSwapper exchanges a directory and a link to outside for ever.
func partSwapper(args []string) error {
	dir, link := args[0]+"/swap", args[0]+"/link"
	if err := errors.Join(os.MkdirAll(dir+"/a/b", 0o777), os.Symlink(args[1], link)); err != nil {
		return err
	}
	for i := 0; ; i++ {
		time.Sleep(time.Duration(i%7) * 100 * time.Microsecond)
		if err := unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
			return err
		}
	}
}
