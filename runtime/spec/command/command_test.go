package command_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"isoperf/runtime/network"
	"isoperf/runtime/spec"
	"isoperf/runtime/spec/command"
)

func root() command.Caller {
	return command.Caller{Name: "root", Environ: []string{"PATH=/bin", "TERM=vt100", "SECRET=1"}, Dir: "/srv"}
}

func user() command.Caller {
	return command.Caller{UID: 1000, GID: 1000, Name: "nobody-here", Environ: []string{"PATH=/bin", "SECRET=1"}, Dir: "/srv"}
}

func flags(c *spec.Container) string {
	var names []string
	for _, n := range c.Linux.Namespaces {
		names = append(names, string(n.Type))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestNamespaces: what is left out is as container tools agree on.
func TestNamespaces(t *testing.T) {
	for _, c := range []struct {
		o    command.Options
		who  command.Caller
		want string
	}{
		{command.Options{}, root(), "cgroup ipc mount network pid uts"},
		{command.Options{MapRoot: true}, root(), "cgroup ipc mount network pid user uts"},
		{command.Options{MapRoot: true}, user(), "cgroup ipc mount network pid user uts"},
		{command.Options{Net: network.Host}, root(), "cgroup ipc mount pid uts"},
		{command.Options{Namespaces: "none"}, root(), ""},
		{command.Options{Namespaces: "none"}, user(), ""},
		{command.Options{Namespaces: "pid"}, root(), "pid"},
		{command.Options{Namespaces: "pid", Rootfs: "/nowhere"}, root(), "mount pid"},
		{command.Options{Namespaces: "pid", Tmpfs: []string{"/tmp"}}, root(), "mount pid"},
		{command.Options{Namespaces: "pid", Net: network.None}, root(), "network pid"},
		{command.Options{Namespaces: "pid", MapRoot: true}, user(), "pid user"},
		{command.Options{Namespaces: "all", MapRoot: true}, user(), "cgroup ipc mount network pid time user uts"},
		{command.Options{Namespaces: "all,-time", MapRoot: true}, user(), "cgroup ipc mount network pid user uts"},
	} {
		c.o.ID = "test"
		ct, err := c.o.Container(c.who)
		if err != nil {
			t.Errorf("%+v: %v", c.o, err)
			continue
		}
		if got := flags(ct); got != c.want {
			t.Errorf("%+v of user %d has %q, want %q", c.o, c.who.UID, got, c.want)
		}
	}
}

// TestSurroundings: a root of its own has nothing of the caller's environment
// but its terminal's name; the host's tree keeps it.
func TestSurroundings(t *testing.T) {
	for _, c := range []struct {
		o    command.Options
		want string // variables, and the directory
	}{
		{command.Options{}, "PATH=/bin SECRET=1 TERM=vt100 /srv"},
		{command.Options{Env: []string{"SECRET=2", "NEW"}}, "PATH=/bin SECRET=2 TERM=vt100 /srv"},
		{command.Options{Rootfs: "/nowhere"}, "HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=isoperf /"},
		{command.Options{Rootfs: "/nowhere", TTY: true, Env: []string{"PATH=/x", "SECRET"}, Workdir: "/w"}, "HOME=/root PATH=/x SECRET=1 TERM=vt100 container=isoperf /w"},
	} {
		c.o.ID = "test"
		ct, err := c.o.Container(root())
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(append(ct.Process.Env, ct.Process.Cwd), " "); got != c.want {
			t.Errorf("%+v has\n%s\nwant\n%s", c.o, got, c.want)
		}
		if !ct.Process.NoNewPrivileges {
			t.Errorf("%+v may get new privileges", c.o)
		}
	}
}

// TestLimits: the words of the flags in the words of OCI.
func TestLimits(t *testing.T) {
	o := command.Options{ID: "test", CPU: "20%", CPUs: "0-1", CPUWeight: "50", Memory: "64M", Pids: "20", IOMax: []string{"8:0 rbps=1M", "8:16 wiops=5"}}
	ct, err := o.Container(root())
	if err != nil {
		t.Fatal(err)
	}
	r := ct.Linux.Resources
	got := fmt.Sprintln(*r.CPU.Quota, *r.CPU.Period, r.CPU.Cpus, *r.Memory.Limit, *r.Pids.Limit, r.Unified)
	if want := "20000 100000 0-1 67108864 20 map[cpu.weight:50 io.max:8:0 rbps=1048576\n8:16 wiops=5]\n"; got != want || !o.Limited() {
		t.Errorf("the limits are %s, want %s", got, want)
	}
	if none := (command.Options{ID: "test"}); none.Limited() {
		t.Error("without a limit it is limited")
	} else if ct, err := none.Container(root()); err != nil || ct.Linux.Resources != nil {
		t.Errorf("without a limit there are %+v, %v", ct.Linux.Resources, err)
	}
}

// TestRefused: what cannot be, with the flag's name.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		o    command.Options
		who  command.Caller
		want string
	}{
		{command.Options{}, user(), "/etc/subuid"},
		{command.Options{Userns: "none"}, user(), "--userns none: uid 1000 may not"},
		{command.Options{Userns: "none", MapRoot: true}, root(), "--userns none"},
		{command.Options{Userns: "none", Namespaces: "user"}, root(), "--userns none"},
		{command.Options{Userns: "keep", MapRoot: true}, root(), "--userns keep and --map-root"},
		{command.Options{Net: network.Host, Namespaces: "net"}, root(), "--net host and --namespaces net"},
		{command.Options{Namespaces: "none", User: "5:5"}, user(), "cannot become another user"},
		{command.Options{MapRoot: true, User: "5"}, user(), "uid 5 has no mapping"},
		{command.Options{MapRoot: true, User: "0:5"}, user(), "gid 5 has no mapping"},
		{command.Options{MapRoot: true, User: "5"}, user(), "which has 0: leave --map-root out"},
		{command.Options{Tmpfs: []string{"/no/such"}}, root(), `there is no "/no/such" on the host`},
		{command.Options{Volumes: []string{"/tmp:/no/such"}}, root(), `there is no "/no/such" on the host`},
		{command.Options{MapRoot: true, Namespaces: "mnt", Proc: new(true)}, user(), "add pid to --namespaces"},
		{command.Options{Tmpfs: []string{"/x:size=1x"}}, root(), "size=1x"},
		{command.Options{Tmpfs: []string{"/x:size="}}, root(), "size="},
		{command.Options{Volumes: []string{"/tmp:/x:size=1"}}, root(), "size=1"},
	} {
		c.o.ID = "test"
		if _, err := c.o.Container(c.who); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: the error is %v, want %q", c.o, err, c.want)
		}
	}
}
