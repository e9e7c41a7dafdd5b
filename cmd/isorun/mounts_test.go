package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mounted is a bundle whose mounts the tests add to.
func mounted(t *testing.T, namespaces, script string, add ...map[string]any) *hooked {
	h := &hooked{lives: &lives{bundle: newBundle(t), root: t.TempDir() + "/root"}}
	h.write(namespaces, script)
	h.set(func(config map[string]any) {
		for _, m := range add {
			config["mounts"] = append(config["mounts"].([]any), m)
		}
	})
	return h
}

// prints is what the container prints; it has to end with 0.
func (h *hooked) prints() string {
	h.t.Helper()
	out, err := exec.Command(h.isorun, "run", "-b", h.dir, "one").CombinedOutput()
	if err != nil {
		h.t.Errorf("%v: %s", err, out)
	}
	return string(out)
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("ISOPERF_MUST_RUN") == "1" && os.Getenv("USER") == "" {
			t.Fatal("must run, but: it takes root")
		}
		t.Skip("it takes root")
	}
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// ids are the first ids of a container.
func ids(host, size int) []any {
	return []any{map[string]any{"containerID": 0, "hostID": host, "size": size}}
}

// The ids of a bind are mapped: in its topmost mount, or in all below it; with maps
// of its own, or the container's; with and without a user namespace.
func TestIDMappedMounts(t *testing.T) {
	requireRoot(t)
	tree := t.TempDir()
	check(t, os.WriteFile(tree+"/file", nil, 0o644), os.Chown(tree+"/file", 7, 8), os.Mkdir(tree+"/below", 0o755),
		unix.Mount("tmpfs", tree+"/below", "tmpfs", 0, ""))
	defer unix.Unmount(tree+"/below", unix.MNT_DETACH)
	check(t, os.WriteFile(tree+"/below/file", nil, 0o644), os.Chown(tree+"/below/file", 7, 8))
	mount := func(options ...string) map[string]any {
		return map[string]any{"destination": "/data", "type": "bind", "source": tree, "options": options}
	}
	own := func(m map[string]any) map[string]any {
		m["uidMappings"], m["gidMappings"] = ids(1000, 100), ids(2000, 100)
		return m
	}
	const script = "/busybox stat -c '%u:%g' /data/file /data/below/file; /busybox touch /data/new 2>&- && echo new"
	both := `{"type": "mount"}, {"type": "pid"}`
	for _, c := range []struct {
		name, namespaces string
		mount            map[string]any
		want             string
	}{
		{"topmost", both, own(mount("rbind", "idmap")), "1007:2008\n7:8\n"},
		{"tree", both, own(mount("rbind", "ridmap", "ro")), "1007:2008\n1007:2008\n"},
		{"without a word", both, own(mount("rbind")), "1007:2008\n7:8\n"},
		{"user namespace", both + `, {"type": "user"}`, mount("rbind", "ridmap"), "7:8\n7:8\nnew\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := mounted(t, c.namespaces, script+"; true", c.mount)
			if strings.Contains(c.namespaces, "user") {
				h.set(func(config map[string]any) {
					linux := config["linux"].(map[string]any)
					linux["uidMappings"], linux["gidMappings"] = ids(100000, 1000), ids(100000, 1000)
				})
				check(t, os.Mkdir(h.dir+"/rootfs/data", 0o755), os.Chmod(filepath.Dir(h.dir), 0o755), os.Chmod(h.dir, 0o755))
			}
			if got := h.prints(); got != c.want {
				t.Errorf("it prints %q, want %q", got, c.want)
			}
			if strings.Contains(c.want, "new") {
				var st unix.Stat_t
				check(t, unix.Stat(tree+"/new", &st), os.Remove(tree+"/new"))
				if st.Uid != 0 {
					t.Errorf("what its root makes is %d's on the disk, want 0's", st.Uid)
				}
			}
		})
	}
}

// The root of a user namespace gets what lies in a directory that is closed to it.
func TestClosedSource(t *testing.T) {
	requireRoot(t)
	closed := t.TempDir()
	check(t, os.Chmod(closed, 0o700), os.WriteFile(closed+"/file", []byte("inside\n"), 0o644))
	h := mounted(t, `{"type": "mount"}, {"type": "pid"}, {"type": "user"}`, "/busybox cat /file; echo x >/file || echo read-only",
		map[string]any{"destination": "/file", "type": "bind", "source": closed + "/file", "options": []string{"ro", "rprivate"}})
	h.set(func(config map[string]any) {
		linux := config["linux"].(map[string]any)
		linux["uidMappings"], linux["gidMappings"] = ids(100000, 1000), ids(100000, 1000)
	})
	check(t, os.WriteFile(h.dir+"/rootfs/file", nil, 0o644), os.Chmod(filepath.Dir(h.dir), 0o755), os.Chmod(h.dir, 0o755))
	if got := h.prints(); !strings.HasPrefix(got, "inside\n") || !strings.HasSuffix(got, "read-only\n") {
		t.Errorf("it prints %q", got)
	}
}

// A tmpfs has what was in its place: every kind of file, with owner, mode, time and
// attributes; and what is written stays in memory.
func TestTmpCopyUp(t *testing.T) {
	requireRoot(t)
	h := mounted(t, `{"type": "mount"}, {"type": "pid"}`, `cd /data; /busybox stat -c '%n %f %u:%g %Y' . file sub sub/deep link pipe dev; /busybox cat file sub/deep; /busybox readlink link; echo more >sub/more; /busybox grep -c ' /data .*noexec' /proc/self/mountinfo`,
		map[string]any{"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": []string{"noexec", "nosuid", "size=1m", "tmpcopyup", "rprivate"}})
	dir := h.dir + "/rootfs/data"
	check(t, os.MkdirAll(dir+"/sub", 0o755), os.WriteFile(dir+"/file", []byte("one\n"), 0o640), os.WriteFile(dir+"/sub/deep", []byte("two\n"), 0o644),
		os.Symlink("/etc/passwd", dir+"/link"), unix.Mkfifo(dir+"/pipe", 0o600), unix.Mknod(dir+"/dev", unix.S_IFCHR|0o666, 0x103),
		os.Chown(dir+"/file", 5, 6), os.Chmod(dir+"/file", 0o4755), os.Chown(dir, 3, 4), os.Chmod(dir, 0o1755),
		unix.Setxattr(dir+"/file", "trusted.x", []byte("y"), 0))
	var want string
	for _, name := range []string{".", "file", "sub", "sub/deep", "link", "pipe", "dev"} {
		var st unix.Stat_t
		check(t, unix.Fstatat(unix.AT_FDCWD, dir+"/"+name, &st, unix.AT_SYMLINK_NOFOLLOW))
		want += fmt.Sprintf("%s %x %d:%d %d\n", name, st.Mode, st.Uid, st.Gid, st.Mtim.Sec)
	}
	// The topmost directory, the links and nodes have times of their own.
	got := h.prints()
	strip := func(s string) string {
		lines := strings.Split(s, "\n")
		for _, i := range []int{0, 4, 5, 6} {
			if i < len(lines) {
				lines[i] = lines[i][:max(0, strings.LastIndexByte(lines[i], ' '))]
			}
		}
		return strings.Join(lines, "\n")
	}
	if want += "one\ntwo\n/etc/passwd\n1\n"; strip(got) != strip(want) {
		t.Errorf("it prints\n%s\nwant\n%s", got, want)
	}
	if _, err := os.Stat(dir + "/sub/more"); err == nil {
		t.Error("what was written is on the disk")
	}
}

// Attributes for all mounts below, and for one; each is there, and only there.
func TestMountAttributes(t *testing.T) {
	requireRoot(t)
	tree := t.TempDir()
	check(t, os.Mkdir(tree+"/below", 0o755), unix.Mount("tmpfs", tree+"/below", "tmpfs", 0, ""))
	defer unix.Unmount(tree+"/below", unix.MNT_DETACH)
	for options, want := range map[string]string{
		"rbind,ro":                          "ro,relatime rw,relatime",
		"rbind,rro":                         "ro,relatime ro,relatime",
		"rbind,rro,rnosuid,rnodev,rnoexec":  "ro,nosuid,nodev,noexec,relatime ro,nosuid,nodev,noexec,relatime",
		"rbind,rnoatime,nosymfollow":        "rw,noatime,nosymfollow rw,noatime",
		"rbind,rstrictatime,noexec":         "rw,noexec rw",
		"rbind,nodiratime,noatime":          "rw,noatime,nodiratime rw,relatime",
		"rbind,rro,rrw":                     "rw,relatime rw,relatime",
		"rbind,nosuid,suid,rnosymfollow,ro": "ro,relatime,nosymfollow rw,relatime,nosymfollow",
		"bind,ro":                           "ro,relatime ",
	} {
		h := mounted(t, `{"type": "mount"}, {"type": "pid"}`, `f() { /busybox grep " $1 " /proc/self/mountinfo | /busybox cut -d' ' -f6; }; echo "$(f /data) $(f /data/below)"`,
			map[string]any{"destination": "/data", "type": "bind", "source": tree, "options": strings.Split(options, ",")})
		if got := strings.TrimSuffix(h.prints(), "\n"); got != want {
			t.Errorf("%s: the mounts have %q, want %q", options, got, want)
		}
	}
}

// What is mounted already is changed: the mount, or its file system.
func TestRemount(t *testing.T) {
	requireRoot(t)
	tree := t.TempDir()
	h := mounted(t, `{"type": "mount"}, {"type": "pid"}`, `/busybox grep -E ' /(data|fs) ' /proc/self/mountinfo`,
		map[string]any{"destination": "/data", "type": "bind", "source": tree, "options": []string{"bind"}},
		map[string]any{"destination": "/data", "options": []string{"remount", "bind", "ro", "nodev"}},
		map[string]any{"destination": "/fs", "type": "tmpfs", "source": "tmpfs", "options": []string{"size=1m"}},
		map[string]any{"destination": "/fs", "type": "tmpfs", "source": "tmpfs", "options": []string{"remount", "noexec", "size=2m"}})
	got := h.prints()
	for _, want := range []string{" /data ro,nodev,relatime ", " /fs rw,noexec,relatime ", "size=2048k"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing of %q", want, got)
		}
	}
}

// What the host mounts later is seen where that was asked for, and the other way
// round; and nowhere else.
func TestPropagation(t *testing.T) {
	requireRoot(t)
	for _, c := range []struct{ root, option, want string }{
		{"", "rprivate", "|"},
		{"", "", "|"},
		{"", "rslave", "from host|"},
		{"rslave", "rslave", "from host|"},
		{"rshared", "rshared", "from host|from container"},
		{"rshared", "rslave", "from host|"},
		{"rprivate", "rprivate", "|"},
	} {
		t.Run(c.root+"/"+c.option, func(t *testing.T) {
			tree := t.TempDir()
			check(t, unix.Mount("tmpfs", tree, "tmpfs", 0, ""), unix.Mount("", tree, "", unix.MS_SHARED, ""))
			defer unix.Unmount(tree, unix.MNT_DETACH)
			check(t, os.Mkdir(tree+"/host", 0o755), os.Mkdir(tree+"/container", 0o755))
			h := mounted(t, `{"type": "mount"}, {"type": "pid"}`, `/busybox touch /data/ready; while ! [ -e /data/go ]; do /busybox sleep 0.01; done; /busybox cat /data/host/file 2>&-; /busybox mount -t tmpfs tmpfs /data/container; echo -n "from container" >/data/container/file; /busybox touch /data/done; while [ -e /data/go ]; do /busybox sleep 0.01; done`,
				map[string]any{"destination": "/data", "type": "bind", "source": tree, "options": strings.Fields("rbind " + c.option)})
			h.set(func(config map[string]any) {
				caps := []string{"CAP_SYS_ADMIN"}
				config["process"].(map[string]any)["capabilities"] = map[string]any{"bounding": caps, "effective": caps, "permitted": caps}
				if c.root != "" {
					config["linux"].(map[string]any)["rootfsPropagation"] = c.root
				}
			})
			cmd := exec.Command(h.isorun, "run", "-b", h.dir, "one")
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			check(t, cmd.Start())
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			wait := func(name string) {
				for {
					if _, err := os.Stat(tree + "/" + name); err == nil {
						return
					}
					select {
					case err := <-ended:
						t.Fatalf("it ended: %v: %s", err, out.String())
					default:
					}
				}
			}
			wait("ready")
			check(t, unix.Mount("tmpfs", tree+"/host", "tmpfs", 0, ""), os.WriteFile(tree+"/host/file", []byte("from host"), 0o644), os.WriteFile(tree+"/go", nil, 0o644))
			wait("done")
			text, err := os.ReadFile(tree + "/container/file")
			if c.option != "rshared" && err == nil && string(text) == "from container" {
				// It is on the tmpfs that was mounted, or below it.
				var a, b unix.Stat_t
				check(t, unix.Stat(tree, &a), unix.Stat(tree+"/container", &b))
				if a.Dev != b.Dev {
					t.Error("what the container mounted is on the host")
				}
				text = nil
			}
			check(t, os.Remove(tree+"/go"), <-ended)
			if got := out.String() + "|" + string(text); got != c.want {
				t.Errorf("seen: %q, want %q", got, c.want)
			}
			left, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil || strings.Contains(string(left), h.dir) {
				t.Errorf("mounts of the container are on the host")
			}
		})
	}
}

// Devices of the host come into the container: with their addresses, up, under
// their names or others; also into a namespace that is joined.
func TestNetDevices(t *testing.T) {
	requireRoot(t)
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	names := []string{fmt.Sprintf("da%d", os.Getpid()%100000), fmt.Sprintf("db%d", os.Getpid()%100000), fmt.Sprintf("dc%d", os.Getpid()%100000)}
	add := func() {
		for i, name := range names {
			ip("link", "add", name, "type", "veth", "peer", "name", "p"+name)
			ip("addr", "add", fmt.Sprintf("10.99.%d.1/24", i), "dev", name)
			ip("-6", "addr", "add", fmt.Sprintf("fd99:%d::1/64", i), "dev", name, "nodad")
			ip("link", "set", name, "up")
		}
	}
	add()
	defer func() {
		for _, name := range names {
			_ = exec.Command("ip", "link", "del", name).Run() // it is gone with the container
		}
	}()
	const script = `/busybox ip -o addr show | /busybox awk '$2 != "lo" && $3 ~ /inet/ && $4 !~ /^fe80/ { print $2, $4 }' | /busybox sort; /busybox ip -o link | /busybox grep -c ',UP'`
	h := mounted(t, `{"type": "mount"}, {"type": "pid"}, {"type": "network"}`, script)
	h.set(func(config map[string]any) {
		config["linux"].(map[string]any)["netDevices"] = map[string]any{names[0]: map[string]any{}, names[1]: map[string]any{"name": "eth0"}, names[2]: map[string]any{"name": "net%d"}}
	})
	want := names[0] + " 10.99.0.1/24\n" + names[0] + " fd99::1/64\neth0 10.99.1.1/24\neth0 fd99:1::1/64\nnet0 10.99.2.1/24\nnet0 fd99:2::1/64\n"
	got := h.prints()
	for line := range strings.Lines(want) {
		if !strings.Contains(got, line) {
			t.Errorf("%q is missing of %q", line, got)
		}
	}
	if !strings.HasSuffix(got, "\n4\n") {
		t.Errorf("not all devices are up: %q", got)
	}
	for _, name := range names { // a network namespace takes its time to go
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat("/sys/class/net/p" + name); err != nil {
				break
			}
		}
	}
	add()
	for text, devices := range map[string]map[string]any{
		"the host has no device of that name":     {"nowhere0": map[string]any{}},
		`the container has a device "lo" already`: {names[0]: map[string]any{"name": "lo"}},
		"a loopback device cannot be moved":       {"lo": map[string]any{"name": "eth0"}},
	} {
		h.set(func(config map[string]any) { config["linux"].(map[string]any)["netDevices"] = devices })
		if out, err := exec.Command(h.isorun, "run", "-b", h.dir, "one").CombinedOutput(); err == nil || !strings.Contains(string(out), text) {
			t.Errorf("%v: %s, want %q", err, out, text)
		}
	}
	if out, err := exec.Command("ip", "-o", "link", "show", names[0], "up").CombinedOutput(); err != nil || len(out) == 0 {
		t.Errorf("a device that could not be moved is not as it was: %v: %s", err, out)
	}
}

// The memory policy is the command's.
func TestMemoryPolicy(t *testing.T) {
	h := mounted(t, `{"type": "mount"}, {"type": "pid"}`, `/busybox cut -d' ' -f2 /proc/self/numa_maps | /busybox sort -u`)
	if _, err := os.Stat("/proc/self/numa_maps"); err != nil {
		t.Skip("this kernel has no memory policies")
	}
	for _, c := range []struct {
		policy map[string]any
		want   string
	}{
		{map[string]any{"mode": "MPOL_BIND", "nodes": "0"}, "bind:0\n"},
		{map[string]any{"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": []string{"MPOL_F_STATIC_NODES"}}, "interleave=static:0\n"},
		{map[string]any{"mode": "MPOL_LOCAL"}, "local\n"},
		{map[string]any{"mode": "MPOL_DEFAULT"}, "default\n"},
	} {
		h.set(func(config map[string]any) { config["linux"].(map[string]any)["memoryPolicy"] = c.policy })
		if got := h.prints(); !strings.Contains(got, c.want) {
			t.Errorf("%v: it has %q, want %q", c.policy, got, c.want)
		}
	}
	for text, policy := range map[string]map[string]any{
		`linux.memoryPolicy.mode: "MPOL_X" is not supported`:                 {"mode": "MPOL_X"},
		`linux.memoryPolicy.nodes: MPOL_BIND needs some`:                     {"mode": "MPOL_BIND"},
		`linux.memoryPolicy.nodes: MPOL_LOCAL takes none`:                    {"mode": "MPOL_LOCAL", "nodes": "0"},
		`linux.memoryPolicy.nodes: "3-1" is no list of nodes, such as 0-3,7`: {"mode": "MPOL_BIND", "nodes": "3-1"},
		`linux.memoryPolicy.flags[0]: "MPOL_F_X" is not supported`:           {"mode": "MPOL_BIND", "nodes": "0", "flags": []string{"MPOL_F_X"}},
	} {
		h.set(func(config map[string]any) { config["linux"].(map[string]any)["memoryPolicy"] = policy })
		if out, err := exec.Command(h.isorun, "run", "-b", h.dir, "one").CombinedOutput(); err == nil || !strings.Contains(string(out), text) {
			t.Errorf("%v: %s, want %q", err, out, text)
		}
	}
}
