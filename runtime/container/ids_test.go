package container

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestMountAPIs: both give the same mounts.
func TestMountAPIs(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for name, change := range map[string]func(*box){
			"default":   func(*box) {},
			"read-only": func(b *box) { b.Root.Readonly = true },
			"overlay":   func(b *box) { b.Overlay = true },
			"volumes": func(b *box) {
				dir := newDir(b.t)
				b.Mounts = append(b.Mounts,
					specs.Mount{Destination: "/v", Source: dir, Options: []string{"rbind", "ro", "nosuid", "noexec", "nodev"}},
					specs.Mount{Destination: "/w", Source: dir, Options: []string{"bind", "rw", "rslave", "nosymfollow"}},
					specs.Mount{Destination: "/t", Type: "tmpfs", Source: "x", Options: []string{"size=64k", "mode=700", "noatime", "nosuid"}})
			},
			"access times": func(b *box) {
				if b.kind.user() {
					return // there they are locked
				}
				for _, word := range []string{"noatime", "strictatime", "relatime", "nodiratime"} {
					b.Mounts = append(b.Mounts, specs.Mount{Destination: "/" + word, Source: newDir(b.t), Options: []string{"bind", word}})
				}
			},
			"shared": func(b *box) { b.Linux.RootfsPropagation = "shared" },
			"slave":  func(b *box) { b.Linux.RootfsPropagation = "rslave" },
		} {
			t.Run(name, func(t *testing.T) {
				var tables [2]string
				for i, old := range []bool{false, true} {
					b := newBox(t, k)
					b.options.OldMounts = old
					change(b)
					c := b.start()
					tables[i] = normal(c.ask("read", "/proc/self/mountinfo"))
					c.end()
				}
				if tables[0] != tables[1] {
					t.Errorf("by the new calls\n%s\nby mount(2)\n%s", tables[0], tables[1])
				}
				if strings.Contains(tables[0], world.dir+" ") || strings.Count(tables[0], "\n/ ") > 1 {
					t.Errorf("the host's mounts are seen:\n%s", tables[0])
				}
			})
		}
	})
}

// normal is a mount table without what differs from one run to the next: ids,
// devices, the names of the test's directories. It is sorted by place.
func normal(table string) string {
	names := regexp.MustCompile(`/(dir|container)[0-9]+`)
	groups := regexp.MustCompile(`(shared|master|propagate_from):[0-9]+`)
	var lines []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		rest := groups.ReplaceAllString(names.ReplaceAllString(strings.Join(f[5:], " "), "/$1"), "$1")
		rest = regexp.MustCompile(`fd/[0-9]+`).ReplaceAllString(rest, "fd")
		lines = append(lines, f[4]+" "+names.ReplaceAllString(f[3], "/$1")+" "+rest)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestOldRootGone: no mount of the host is left in the container, and its root
// cannot be left.
func TestOldRootGone(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c := newBox(t, k).start()
		var places []string
		for line := range strings.Lines(c.ask("read", "/proc/self/mountinfo")) {
			places = append(places, strings.Fields(line)[4])
		}
		for _, p := range places {
			if p != "/" && !strings.HasPrefix(p, "/proc") && !strings.HasPrefix(p, "/dev") && !strings.HasPrefix(p, "/sys") {
				t.Errorf("there is a mount at %s", p)
			}
		}
		c.want(c.ask("list", "/"), "list", "/../../..")
		c.want("/", "link", "/proc/self/root")
		c.end()
	})
}

// TestMaps: the ids are mapped as planned, seen from inside and from outside.
func TestMaps(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		if !k.user() {
			t.Skip("it has no user namespace")
		}
		b := newBox(t, k)
		c := b.start()
		for file, list := range map[string][]specs.LinuxIDMapping{"uid_map": k.maps.UIDs, "gid_map": k.maps.GIDs} {
			var want []string
			for _, m := range list {
				want = append(want, fmt.Sprintf("%d %d %d", m.ContainerID, m.HostID, m.Size))
			}
			outside, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", c.Pid(), file))
			must(t, err)
			for side, text := range map[string]string{"inside": c.ask("read", "/proc/self/"+file), "outside": string(outside)} {
				var got []string
				for line := range strings.Lines(text) {
					got = append(got, strings.Join(strings.Fields(line), " "))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s is %q from %s, want %q", file, got, side, want)
				}
			}
		}
		c.end()
	})
}

// TestJoin: the namespaces of another container are entered by their paths.
func TestJoin(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		host := newBox(t, k)
		host.Hostname = "shared"
		c := host.start()
		c.ask("listen", "in-there")
		all := map[specs.LinuxNamespaceType]string{
			specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts", specs.PIDNamespace: "pid", specs.UserNamespace: "user",
		}
		if !k.user() {
			delete(all, specs.UserNamespace)
		}
		for _, names := range [][]specs.LinuxNamespaceType{
			{specs.NetworkNamespace}, {specs.IPCNamespace}, {specs.UTSNamespace}, {specs.PIDNamespace}, nil,
		} {
			join := map[specs.LinuxNamespaceType]string{}
			for kind, file := range all {
				if names == nil || slices.Contains(names, kind) || kind == specs.UserNamespace {
					join[kind] = file
				}
			}
			guest := newBox(t, k).joining(c.Pid(), join)
			g := guest.start()
			for kind, file := range all {
				same := g.ask("link", "/proc/self/ns/"+file) == c.ask("link", "/proc/self/ns/"+file)
				if _, want := join[kind]; same != want {
					t.Errorf("joining %v: the %s namespace is the same: %v", join, kind, same)
				}
			}
			if _, ok := join[specs.NetworkNamespace]; ok {
				g.ask("connect", "in-there")
			}
			if _, ok := join[specs.UTSNamespace]; ok {
				g.want("shared (none)", "uname")
			}
			if _, ok := join[specs.PIDNamespace]; ok {
				if got := g.ask("identity"); strings.HasPrefix(got, "pid 1 ") {
					t.Errorf("it is %q", got)
				}
				g.ask("link", "/proc/1/ns/pid")
			}
			g.end()
		}
		c.end()
	})
}

// TestJoinNowhere: a namespace that is not there is an error that says which.
func TestJoinNowhere(t *testing.T) {
	for _, path := range []string{"/nowhere", "/dev/null"} {
		b := newBox(t, plain(t)).without(specs.IPCNamespace)
		b.Linux.Namespaces = append(b.Linux.Namespaces, specs.LinuxNamespace{Type: specs.IPCNamespace, Path: path})
		c, err := b.tryStart()
		if err == nil {
			err = c.wait().err
		}
		if err == nil || !strings.Contains(err.Error(), "ipc") && !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestUnshareOfTheNotes: what `unshare --fork --user --pid --map-root-user
// --mount-proc` gives is given too: only these namespaces, the host's tree.
func TestUnshareOfTheNotes(t *testing.T) {
	k := plain(t)
	if k.root == 0 {
		k = kinds(t)[1]
	}
	b := newBox(t, k)
	for _, n := range []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace} {
		b.without(n)
	}
	b.HostRoot, b.Root = true, nil
	b.Mounts, b.Linux.MaskedPaths, b.Linux.ReadonlyPaths = b.Mounts[:1], nil, nil
	b.Process.Args[0] = world.binary
	c := b.start()
	if got := c.ask("identity"); !strings.HasPrefix(got, "pid 1 uid 0 0 gid 0 0 ") {
		t.Errorf("identity %q", got)
	}
	c.want(link(t, "/proc/self/ns/net"), "link", "/proc/self/ns/net")
	if out, err := exec.Command("ps", "-o", "uid=", "-p", fmt.Sprint(c.Pid())).Output(); err == nil {
		if got := strings.TrimSpace(string(out)); got != fmt.Sprint(k.root) {
			t.Errorf("outside it belongs to %s", got)
		}
	}
	c.end()
}
