package feature

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// machine is a faked host: its files, and what its kernel answers.
type machine struct {
	files    map[string]string // a value that starts with "-> " is a symbolic link
	uid      int
	env      map[string]string
	release  string
	calls    map[string]error // default: EINVAL, which means that the call exists
	clone    func(flags uint64) error
	memfd    error
	perf     error
	tun      error
	readOnly []string          // path prefixes that cannot be written
	writable []string          // path prefixes that a user other than root can write
	programs map[string]string // version by name
}

const (
	allCaps    = "000001ffffffffff"
	noCaps     = "0000000000000000"
	dockerCaps = "00000000a80425fb"

	rootMount = "27 1 254:0 / / rw - ext4 /dev/vda rw\n22 27 0:21 / /proc rw - proc proc rw\n"
	v2Mount   = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	manager   = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service"
)

func status(caps, seccomp string) string {
	return "Name:\ttest\nNoNewPrivs:\t0\nCapEff:\t" + caps + "\nSeccomp:\t" + seccomp + "\n"
}

// debian is a desktop with a logged-in user, on which everything works; the
// other machines are changes to it.
func debian() *machine {
	m := &machine{
		uid: 1000, release: "6.12.48-amd64",
		env: map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus"},
		files: map[string]string{
			"/proc/self/status":                     status(noCaps, "0"),
			"/proc/self/uid_map":                    "         0          0 4294967295\n",
			"/proc/self/mountinfo":                  rootMount + v2Mount,
			"/proc/self/cgroup":                     "0::/user.slice/user-1000.slice/session-2.scope\n",
			"/proc/self/attr/current":               "unconfined\n",
			"/proc/1/cgroup":                        "0::/init.scope\n",
			"/proc/filesystems":                     "nodev\tproc\nnodev\toverlay\n\text4\n",
			"/proc/stat":                            "cpu  1 2 3 4 5 6 7 0 0 0\n",
			"/proc/cpuinfo":                         "processor\t: 0\nflags\t\t: fpu vme tsc\n",
			"/proc/pressure/cpu":                    "some avg10=0.00\n",
			"/proc/sys/net/ipv4/ping_group_range":   "0\t2147483647\n",
			"/etc/passwd":                           "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n",
			"/etc/subuid":                           "ada:100000:65536\n",
			"/etc/subgid":                           "1000:100000:65536\n",
			"/usr/bin/newuidmap":                    "setuid",
			"/usr/bin/newgidmap":                    "setuid",
			"/run/systemd/system/x":                 "",
			"/run/user/1000/bus":                    "",
			manager + "/cgroup.controllers":         "cpu io memory pids\n",
			manager + "/cgroup.subtree_control":     "memory pids\n",
			manager + "/cgroup.procs":               "",
			"/sys/fs/cgroup/cgroup.controllers":     "cpuset cpu io memory pids\n",
			"/sys/fs/cgroup/cgroup.subtree_control": "cpu memory pids\n",
			"/sys/devices/system/clocksource/clocksource0/current_clocksource":   "tsc\n",
			"/sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm\n",
		},
		writable: []string{manager},
		programs: map[string]string{"newuidmap": "", "newgidmap": "", "crun": "crun version 1.21"},
	}
	for name, inode := range map[string]string{"user": "4026531837", "pid": "4026531836", "net": "4026531833",
		"mnt": "4026531832", "uts": "4026531838", "ipc": "4026531839", "cgroup": "4026531835", "time": "4026531834"} {
		m.files["/proc/self/ns/"+name] = "-> " + name + ":[" + inode + "]"
		m.files["/proc/sys/user/max_"+name+"_namespaces"] = "63000\n"
	}
	return m
}

func (m *machine) asRoot() {
	m.uid = 0
	m.files["/proc/self/status"] = status(allCaps, "0")
	m.writable = []string{"/"}
	m.env = nil
}

// inContainer takes the first namespaces away.
func (m *machine) inContainer() {
	for _, name := range []string{"pid", "uts", "ipc", "cgroup", "net", "mnt"} {
		m.files["/proc/self/ns/"+name] = "-> " + name + ":[4026532999]"
	}
	m.files["/proc/self/cgroup"] = "0::/\n"
	m.files["/proc/1/cgroup"] = "0::/\n"
	m.env = map[string]string{}
	m.refuseClone(unix.EPERM)
}

func (m *machine) refuseClone(err error) { m.clone = func(uint64) error { return err } }

func (m *machine) host(t *testing.T) *Host {
	t.Helper()
	root := t.TempDir()
	for name, content := range m.files {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if link, ok := strings.CutPrefix(content, "-> "); ok {
			must(t, os.Symlink(link, path))
			continue
		}
		must(t, os.WriteFile(path, []byte(content), 0o644))
		if content == "setuid" {
			must(t, os.Chmod(path, 0o755|os.ModeSetuid))
		}
	}
	h := &Host{
		Root:    root,
		UID:     func() int { return m.uid },
		GIDs:    func() []int { return []int{m.uid} },
		Getenv:  func(name string) string { return m.env[name] },
		Release: func() (string, error) { return m.release, nil },
		Call: func(name string) error {
			if err, ok := m.calls[name]; ok {
				return err
			}
			return unix.EINVAL
		},
		Clone: func(flags uint64) error {
			if m.clone == nil {
				return nil
			}
			return m.clone(flags)
		},
		Memfd:      func() error { return m.memfd },
		Perf:       func(bool) error { return m.perf },
		OpenDevice: func(string) error { return m.tun },
		FileCaps:   func(string) bool { return false },
		LookPath: func(name string) (string, error) {
			if _, ok := m.programs[name]; !ok {
				return "", errors.New("executable file not found in $PATH")
			}
			return "/usr/bin/" + name, nil
		},
		Version: func(_ context.Context, path string) (string, error) { return m.programs[filepath.Base(path)], nil },
	}
	h.Writable = func(path string) error { return m.access(strings.TrimPrefix(path, root)) }
	return h
}

func (m *machine) access(path string) error {
	within := func(prefix string) bool { return strings.HasPrefix(path, prefix) }
	switch {
	case slices.ContainsFunc(m.readOnly, within):
		return unix.EROFS
	case slices.ContainsFunc(m.writable, within):
		return nil
	}
	return unix.EACCES
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
