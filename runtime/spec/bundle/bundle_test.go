package bundle

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/spec"
)

func require(t testing.TB, cond bool, why string) {
	t.Helper()
	switch {
	case cond:
	case os.Getenv("ISOPERF_MUST_RUN") == "1":
		t.Fatalf("must run, but: %s", why)
	default:
		t.Skip(why)
	}
}

func container(t testing.TB) *spec.Container {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	mask, limit := uint32(0o27), int64(100)
	return &spec.Container{ID: "c1", Bundle: dir, LoopbackUp: true, Spec: &specs.Spec{
		Process: &specs.Process{
			Args: []string{"/bin/sh", "-c", "echo <a> & \"é\" \U0001F512\n"}, Env: []string{"PATH=/bin", "E="}, Cwd: "/", NoNewPrivileges: true,
			User: specs.User{UID: 3, Umask: &mask}, Rlimits: []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1, Hard: ^uint64(0)}},
		},
		Root:   &specs.Root{Path: "rootfs", Readonly: true},
		Mounts: []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}, {Destination: "/v", Source: "v", Options: []string{"rbind"}}},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}, {Type: specs.IPCNamespace, Path: "/proc/1/ns/ipc"}},
			Resources:  &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}, Unified: map[string]string{"memory.high": "max"}},
		},
	}}
}

// TestWrite: what is written is read as the same, with absolute paths, and the
// container is as it was.
func TestWrite(t *testing.T) {
	c := container(t)
	before, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := Write(c, dir); err != nil {
		t.Fatal(err)
	}
	if after, err := json.Marshal(c); err != nil || string(after) != string(before) {
		t.Errorf("the container has become\n%s, %v\nfrom\n%s", after, err, before)
	}
	got, err := spec.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	got.ID, got.LoopbackUp = c.ID, true
	if err := got.Check(); err != nil {
		t.Fatal(err)
	}
	c.Version = "1.0.2"
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.Spec, got.Spec); diff != "" {
		t.Errorf("what was written (-) and what was read (+) differ:\n%s", diff)
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "{\n\t\"ociVersion\": \"1.0.2\",\n") || !strings.Contains(string(text), "echo <a> &") {
		t.Errorf("it is not for people to read:\n%s", text)
	}
}

// A version that is given is kept, and a directory that is there is used.
func TestWriteVersion(t *testing.T) {
	c := container(t)
	c.Version, c.ID = "1.2.0", ""
	if err := Write(c, c.Bundle); err != nil {
		t.Fatal(err)
	}
	if got, err := spec.Load(c.Bundle); err != nil || got.Version != "1.2.0" || c.ID != "" {
		t.Errorf("%+v, %v; the id is %q", got, err, c.ID)
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, k := range []struct {
		want   string
		change func(*spec.Container)
	}{
		{`the container has no description`, func(c *spec.Container) { c.Spec = nil }},
		{`a bundle has a root file system of its own, and the container sees the host's; give it one`, func(c *spec.Container) { c.HostRoot = true }},
		{`OCI has no word for an init before the command; leave it out, or make it the command`, func(c *spec.Container) { c.Init = true }},
		{`OCI has no word for a throw-away layer over the root; leave it out, or give a copy`, func(c *spec.Container) { c.Overlay = true }},
		{`OCI has no word for seccomp's strict mode; give a filter`, func(c *spec.Container) { c.Strict = true }},
		{`OCI has no word for a network that is connected; leave it out, or join a namespace that is`, func(c *spec.Container) { c.Connected = true }},
		{`process.cwd: "x" is not absolute`, func(c *spec.Container) { c.Process.Cwd = "x" }},
		{`process.args[1]: "\xff" is not UTF-8, as JSON is`, func(c *spec.Container) { c.Process.Args[1] = "\xff" }},
		{`linux.resources.unified["\xff"]: "\xff" is not UTF-8, as JSON is`, func(c *spec.Container) { c.Linux.Resources.Unified["\xff"] = "" }},
		{`annotations["a"]: "\xff" is not UTF-8, as JSON is`, func(c *spec.Container) { c.Annotations = map[string]string{"a": "\xff"} }},
	} {
		t.Run(k.want, func(t *testing.T) {
			c := container(t)
			k.change(c)
			dir := filepath.Join(t.TempDir(), "bundle")
			err := Write(c, dir)
			if want := `write bundle "` + dir + `": ` + k.want; err == nil || err.Error() != want {
				t.Errorf("\ngot  %v\nwant %s", err, want)
			}
			if _, err := os.Lstat(dir); !os.IsNotExist(err) {
				t.Errorf("%s was left behind: %v", dir, err)
			}
		})
	}
}

// TestWriteLeavesOthers: a config.json that is there stays, and a failed write
// leaves nothing.
func TestWriteLeavesOthers(t *testing.T) {
	c := container(t)
	name := filepath.Join(c.Bundle, "config.json")
	if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Write(c, c.Bundle)
	if err == nil || !strings.HasSuffix(err.Error(), "it has a config.json already; remove it, or choose another directory") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "mine" {
		t.Errorf("it is %q, %v", text, err)
	}
	for _, dir := range []string{filepath.Join(t.TempDir(), "no", "dir"), "/dev/null"} {
		if err := Write(c, dir); err == nil {
			t.Errorf("%s was written", dir)
		}
	}
}

// TestWriteFull: where nothing can be written, neither the file nor the
// directory stays.
func TestWriteFull(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	c, dir := container(t), filepath.Join(t.TempDir(), "bundle")
	// Go's runtime ignores the SIGXFSZ that comes with EFBIG.
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 100, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	err := Write(c, dir)
	if undo := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); undo != nil {
		t.Fatal(undo)
	}
	if err == nil || !strings.Contains(err.Error(), "file too large") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("%s was left behind: %v", dir, err)
	}
}

// TestOthersRun: another runtime runs what was written.
func TestOthersRun(t *testing.T) {
	runc, err := exec.LookPath("runc")
	require(t, err == nil, "there is no runc")
	require(t, os.Geteuid() == 0, "it takes root")
	busybox, err := os.ReadFile("/bin/busybox")
	require(t, err == nil, "there is no /bin/busybox (package busybox-static)")
	c := container(t)
	bin := filepath.Join(c.Bundle, "rootfs", "bin")
	for _, dir := range []string{bin, filepath.Join(c.Bundle, "v"), filepath.Join(c.Bundle, "rootfs", "v"), filepath.Join(c.Bundle, "rootfs", "proc")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(bin, "busybox"), busybox, 0o755); err != nil {
		t.Fatal(err)
	}
	c.Process.Args = []string{"/bin/busybox", "echo", "it runs"}
	c.Process.Rlimits[0].Soft, c.Process.Rlimits[0].Hard = 64, 64
	c.Linux.Resources, c.Linux.Namespaces = nil, c.Linux.Namespaces[:2]
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := Write(c, dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("timeout", "-k", "5", "20", runc, "--root", t.TempDir(), "run", "--bundle", dir, "isoperf-bundle-test")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "it runs\n" {
		t.Errorf("%v: %s", err, out)
	}
}
