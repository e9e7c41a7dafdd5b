package payload

import (
	"bytes"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// read is a file's lines.
func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func TestHostIsWhatGoReads(t *testing.T) {
	s, err := Host()
	if err != nil {
		t.Fatal(err)
	}
	for kind, link := range s.Namespaces {
		if want, err := os.Readlink("/proc/self/ns/" + kind); err != nil || link != want {
			t.Errorf("namespace %s is %q; want %q, %v", kind, link, want, err)
		}
	}
	if len(s.Namespaces)+len(s.Missing) != 8 {
		t.Errorf("%d namespaces, missing %v; want 8", len(s.Namespaces), s.Missing)
	}
	if name, err := os.Hostname(); err != nil || s.Hostname != name {
		t.Errorf("host name %q; want %q, %v", s.Hostname, name, err)
	}
	if s.UID != int64(os.Geteuid()) || s.GID != int64(os.Getegid()) || s.Status["Pid"] != strconv.FormatInt(s.PID, 10) {
		t.Errorf("uid %d, gid %d, pid %d, status %v", s.UID, s.GID, s.PID, s.Status)
	}
	if want := lines(t, "/proc/self/cgroup"); !slices.Equal(s.Cgroups, want) {
		t.Errorf("cgroups %q; want %q", s.Cgroups, want)
	}
	mounts := lines(t, "/proc/self/mountinfo")
	if len(s.Mounts) != len(mounts) {
		t.Errorf("%d mounts; want %d", len(s.Mounts), len(mounts))
	}
	if want := lines(t, "/proc/self/limits"); len(s.Limits) != len(want) {
		t.Errorf("limits %q; want %d lines", s.Limits, len(want))
	}
	own := map[string]string{}
	for _, line := range lines(t, "/proc/self/status") {
		field, value, _ := strings.Cut(line, ":")
		own[field] = strings.Join(strings.Fields(value), " ")
	}
	for _, field := range []string{"Uid", "Gid", "CapEff", "CapBnd", "Seccomp", "NoNewPrivs"} {
		if s.Status[field] != own[field] || own[field] == "" {
			t.Errorf("%s is %q; want %q", field, s.Status[field], own[field])
		}
	}
	if want := strconv.FormatInt(s.Seccomp, 10); own["Seccomp"] != want {
		t.Errorf("seccomp is %s by prctl, %q in status", want, own["Seccomp"])
	}
	links, err := net.Interfaces()
	if err != nil || len(links) != len(s.Interfaces) {
		t.Errorf("interfaces %q; want %v, %v", s.Interfaces, links, err)
	}
	if i := s.Against(s); len(i.Own)+len(i.Unknown) != 0 || !slices.Equal(i.Shared, aspectNames()) {
		t.Errorf("against itself: %+v; want all shared", i)
	}
}

func TestLookSeesNamespaces(t *testing.T) {
	requireNamespaces(t)
	host, err := Host()
	if err != nil {
		t.Fatal(err)
	}
	s := look(t, namespaces(exec.Command(file(t), "look"), syscall.CLONE_NEWPID|syscall.CLONE_NEWNET|
		syscall.CLONE_NEWNS|syscall.CLONE_NEWUTS|syscall.CLONE_NEWIPC|syscall.CLONE_NEWCGROUP))
	want := Isolation{
		Own:     aspectNames()[:7], // all but time
		Shared:  []string{"time namespace", "seccomp filter", "ban on new privileges", "drop of capabilities", "root of its own"},
		Unknown: []string{"cgroup"},
	}
	got := s.Against(host)
	if !slices.Equal(got.Own, want.Own) || !slices.Equal(got.Shared, want.Shared) || !slices.Equal(got.Unknown, want.Unknown) {
		t.Errorf("got %+v; want %+v", got, want)
	}
	if s.PID != 1 || !slices.Equal(s.Interfaces, []string{"lo"}) || s.UID != 0 || len(s.UIDMap) != 1 {
		t.Errorf("pid %d, uid %d, map %q, interfaces %q", s.PID, s.UID, s.UIDMap, s.Interfaces)
	}
}

func TestLookSeesConfinement(t *testing.T) {
	host, err := Host()
	if err != nil {
		t.Fatal(err)
	}
	s := look(t, helper("confine", file(t)))
	want := []string{"seccomp filter", "ban on new privileges"}
	if os.Geteuid() == 0 {
		want = append(want, "drop of capabilities")
	}
	if got := s.Made(host); !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
	if s.Seccomp != -int64(syscall.EPERM) || s.NoNewPrivs != -int64(syscall.EPERM) {
		t.Errorf("prctl gives %d and %d; the filter says EPERM", s.Seccomp, s.NoNewPrivs)
	}
	n, ok := s.Capabilities()
	if hostN, _ := host.Capabilities(); !ok || os.Geteuid() == 0 && n != hostN-1 {
		t.Errorf("%d capabilities of %d, %v", n, hostN, ok)
	}
}

func TestLookSeesItsRoot(t *testing.T) {
	requireNamespaces(t)
	host, err := Host()
	if err != nil {
		t.Fatal(err)
	}
	s := look(t, namespaces(helper("root", t.TempDir()), syscall.CLONE_NEWNS))
	if got, want := s.Made(host), []string{"user namespace", "mnt namespace", "root of its own"}; !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

func TestLookWithoutProc(t *testing.T) {
	requireNamespaces(t)
	host, err := Host()
	if err != nil {
		t.Fatal(err)
	}
	cmd := namespaces(exec.Command("/payload", "look"), syscall.CLONE_NEWPID)
	cmd.SysProcAttr.Chroot = filepath.Dir(file(t))
	cmd.Dir = "/"
	s := look(t, cmd)
	if len(s.Missing) != 14 || s.Missing["/proc/self/ns/pid"] != syscall.ENOENT {
		t.Errorf("missing %v", s.Missing)
	}
	i := s.Against(host)
	if want := []string{"pid namespace"}; !slices.Equal(i.Own, want) {
		t.Errorf("own %q; want %q", i.Own, want)
	}
	if !slices.Contains(i.Unknown, "user namespace") || !slices.Contains(i.Unknown, "root of its own") {
		t.Errorf("unknown %q", i.Unknown)
	}
	if _, ok := s.Capabilities(); ok {
		t.Error("the number of capabilities is known")
	}
}

// sample is a look in short.
const sample = "noise\r\nlook 1\r\n== calls\r\npid 0000000000000001\r\nseccomp ffffffffffffffff\r\n" +
	"== hostname\r\nbox\r\n== /proc/self/ns/net\r\nnet:[1]\r\n== /proc/self/ns/time\r\n!0000000000000002\r\n" +
	"== /proc/self/mountinfo\r\n22 1 0:20 /a\\040b / rw,noatime shared:1 - tmpfs a\\134b rw\r\n== end\r\nnoise"

func TestParseLook(t *testing.T) {
	s, err := ParseLook([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if s.PID != 1 || s.Seccomp != -1 || s.Hostname != "box" {
		t.Errorf("got %+v", s)
	}
	if !maps.Equal(s.Namespaces, map[string]string{"net": "net:[1]"}) || s.Missing["/proc/self/ns/time"] != syscall.ENOENT {
		t.Errorf("namespaces %v, missing %v", s.Namespaces, s.Missing)
	}
	if want := (Mount{"0:20", "/a b", "/", "tmpfs", `a\b`}); len(s.Mounts) != 1 || s.Mounts[0] != want {
		t.Errorf("mounts %+v; want %+v", s.Mounts, want)
	}
	for name, text := range map[string]string{
		"nothing":        "",
		"something else": "sh: not found\n",
		"cut off":        strings.Split(sample, "== end")[0],
		"no result":      "look 1\n== calls\npid x\n== end\n",
		"no call":        "look 1\n== calls\nsid 0000000000000001\n== end\n",
		"no errno":       "look 1\n== hostname\n!x\n== end\n",
		"no mount":       "look 1\n== /proc/self/mountinfo\n22 1 0:20\n== end\n",
		"no section":     "look 1\nnoise\n== end\n",
	} {
		if s, err := ParseLook([]byte(text)); err == nil || len(s.Mounts) != 0 {
			t.Errorf("%s: %+v without an error", name, s)
		}
	}
}

func FuzzParseLook(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseLook(b)
		if err == nil && !bytes.Contains(b, []byte("== end")) {
			t.Fatalf("%q has no end, and gives %+v", b, s)
		}
		s.Against(s)
	})
}

// aspectNames are the words of Isolation: "user namespace" and so on for pid, net,
// mnt, uts, ipc, cgroup and time, "cgroup", "seccomp filter", "no new
// privileges", "drop of capabilities", "root of its own".
func aspectNames() []string {
	var names []string
	for _, a := range aspects() {
		names = append(names, a.name)
	}
	return names
}
