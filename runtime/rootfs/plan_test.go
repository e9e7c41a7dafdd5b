package rootfs

import (
	commandline "flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

var update = commandline.Bool("update", false, "write the golden files")

// bundle are the options of the bundle that runc spec writes.
func bundle() Options {
	return Options{
		Root: "/srv/rootfs", ReadOnly: true, CgroupNamespace: true, Dir: "/",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
		},
		Hierarchies: []Hierarchy{
			{Name: "memory", Options: "memory", Group: "/sys/fs/cgroup/memory/box"}, {Name: "cpu,cpuacct", Options: "cpu,cpuacct", Group: "/sys/fs/cgroup/cpu,cpuacct/box"},
			{Name: "unified", V2: true, Group: "/sys/fs/cgroup/unified/box"},
		},
		MaskedPaths:   []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"},
		ReadOnlyPaths: []string{"/proc/bus", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		Look:          machine,
	}
}

// machine is what stands where on a machine that is only thought of.
func machine(p string) Kind {
	switch {
	case slices.Contains([]string{"/", "/proc", "/dev", "/sys", "/proc/acpi", "/proc/bus", "/proc/irq", "/proc/sys", "/sys/firmware", "/sys/fs/cgroup"}, p):
		return Directory
	case slices.Contains([]string{"/proc/kcore", "/proc/keys", "/proc/sysrq-trigger"}, p):
		return File
	}
	return Missing
}

// unsure knows only directories that are in every root.
func unsure(p string) Kind {
	if strings.HasPrefix(p, "/proc/") || strings.HasPrefix(p, "/sys/") {
		return Unknown
	}
	return machine(p)
}

// plans are the printed programs, by the name of the golden file.
func plans() map[string]func(*Options) {
	return map[string]func(*Options){
		"bundle": func(*Options) {},
		"old":    func(o *Options) { o.Old = true },
		"user":   func(o *Options) { o.User = true },
		"user-old": func(o *Options) {
			o.User, o.Old = true, true
		},
		"overlay":      func(o *Options) { o.Overlay, o.ReadOnly = true, false },
		"overlay-user": func(o *Options) { o.Overlay, o.ReadOnly, o.User = true, false, true },
		"console":      func(o *Options) { o.Console, o.Owner = 9, 1000 },
		"console-old":  func(o *Options) { o.Console, o.Old = 9, true },
		"masks": func(o *Options) {
			o.Look = unsure
			o.Mounts = o.Mounts[:1]
			o.MaskedPaths = append(o.MaskedPaths, "/etc/secret")
		},
		"masks-old": func(o *Options) {
			o.Look, o.Old = unsure, true
			o.Mounts = o.Mounts[:1]
		},
		"groups": func(o *Options) {
			list := o.Hierarchies
			o.Hierarchies, o.Groups = nil, func() ([]Hierarchy, error) { return list, nil }
		},
		"hidden": func(o *Options) {
			o.Mounts = append(o.Mounts[:2], specs.Mount{Destination: "/run/inner", Type: "tmpfs"}, specs.Mount{Destination: "/run", Type: "tmpfs"}, specs.Mount{Destination: "/run/inner", Type: "tmpfs"})
		},
		"groups-masked": func(o *Options) {
			list := o.Hierarchies
			o.Hierarchies, o.Groups = nil, func() ([]Hierarchy, error) { return list, nil }
			o.MaskedPaths = append(o.MaskedPaths, "/sys/fs/cgroup/memory")
		},
		"host": func(o *Options) {
			o.Root, o.ReadOnly, o.Mounts = "", false, o.Mounts[:1]
		},
		"on-host": func(o *Options) {
			o.Host, o.Mounts = true, o.Mounts[:1]
		},
		"on-host-old": func(o *Options) {
			o.Host, o.Old, o.Mounts = true, true, o.Mounts[:1]
		},
		"shared": func(o *Options) {
			o.Mounts, o.Propagation, o.ReadOnly = o.Mounts[:1], unix.MS_SHARED|unix.MS_REC, false
			o.Prepared = map[int]int{1: 77, 2: 78}
			o.Mounts = append(o.Mounts,
				specs.Mount{Destination: "/up", Type: "tmpfs", Options: []string{"nosuid", "tmpcopyup"}},
				specs.Mount{Destination: "/mapped", Type: "bind", Source: "/", Options: []string{"rbind", "ridmap", "rro"}},
				specs.Mount{Destination: "/both", Type: "bind", Source: "/", Options: []string{"rbind", "rshared"}},
				specs.Mount{Destination: "/alone", Type: "bind", Source: "/"})
		},
		"more": func(o *Options) {
			o.Dir, o.Propagation = "/some/place", unix.MS_SLAVE|unix.MS_REC
			o.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "kernel.shmmni": "77"}
			o.CgroupNamespace = false
			o.Mounts = append(o.Mounts,
				specs.Mount{Destination: "/data/in/side", Type: "bind", Source: "/", Options: []string{"rbind", "ro", "nosuid", "rslave"}},
				specs.Mount{Destination: "/null", Source: "/dev/null", Options: []string{"bind"}},
				specs.Mount{Destination: "/time", Source: "/", Options: []string{"bind", "noatime", "rro"}})
			o.Devices = []specs.LinuxDevice{{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200, UID: pointer(uint32(3))}, {Path: "/dev/null", Type: "c", Major: 1, Minor: 3}}
		},
	}
}

func pointer[T any](v T) *T { return &v }

// printed is the program of some options.
func printed(t testing.TB, o Options) string {
	t.Helper()
	p := program.New(program.Stub, unix.CLONE_NEWNS)
	if _, err := Build(p, o); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := p.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestEnter: whatever is mounted, and in whatever order, the child enters its own
// group once.
func TestEnter(t *testing.T) {
	list := bundle().Mounts
	groups := list[len(list)-1]
	bound := specs.Mount{Destination: groups.Destination, Type: "cgroup", Source: "/", Options: []string{"rbind"}}
	again := specs.Mount{Destination: groups.Destination, Type: "cgroup", Options: []string{"remount"}}
	for name, mounts := range map[string][]specs.Mount{
		"none": list[:1], "last": list, "first": append([]specs.Mount{groups}, list[:1]...),
		"bound": append(list[:1:1], bound), "again": append(list[:1:1], groups, again), "remounted": append(list[:1:1], again),
	} {
		for _, old := range []bool{false, true} {
			o, entered := bundle(), 0
			hierarchies := o.Hierarchies
			o.Hierarchies, o.Mounts, o.Old, o.CgroupNamespace = nil, mounts, old, false
			o.Groups = func() ([]Hierarchy, error) { return hierarchies, nil }
			o.Enter = func() (string, error) { entered++; return "", nil }
			if printed(t, o); entered != 1 {
				t.Errorf("%s, old calls %v: it enters its group %d times", name, old, entered)
			}
		}
	}
}

// TestPlans compares the printed plans with testdata; -update writes them.
func TestPlans(t *testing.T) {
	for name, change := range plans() {
		t.Run(name, func(t *testing.T) {
			o := bundle()
			change(&o)
			got, golden := printed(t, o), filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the plan is\n%s\nand was\n%s", got, want)
			}
		})
	}
}

// TestPlansLoad: every plan is one that the engine takes.
func TestPlansLoad(t *testing.T) {
	for name, change := range plans() {
		o := bundle()
		change(&o)
		p := program.New(program.Stub, unix.CLONE_NEWNS)
		if _, err := Build(p, o); err != nil {
			t.Fatal(err)
		}
		p.Add(program.Exit(0))
		img, err := program.Load(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		img.Close()
	}
}

// TestResolvedInside: no place of the container is named to the kernel but by
// openat2 inside the root, or as one name below a descriptor.
func TestResolvedInside(t *testing.T) {
	for name, change := range plans() {
		o := bundle()
		change(&o)
		if o.Root == "" {
			continue
		}
		p := program.New(program.Stub, unix.CLONE_NEWNS)
		if _, err := Build(p, o); err != nil {
			t.Fatal(err)
		}
		for i, op := range p.Ops() {
			text := op.String()
			for _, dir := range []string{"/proc", "/dev", "/sys", "/data", "/work"} {
				host := []string{`"/dev/null"`, `"/proc/self/fd`, `"/dev/zero"`, `"/dev/full"`, `"/dev/random"`, `"/dev/urandom"`, `"/dev/tty"`}
				if !strings.Contains(text, `"`+dir) || slices.ContainsFunc(host, func(h string) bool { return strings.Contains(text, h) }) {
					continue
				}
				// What a symbolic link holds, and the groups of the host.
				if op.Call != unix.SYS_SYMLINKAT && !strings.Contains(text, `"/sys/fs/cgroup/`) {
					t.Errorf("%s: op %d names %s: %s", name, i+1, dir, text)
				}
			}
		}
	}
}

// TestErrors: what cannot be is said, with the place's name.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		mount specs.Mount
		want  string
	}{
		{specs.Mount{Destination: "/", Type: "tmpfs"}, `mount "/": nothing can be mounted over the root`},
		{specs.Mount{Destination: "..", Type: "tmpfs"}, `mount "..": nothing can be mounted over the root`},
		{specs.Mount{Destination: "/a"}, `mount "/a": it has no type, and is no bind`},
		{specs.Mount{Destination: "/a", Source: "/nowhere", Options: []string{"bind"}}, `mount "/a": its source "/nowhere" does not exist on the host`},
		{specs.Mount{Destination: "/a", Source: "/dev/null", Options: []string{"bind", "size=3", "noexce"}}, `mount "/a": a bind has no option "noexce"`},
		{specs.Mount{Destination: "/a", Type: "tmpfs", Options: []string{"tmpcopyup"}}, `mount "/a": nobody has prepared it`},
		{specs.Mount{Destination: "/a", Type: "bind", Source: "/", UIDMappings: []specs.LinuxIDMapping{{}}}, `mount "/a": nobody has prepared it`},
	} {
		o := bundle()
		o.Mounts = []specs.Mount{c.mount}
		_, err := Build(program.New(program.Stub, 0), o)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	o := bundle()
	o.Hierarchies = nil
	if _, err := Build(program.New(program.Stub, 0), o); err == nil || !strings.Contains(err.Error(), "/sys/fs/cgroup") {
		t.Errorf("without control groups: %v", err)
	}
	o = bundle()
	o.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "z"}}
	if _, err := Build(program.New(program.Stub, 0), o); err == nil || !strings.Contains(err.Error(), `"/dev/x"`) {
		t.Errorf("a device of no type: %v", err)
	}
}

// TestFurther: the parts that can be executed before all is planned lead nowhere
// outside of what was there, and an error ends the planning.
func TestFurther(t *testing.T) {
	for name, change := range plans() {
		o := bundle()
		change(&o)
		p := program.New(program.Stub, unix.CLONE_NEWNS)
		var parts []int
		o.Further = func() error { parts = append(parts, len(p.Ops())); return nil }
		if _, err := Build(p, o); err != nil {
			t.Fatal(err)
		}
		if want := len(o.Mounts) + 1; len(parts) != want {
			t.Errorf("%s: %d parts come before the last one, want one for each mount, and the first: %d", name, len(parts), want)
		}
		for _, end := range parts {
			for i, op := range p.Ops()[:end] {
				if to := i + 1 + max(op.Skip, op.Zero); to > end {
					t.Errorf("%s: op %d (%s) leads to op %d, behind the end of its part, %d", name, i+1, op.Name, to+1, end)
				}
			}
		}
		calls := 0
		o.Further = func() error { calls++; return unix.ECHILD }
		if _, err := Build(program.New(program.Stub, unix.CLONE_NEWNS), o); err != unix.ECHILD || calls != 1 {
			t.Errorf("%s: asked to end, it gave %v after %d calls", name, err, calls)
		}
	}
}

// TestOptions: words become attributes for both calls, the last one counts, and
// the rest is the file system's.
func TestOptions(t *testing.T) {
	o, err := parse(specs.Mount{Options: []string{"ro", "rw", "ro", "nosuid", "suid", "noexec", "rslave", "size=3", "mode=700", "rro"}})
	if err != nil {
		t.Fatal(err)
	}
	if o.set != unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOEXEC || o.bits != unix.MS_RDONLY|unix.MS_NOEXEC || o.all != unix.MOUNT_ATTR_RDONLY ||
		o.propagation != unix.MS_SLAVE|unix.MS_REC || strings.Join(o.data, ",") != "size=3,mode=700" || o.bind {
		t.Errorf("got %+v", o)
	}
	for word, want := range map[string]uintptr{"private": unix.MS_PRIVATE, "rshared": unix.MS_SHARED | unix.MS_REC, "runbindable": unix.MS_UNBINDABLE | unix.MS_REC} {
		if got, ok := Propagation(word); !ok || got != want {
			t.Errorf("%s is %#x, %v", word, got, ok)
		}
	}
	if _, ok := Propagation("r"); ok {
		t.Error(`"r" is a propagation`)
	}
}
