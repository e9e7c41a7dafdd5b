package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func ptr[T any](v T) *T { return &v }

// namespaces are new ones of some kinds.
func namespaces(kinds ...specs.LinuxNamespaceType) []specs.LinuxNamespace {
	var list []specs.LinuxNamespace
	for _, k := range kinds {
		list = append(list, specs.LinuxNamespace{Type: k})
	}
	return list
}

// plain is a container that nothing is wrong with.
func plain(t testing.TB) *Container {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Container{ID: "c1", Bundle: dir, Spec: &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{Args: []string{"sh"}, Env: []string{"A=b"}, Cwd: "/"},
		Root:    &specs.Root{Path: "rootfs"},
		Linux:   &specs.Linux{Namespaces: namespaces(specs.MountNamespace, specs.PIDNamespace, specs.UTSNamespace, specs.IPCNamespace, specs.NetworkNamespace)},
	}}
}

// inUser puts the container into a user namespace of the ids 0 to 9.
func inUser(c *Container) {
	c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	ids := []specs.LinuxIDMapping{{HostID: 100000, Size: 5}, {ContainerID: 5, HostID: 200000, Size: 5}}
	c.Linux.UIDMappings, c.Linux.GIDMappings = ids, ids
}

func devices(d specs.LinuxDevice) func(*Container) {
	return func(c *Container) { c.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/a", Type: "p"}, d} }
}

func userDevice(d specs.LinuxDevice) func(*Container) {
	return func(c *Container) { inUser(c); c.Linux.Devices = []specs.LinuxDevice{d} }
}

func sysctl(pairs ...string) func(*Container) {
	return func(c *Container) {
		c.Linux.Sysctl = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			c.Linux.Sysctl[pairs[i]] = pairs[i+1]
		}
	}
}

func only(kinds ...specs.LinuxNamespaceType) func(*Container) {
	return func(c *Container) { c.Linux.Namespaces = namespaces(kinds...) }
}

// ownNames joins the uts namespace that the test is in.
func ownNames(c *Container) {
	c.Linux.Namespaces = append(namespaces(specs.MountNamespace), specs.LinuxNamespace{Type: specs.UTSNamespace, Path: "/proc/self/ns/uts"})
}

// and does one thing after the other.
func and(list ...func(*Container)) func(*Container) {
	return func(c *Container) {
		for _, f := range list {
			f(c)
		}
	}
}

func joins(i int, path string) func(*Container) {
	return func(c *Container) { c.Linux.Namespaces[i].Path = path }
}

func scheduler(s specs.Scheduler) func(*Container) {
	return func(c *Container) { c.Process.Scheduler = &s }
}

func mounts(m specs.Mount) func(*Container) {
	return func(c *Container) { c.Mounts = []specs.Mount{{Destination: "/a", Type: "tmpfs"}, m} }
}

func hostRoot(c *Container) { c.HostRoot, c.Root = true, nil }

func strict(c *Container) { c.Strict, c.Process.Args = true, nil }

func TestCheckTakes(t *testing.T) {
	for name, change := range map[string]func(*Container){
		"plain":                         func(*Container) {},
		"ids":                           func(c *Container) { c.ID = "a_B+9-." },
		"a name that begins with a dot": func(c *Container) { c.ID = "..." },
		"a long name":                   func(c *Container) { c.ID = strings.Repeat("x", 200) },
		"no version":                    func(c *Container) { c.Version = "" },
		"a version in the making":       func(c *Container) { c.Version = "1.0.2-dev" },
		"a later version":               func(c *Container) { c.Version = "1.99.0+build.1-x" },
		"another root for the host's":   and(hostRoot, func(c *Container) { c.Root = &specs.Root{Path: "/nowhere"} }),
		"strict":                        strict,
		"a size without a terminal":     func(c *Container) { c.Process.ConsoleSize = &specs.Box{Height: 1, Width: 1} },
		"empty hooks":                   func(c *Container) { c.Hooks = &specs.Hooks{Poststop: []specs.Hook{}} },
		"annotations":                   func(c *Container) { c.Annotations = map[string]string{"a": "b"} },
		"mapped ids":                    and(inUser, func(c *Container) { c.Process.User = specs.User{UID: 9, GID: 4, AdditionalGids: []uint32{0, 5}} }),
		"ids of a joined user namespace": func(c *Container) {
			c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace, Path: "/proc/1/ns/user"})
			c.Process.User.UID = 1000
		},
		"joined namespaces": and(joins(1, "/proc/1/ns/pid"), joins(3, "/proc/1/ns/ipc")),
		"offsets": func(c *Container) {
			c.Linux.Namespaces = append(c.Linux.Namespaces, namespaces(specs.TimeNamespace)...)
			c.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: -1, Nanosecs: 999999999}, "boottime": {}}
		},
		"parameters":          sysctl("net.ipv4.ip_forward", "1", "kernel/shmmax", "2", "fs.mqueue.msg_max", "3", "kernel.sem", "4", "kernel.msgmax", "5", "kernel.hostname", "x"),
		"names":               func(c *Container) { c.Hostname, c.Domainname = strings.Repeat("h", 64), "d" },
		"the host's own name": and(ownNames, func(c *Container) { c.Hostname, _ = os.Hostname() }),
		"a device":            devices(specs.LinuxDevice{Path: "/dev/x", Type: "b", Major: 4095, Minor: 1<<20 - 1, FileMode: ptr(os.FileMode(unix.S_IFBLK | 0o660)), UID: ptr(uint32(1))}),
		"a device unbuffered": devices(specs.LinuxDevice{Path: "/dev/x", Type: "u", Major: 1, Minor: 3}),
		"a FIFO with numbers": devices(specs.LinuxDevice{Path: "/dev/x", Type: "p", Major: -1, Minor: -1}),
		"the host's device":   userDevice(specs.LinuxDevice{Path: "/dev/null", Type: "u", Major: 1, Minor: 3, FileMode: ptr(os.FileMode(unix.S_IFCHR | 0o666))}),
		"paths": func(c *Container) {
			c.Linux.MaskedPaths, c.Linux.ReadonlyPaths = []string{"/proc/kcore"}, []string{"/proc/sys/"}
		},
		"mounts": mounts(specs.Mount{Destination: "b", Type: "none", Source: "/x", Options: []string{"rbind", "ro"}}),
		"limits": func(c *Container) {
			c.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}, {Type: "RLIMIT_RTTIME", Soft: 1, Hard: ^uint64(0)}}
			c.Process.OOMScoreAdj = ptr(-1000)
		},
		"a policy":           scheduler(specs.Scheduler{Policy: specs.SchedBatch, Nice: -20, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}),
		"a real-time policy": scheduler(specs.Scheduler{Policy: specs.SchedRR, Priority: 99}),
		"deadlines":          scheduler(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1, Deadline: 2, Period: 3}),
		"a mask":             func(c *Container) { c.Process.User.Umask = ptr(uint32(0o777)) },
		"init":               func(c *Container) { c.Init = true },
	} {
		t.Run(name, func(t *testing.T) {
			c := plain(t)
			change(c)
			if err := c.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCheckRefuses: every refusal, with what it says. DIR stands for the bundle.
func TestCheckRefuses(t *testing.T) {
	for _, list := range [][]refused{refusedOfAll, refusedOfProcess, refusedOfLinux} {
		for _, r := range list {
			t.Run(r.want, func(t *testing.T) {
				c := plain(t)
				dir := c.Bundle
				r.change(c)
				err := c.Check()
				if err == nil {
					t.Fatal("it was taken")
				}
				if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != r.want {
					t.Errorf("\ngot  %s\nwant %s", got, r.want)
				}
			})
		}
	}
}

// TestCheckPaths: what the host is asked for is absolute afterwards.
func TestCheckPaths(t *testing.T) {
	c := plain(t)
	dir := c.Bundle
	if err := os.Symlink("rootfs", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	real := func(p string) string {
		t.Helper()
		p, err := filepath.EvalSymlinks(p)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	t.Chdir(dir)
	for _, k := range []struct{ bundle, root, want string }{
		{dir, "rootfs", dir + "/rootfs"}, {dir, "./x/../rootfs/", dir + "/rootfs"}, {dir, "link", dir + "/rootfs"},
		{dir, outside, outside}, {"/nowhere", dir + "/link", dir + "/rootfs"}, {"", "rootfs", dir + "/rootfs"}, {".", "link", dir + "/rootfs"},
	} {
		c.Bundle, c.Root.Path = k.bundle, k.root
		c.Mounts = []specs.Mount{{Destination: "/a", Source: "vol/../v", Options: []string{"rbind"}}, {Destination: "/b", Type: "bind", Source: "/v/"}, {Destination: "/c", Type: "tmpfs", Source: "v"}}
		if err := c.Check(); err != nil {
			t.Errorf("%+v: %v", k, err)
			continue
		}
		if want := real(k.want); c.RootPath() != want || c.Root.Path != want || !filepath.IsAbs(c.Bundle) {
			t.Errorf("%+v: the root is %q of bundle %q, want %q", k, c.Root.Path, c.Bundle, want)
		}
		if want := filepath.Join(c.Bundle, "v"); c.Mounts[0].Source != want || c.Mounts[1].Source != "/v" || c.Mounts[2].Source != "v" {
			t.Errorf("%+v: %+v", k, c.Mounts)
		}
	}
}

// TestCheckLoopback: the interface of another's network is left alone.
func TestCheckLoopback(t *testing.T) {
	for name, k := range map[string]struct {
		change func(*Container)
		up     bool
	}{
		"own":    {func(*Container) {}, true},
		"joined": {joins(4, "/proc/1/ns/net"), false},
		"host":   {only(specs.MountNamespace), false},
	} {
		c := plain(t)
		c.LoopbackUp = true
		k.change(c)
		if err := c.Check(); err != nil || c.LoopbackUp != k.up {
			t.Errorf("%s: LoopbackUp is %v, %v", name, c.LoopbackUp, err)
		}
	}
}

// TestCheckWritten: what other runtimes write is taken.
func TestCheckWritten(t *testing.T) {
	for _, name := range []string{"runc", "runc-rootless", "crun"} {
		text, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		c := plain(t)
		if c.Spec, err = decode(string(text)); err != nil {
			t.Fatal(err)
		}
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFlags(t *testing.T) {
	c := plain(t)
	joins(3, "/ipc")(c)
	create, join := c.Flags()
	if want := uint64(unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWNET); create != want || fmt.Sprint(join) != "[{ipc /ipc}]" {
		t.Errorf("create %#x, join %v", create, join)
	}
	if c.Creates(unix.CLONE_NEWIPC) || !c.Creates(unix.CLONE_NEWNS) || c.Rootless() {
		t.Error("ipc is joined, mount is new, and there is no user namespace")
	}
	if inUser(c); !c.Rootless() {
		t.Error("there is a user namespace")
	}
	if n := Resource("RLIMIT_NOFILE"); n != unix.RLIMIT_NOFILE {
		t.Errorf("RLIMIT_NOFILE is %d", n)
	}
}
