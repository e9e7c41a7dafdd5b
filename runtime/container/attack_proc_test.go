package container

import (
	"os"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestMaskLinks: masks are the host's null device and an empty file system,
// whatever the root has at /dev/null, and nothing behind a link is masked
// outside (CVE-2025-31133).
func TestMaskLinks(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		outside := newDir(t)
		must(t, os.WriteFile(outside+"/file", []byte("host"), 0o666))
		must(t, os.Chmod(outside+"/file", 0o666))
		for _, old := range []bool{false, true} {
			for _, dev := range []bool{true, false} {
				b := hostile(t, k, map[string]string{"/hidden": strings.Repeat("../", 20) + outside + "/file", "/hidden-dir": outside})
				b.options.OldMounts = old
				if !dev { // the root's own /dev stays
					b.Mounts = slices.DeleteFunc(b.Mounts, func(m specs.Mount) bool { return strings.HasPrefix(m.Destination, "/dev") })
				}
				must(t, os.MkdirAll(b.root+"/dev", 0o755))
				must(t, os.Symlink("/proc/sys/kernel/core_pattern", b.root+"/dev/null"))
				must(t, os.WriteFile(b.root+"/secret", []byte("secret"), 0o666))
				b.Linux.MaskedPaths = []string{"/hidden", "/hidden-dir", "/secret", "/proc/keys"}
				b.Linux.ReadonlyPaths = append(b.Linux.ReadonlyPaths, "/hidden")
				before := b.host(outside)
				c := b.start()
				if a := c.try("read", "/secret"); a.Out != "" {
					t.Errorf("old %v: the mask shows %q", old, a.Out)
				}
				c.want("20666 "+c.nullOwner()+" 1:3", "stat", "/secret")
				c.want("20666 "+c.nullOwner()+" 1:3", "stat", "/proc/keys")
				c.end()
				if after := b.host(outside); after != before {
					t.Errorf("the host changed:\n%s", after)
				}
			}
		}
	})
}

// nullOwner is who owns the host's null device, as the container sees it.
func (l *live) nullOwner() string {
	if l.plan.spec.Rootless() {
		return "65534:65534"
	}
	return "0:0"
}

// TestConsoleLinks: /dev/console and what leads to it are made anew in a /dev
// of the container's own; with a root that has links there, the terminal is
// bound inside or not at all (CVE-2025-52565).
func TestConsoleLinks(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		outside := newDir(t)
		must(t, os.WriteFile(outside+"/file", nil, 0o666))
		for _, old := range []bool{false, true} {
			for _, links := range []map[string]string{
				{"/dev/console": outside + "/file"}, {"/dev/console": strings.Repeat("../", 20) + outside + "/file"},
				{"/dev/pts": outside}, {"/dev/ptmx": outside + "/file"}, {"/dev/console": "/proc/self/fd/3"},
			} {
				b := hostile(t, k, links)
				b.options.OldMounts = old
				b.Mounts = slices.DeleteFunc(b.Mounts, func(m specs.Mount) bool { return m.Destination == "/dev" })
				b.Process.Terminal = true
				pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
				must(t, err)
				b.options.Console = pair[1]
				before := b.host(outside)
				if c, err := b.tryStart(); err == nil {
					_ = c.Signal(unix.SIGKILL)
					c.wait()
				}
				unix.Close(pair[0])
				unix.Close(pair[1])
				if after := b.host(outside); after != before {
					t.Errorf("%v: the host changed:\n%s", links, after)
				}
			}
		}
	})
}

// TestProcRedirected: a kernel parameter is written in a real /proc or not at
// all: not in a file system that is mounted there, nor through a link
// (CVE-2025-52881).
func TestProcRedirected(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		const key, file = "kernel.shmmni", "/sys/kernel/shmmni"
		fake := newDir(t)
		must(t, os.MkdirAll(fake+"/sys/kernel", 0o777))
		target := fake + "/target"
		must(t, os.WriteFile(target, []byte("as it was"), 0o666))
		must(t, os.Chmod(target, 0o666))
		start := func(name string, change func(*box)) {
			b := newBox(t, k)
			b.Linux.Sysctl = map[string]string{key: "77"}
			change(b)
			c, err := b.tryStart()
			if err == nil {
				err = c.wait().err
			}
			if err == nil {
				t.Errorf("%s: it started", name)
			}
			if text, _ := os.ReadFile(target); string(text) != "as it was" {
				t.Errorf("%s: the file is %q", name, text)
			}
		}
		volume := func(at, from string) func(*box) {
			return func(b *box) {
				b.Mounts = append(b.Mounts, specs.Mount{Destination: at, Source: from, Options: []string{"bind"}})
			}
		}
		start("file over it", volume("/proc"+file, target))
		must(t, os.Symlink("../../target", fake+file))
		start("directory over /proc/sys", volume("/proc/sys", fake+"/sys"))
		start("directory over /proc", volume("/proc", fake))
		start("directory instead of /proc", func(b *box) {
			b.Mounts = b.Mounts[1:]
			volume("/proc", fake)(b)
		})
		start("no /proc", func(b *box) {
			b.Mounts = b.Mounts[1:]
			must(t, os.MkdirAll(b.root+"/proc/sys/kernel", 0o777))
			must(t, os.WriteFile(b.root+"/proc"+file, nil, 0o666))
			b.Linux.MaskedPaths, b.Linux.ReadonlyPaths = nil, nil
		})
	})
}
