package spec

import (
	"os"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestCPUs(t *testing.T) {
	for list, want := range map[string][]int{"0": {0}, "0-3,7": {0, 1, 2, 3, 7}, "1, 3": {1, 3}, "1023": {1023}} {
		set, err := CPUs(list)
		if err != nil || set.Count() != len(want) {
			t.Errorf("%q: %v, %v", list, set, err)
			continue
		}
		for _, n := range want {
			if !set.IsSet(n) {
				t.Errorf("%q: %d is not in it", list, n)
			}
		}
	}
	if set, err := CPUs(""); set != nil || err != nil {
		t.Errorf("an empty list is %v, %v", set, err)
	}
	for _, list := range []string{"x", "-1", "1-", "2-1", "1024", "0-1024", "1,,2", "0x1", "70000"} {
		if set, err := CPUs(list); err == nil {
			t.Errorf("%q is %v", list, set)
		}
	}
}

// A process has from the container's own what it leaves out, and nothing else.
func TestWith(t *testing.T) {
	adj, mask := 5, uint32(0o27)
	own := &specs.Process{
		Args: []string{"own"}, Cwd: "/own", Env: []string{"A=own"}, NoNewPrivileges: true, OOMScoreAdj: &adj, User: specs.User{UID: 3, Umask: &mask},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_CHOWN"}}, Rlimits: []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}},
		Scheduler: &specs.Scheduler{Policy: specs.SchedBatch}, IOPriority: &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE},
		ExecCPUAffinity: &specs.CPUAffinity{Final: "0"},
	}
	filter := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	c := &Container{ID: "one", Bundle: "/bundle", Spec: &specs.Spec{
		Version: "1.0.2", Process: own, Mounts: []specs.Mount{{Destination: "/x"}}, Hostname: "name",
		Linux: &specs.Linux{Seccomp: filter, Sysctl: map[string]string{"a": "b"}, MaskedPaths: []string{"/y"}},
	}}
	got, err := c.With(&specs.Process{Args: []string{"new"}, Cwd: "/new"}, unix.CLONE_NEWNS|unix.CLONE_NEWUSER)
	if err != nil {
		t.Fatal(err)
	}
	want := *own
	want.Args, want.Cwd, want.Env, want.NoNewPrivileges, want.User.UID = []string{"new"}, "/new", []string{}, false, 0
	if !reflect.DeepEqual(*got.Process, want) {
		t.Errorf("the process is %+v, want %+v", *got.Process, want)
	}
	if create, join := got.Flags(); create != 0 || len(join) != 2 || got.Linux.Seccomp != filter || len(got.Mounts)+len(got.Linux.Sysctl)+len(got.Linux.MaskedPaths) > 0 || got.Hostname != "" {
		t.Errorf("it creates %#x, joins %v: %+v, %+v", create, join, got.Spec, got.Linux)
	}
	if c.Process != own || own.Args[0] != "own" || !own.NoNewPrivileges {
		t.Errorf("the container's own process became %+v", own)
	}
	full := *own
	full.Args = []string{"full"}
	if got, err = c.With(&full, 0); err != nil || !reflect.DeepEqual(*got.Process, full) {
		t.Errorf("a complete process is %+v, %v", got.Process, err)
	}
	for text, p := range map[string]*specs.Process{
		"process.args": {Cwd: "/"}, "process.cwd": {Args: []string{"x"}}, "process.env[0]": {Args: []string{"x"}, Cwd: "/", Env: []string{"x"}},
		"process.user.uid": {Args: []string{"x"}, Cwd: "/", User: specs.User{UID: noID}},
	} {
		if _, err := c.With(p, 0); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestLoadProcess(t *testing.T) {
	name := t.TempDir() + "/process.json"
	if err := os.WriteFile(name, []byte(`{"args": ["a", "b"], "cwd": "/c", "terminal": true, "user": {"uid": 7}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := LoadProcess(name)
	if want := (&specs.Process{Args: []string{"a", "b"}, Cwd: "/c", Terminal: true, User: specs.User{UID: 7}}); err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("it is %+v, %v", p, err)
	}
	if err := os.WriteFile(name, []byte(`{"args": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadProcess(name); err == nil || !strings.Contains(err.Error(), "args") {
		t.Errorf("a number for args: %v", err)
	}
	if _, err := LoadProcess(name + "x"); err == nil {
		t.Error("a file that is not there was read")
	}
}
