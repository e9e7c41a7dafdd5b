package capability_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/capability"
	"isoperf/runtime/idmap"
	"isoperf/runtime/program"
)

func last(t testing.TB) int {
	t.Helper()
	n, err := capability.Last()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestContainer: the way of a container's root, whose sets are the same before
// and after execve.
func TestContainer(t *testing.T) {
	requireRoot(t)
	want := capability.Same(capability.Default())
	requireAll(t, want)
	mustSets(t, "after execve", printed(t, func(p *program.Program) {
		capability.DropBounding(p, want.Bounding, last(t))
		capability.Apply(p, want)
	}), want)
}

func mine(t testing.TB) capability.Set {
	t.Helper()
	s, err := capability.Permitted()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// requireAll skips where this process cannot give all of the sets.
func requireAll(t testing.TB, s capability.Sets) {
	t.Helper()
	if _, lack := s.Within(mine(t) & capability.UpTo(last(t))); lack != 0 {
		require(t, false, fmt.Sprintf("this process lacks %v", lack))
	}
}

// different are five sets, no two alike, that the kernel takes.
func different() capability.Sets {
	of := capability.Of
	return capability.Sets{
		Bounding:    of(unix.CAP_CHOWN, unix.CAP_KILL, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_SETUID),
		Permitted:   of(unix.CAP_CHOWN, unix.CAP_KILL, unix.CAP_BPF, unix.CAP_SETUID),
		Effective:   of(unix.CAP_CHOWN, unix.CAP_KILL),
		Inheritable: of(unix.CAP_KILL, unix.CAP_BPF, unix.CAP_NET_RAW),
		Ambient:     of(unix.CAP_BPF),
	}
}

// TestFiveSets: each set is the one asked for, high words too, before execve
// mixes them; and the ambient set that was inherited is gone.
func TestFiveSets(t *testing.T) {
	requireRoot(t)
	want := different()
	requireAll(t, want)
	p := program.New(program.Stub, 0)
	capability.RaiseAmbient(p, mine(t), false)
	capability.DropBounding(p, want.Bounding, last(t))
	capability.Apply(p, want)
	status := look(p)
	proc, err := finish(t, p)
	if err != nil {
		t.Fatal(err)
	}
	mustSets(t, "before execve", parse(t, string(proc.Buffer(status))), want)
}

// TestOtherUser: a user other than root keeps the ambient set through execve,
// and it alone.
func TestOtherUser(t *testing.T) {
	requireRoot(t)
	sets := different()
	requireAll(t, sets)
	const user = 54321
	ids := [6]program.Arg{program.Int(user), program.Int(user), program.Int(user)}
	want := sets
	want.Effective, want.Permitted = sets.Ambient, sets.Ambient
	mustSets(t, "after execve", printed(t, func(p *program.Program) {
		capability.DropBounding(p, sets.Bounding, last(t))
		capability.Keep(p)
		p.Add(program.Op{Name: "setgroups", Call: unix.SYS_SETGROUPS})
		p.Add(program.Op{Name: "setresgid", Call: unix.SYS_SETRESGID, Args: ids})
		p.Add(program.Op{Name: "setresuid", Call: unix.SYS_SETRESUID, Args: ids})
		capability.Apply(p, sets)
	}), want)
}

// TestUserNamespace: any user has all capabilities in an own user namespace,
// and gives up what it should.
func TestUserNamespace(t *testing.T) {
	requireUserNamespaces(t)
	inside := func(p *program.Program) {
		p.Add(program.Unshare(unix.CLONE_NEWUSER))
		if err := idmap.Own(os.Geteuid(), os.Getegid()).Ops(p); err != nil {
			t.Fatal(err)
		}
	}
	full := capability.UpTo(last(t))
	mustSets(t, "in a new user namespace", printed(t, inside), capability.Same(full))

	want := capability.Same(capability.Default())
	mustSets(t, "after execve as root of it", printed(t, func(p *program.Program) {
		inside(p)
		capability.DropBounding(p, want.Bounding, last(t))
		capability.Apply(p, want)
	}), want)

	p := program.New(program.Stub, 0)
	inside(p)
	capability.DropBounding(p, different().Bounding, last(t))
	capability.Apply(p, different())
	status := look(p)
	proc, err := finish(t, p)
	if err != nil {
		t.Fatal(err)
	}
	mustSets(t, "before execve as root of it", parse(t, string(proc.Buffer(status))), different())
}

// TestRaiseAmbient: in a cloned user namespace without a map, the stub's execve
// takes all capabilities, unless they are ambient.
func TestRaiseAmbient(t *testing.T) {
	requireUserNamespaces(t)
	full := capability.UpTo(last(t))
	one := capability.Of(unix.CAP_SYS_ADMIN, unix.CAP_CHECKPOINT_RESTORE)
	all := func(s capability.Set) capability.Sets {
		return capability.Sets{Bounding: full, Effective: s, Permitted: s, Inheritable: s, Ambient: s}
	}
	for _, test := range []struct {
		name  string
		raise func(p *program.Program)
		want  capability.Sets
	}{
		{"not raised", func(*program.Program) {}, capability.Sets{Bounding: full}},
		{"two", func(p *program.Program) { capability.RaiseAmbient(p, one, true) }, all(one)},
		{"all", func(p *program.Program) { capability.RaiseAmbient(p, full, true) }, all(full)},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := program.New(program.Stub, unix.CLONE_NEWUSER)
			test.raise(p)
			status := look(p)
			proc, err := finish(t, p)
			if err != nil {
				t.Fatal(err)
			}
			mustSets(t, "in the stub", parse(t, string(proc.Buffer(status))), test.want)
		})
	}
	// Late, it is the command that has them.
	mustSets(t, "after execve", printed(t, func(p *program.Program) {
		p.Add(program.Unshare(unix.CLONE_NEWUSER))
		capability.RaiseAmbient(p, one, false)
	}), all(one))
}

// TestKernelRefuses: what Check refuses, the kernel refuses; and what neither
// does, works.
func TestKernelRefuses(t *testing.T) {
	requireUserNamespaces(t)
	kill, chown := capability.Of(unix.CAP_KILL), capability.Of(unix.CAP_CHOWN)
	for _, test := range []struct {
		name string
		sets capability.Sets
		err  string // "": taken
	}{
		{"same", capability.Same(kill), ""},
		{"ambient", capability.Sets{Bounding: kill, Effective: kill, Permitted: kill, Inheritable: kill, Ambient: kill}, ""},
		{"permitted outside bounding", capability.Sets{Bounding: kill, Permitted: kill | chown}, ""},
		{"effective", capability.Sets{Bounding: kill | chown, Effective: kill | chown, Permitted: kill},
			"check capabilities: effective has chown, which permitted has not, and the kernel refuses that; add it to permitted or take it from effective"},
		{"inheritable", capability.Sets{Bounding: kill, Permitted: kill, Inheritable: chown},
			"inheritable has chown, which bounding has not"},
		{"ambient not permitted", capability.Sets{Bounding: kill, Inheritable: kill, Ambient: kill},
			"ambient has kill, which permitted has not"},
		{"ambient not inheritable", capability.Sets{Bounding: kill, Permitted: kill, Ambient: kill},
			"ambient has kill, which inheritable has not"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.sets.Check()
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("Check says %v, want %q", err, test.err)
			}
			p := program.New(program.Stub, 0)
			p.Add(program.Unshare(unix.CLONE_NEWUSER))
			capability.DropBounding(p, test.sets.Bounding, last(t))
			capability.Apply(p, test.sets)
			if _, err := finish(t, p); (err != nil) != (test.err != "") {
				t.Errorf("the kernel says %v", err)
			}
		})
	}
}
