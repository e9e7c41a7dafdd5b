package idmap

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// TestOwn: any user is root inside, by either way, and setgroups is denied.
func TestOwn(t *testing.T) {
	requireUserNamespaces(t)
	uid, gid := os.Geteuid(), os.Getegid()
	for name, write := range map[string]func(pid int) error{"Self": Self, "Write": Own(uid, gid).Write} {
		t.Run(name, func(t *testing.T) {
			var texts [3]program.Arg
			files := [3]string{"uid_map", "gid_map", "setgroups"}
			n := unshared(t, func(p *program.Program) {
				for i, f := range files {
					texts[i] = read(p, "/proc/self/"+f)
				}
			})
			if err := write(n.Pid()); err != nil {
				t.Fatal(err)
			}
			want := [3]string{fmt.Sprintf("0 %d 1", uid), fmt.Sprintf("0 %d 1", gid), "deny"}
			if uid == 0 && name == "Write" {
				want[2] = "allow" // nothing made it deny them
			}
			for i, f := range files {
				if got := n.outside(f); got != want[i] {
					t.Errorf("from outside, %s is %q, want %q", f, got, want[i])
				}
			}
			n.finish()
			for i, f := range files {
				if got := words(n.Buffer(texts[i])); got != want[i] {
					t.Errorf("from inside, %s is %q, want %q", f, got, want[i])
				}
			}
		})
	}
}

// TestOps: the child writes its maps itself, and nobody waits.
func TestOps(t *testing.T) {
	requireUserNamespaces(t)
	p := program.New(program.Stub, 0)
	p.Add(program.Unshare(unix.CLONE_NEWUSER))
	if err := Own(os.Geteuid(), os.Getegid()).Ops(p); err != nil {
		t.Fatal(err)
	}
	status := read(p, "/proc/self/status")
	proc, err := program.Start(p)
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Release()
	if _, err := proc.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := words(proc.Buffer(status)); !strings.Contains(got, "Uid: 0 0 0 0 Gid: 0 0 0 0 ") {
		t.Errorf("inside, the child is not root: %s", got)
	}
	for _, m := range []Maps{{}, same(0, 54321, 1), same(0, uint32(os.Geteuid()), 2)} {
		if err := m.Ops(program.New(program.Stub, 0)); err == nil {
			t.Errorf("%v can be written from inside", m)
		}
	}
}

// mapped writes maps and has users inside make files: outside, the files are
// the mapped users'.
func mapped(t *testing.T, m Maps, users ...int) {
	t.Helper()
	dir := shared(t)
	for _, user := range users {
		path := filepath.Join(dir, fmt.Sprint(user))
		var uids, gids program.Arg
		n := unshared(t, func(p *program.Program) {
			uids, gids = read(p, "/proc/self/uid_map"), read(p, "/proc/self/gid_map")
			become(p, user, user)
			p.Add(program.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY))
		})
		if err := m.Write(n.Pid()); err != nil {
			t.Fatal(err)
		}
		if got, want := n.outside("uid_map")+"; "+n.outside("gid_map"), words(text(m.UIDs))+"; "+words(text(m.GIDs)); got != want {
			t.Errorf("from outside the maps are %q, want %q", got, want)
		}
		if got := n.outside("setgroups"); got != "allow" {
			t.Errorf("setgroups is %q", got)
		}
		n.finish()
		for i, got := range []string{words(n.Buffer(uids)), words(n.Buffer(gids))} {
			list := m.sides()[i].list
			if len(strings.Fields(got)) != 3*len(list) || !strings.HasPrefix(got, fmt.Sprintf("%d ", list[0].ContainerID)) {
				t.Errorf("from inside, map %d is %q", i, got)
			}
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		uid, _ := m.HostUID(user)
		gid, _ := m.HostGID(user)
		if int(st.Uid) != uid || int(st.Gid) != gid {
			t.Errorf("the file of user %d inside is %d:%d's outside, want %d:%d", user, st.Uid, st.Gid, uid, gid)
		}
	}
}

// TestRoot: root writes any map, without newuidmap.
func TestRoot(t *testing.T) {
	asRoot(t)
	requireUserNamespaces(t)
	t.Setenv("PATH", "")
	mapped(t, Maps{UIDs: lines(0, 200000, 1000, 1000, 300000, 2), GIDs: lines(0, 400000, 65536)}, 0, 1000)
	mapped(t, same(0, 0, 1, 1, 200000, 2000), 0, 1000)
}

// TestSubordinateUser: an ordinary user writes maps of the own ranges, through
// newuidmap and newgidmap.
func TestSubordinateUser(t *testing.T) {
	m := ranged(t)
	requireUserNamespaces(t)
	mapped(t, m, 0, 1000)
	kept := Keep(m, os.Getuid(), os.Getgid())
	mapped(t, kept, 0, os.Getuid())
	if host, ok := kept.HostUID(os.Getuid()); !ok || host != os.Getuid() {
		t.Errorf("the kept user is %d outside", host)
	}
	// Groups alone take a helper.
	mixed := Maps{UIDs: Own(os.Getuid(), 0).UIDs, GIDs: m.GIDs}
	n := unshared(t, nil)
	if err := mixed.Write(n.Pid()); err != nil {
		t.Fatal(err)
	}
	if got, want := n.outside("gid_map"), words(text(m.GIDs)); got != want {
		t.Errorf("the group map is %q, want %q", got, want)
	}
}

// TestWriteErrors: each says what is wrong and what to do.
func TestWriteErrors(t *testing.T) {
	requireUserNamespaces(t)
	expect := func(t *testing.T, err error, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(message(err), part) {
				t.Errorf("the error is %q, without %q", message(err), part)
			}
		}
	}
	t.Run("twice", func(t *testing.T) {
		n := unshared(t, nil)
		if err := Self(n.Pid()); err != nil {
			t.Fatal(err)
		}
		expect(t, Self(n.Pid()), "write \"0 ", "operation not permitted; the namespace has this map already")
	})
	t.Run("ended", func(t *testing.T) {
		n := unshared(t, nil)
		n.finish()
		expect(t, Self(n.Pid()), "/uid_map\": no such file or directory; the process has ended")
	})
	t.Run("bad map", func(t *testing.T) { expect(t, Maps{}.Write(1), "check linux.uidMappings: it is empty") })

	t.Run("no newuidmap", func(t *testing.T) {
		m := ranged(t)
		t.Setenv("PATH", t.TempDir())
		expect(t, m.Write(unshared(t, nil).Pid()), `find "newuidmap" in $PATH: executable file not found in $PATH; install it (package uidmap, or shadow-utils), or use --map-root`)
	})
	t.Run("no newgidmap", func(t *testing.T) {
		m := ranged(t)
		find := func(name string) (string, error) {
			if name == "newgidmap" {
				return nobody(name)
			}
			return findProgram(name)
		}
		_, err := m.start(unshared(t, nil).Pid(), find)
		expect(t, err, `find "newgidmap" in $PATH`, "package uidmap")
	})
	t.Run("not the user's range", func(t *testing.T) {
		m := ranged(t)
		m.UIDs = lines(0, uint32(os.Getuid()), 1, 1, 1, 5)
		expect(t, m.Write(unshared(t, nil).Pid()), "write uid_map of process", "newuidmap: exit status 1, ", "not allowed", "a range is not the caller's: compare it with /etc/subuid")
	})
	t.Run("no setuid bit", func(t *testing.T) {
		m := ranged(t)
		dir := t.TempDir()
		for _, name := range []string{"newuidmap", "newgidmap"} {
			path, err := exec.LookPath(name)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("cp", path, dir).CombinedOutput(); err != nil {
				t.Fatal(err, string(out))
			}
		}
		t.Setenv("PATH", dir)
		err := m.Write(unshared(t, nil).Pid())
		if strings.Contains(message(err), "mounted nosuid") {
			return // so is the test's directory, and that comes first
		}
		expect(t, err, dir+"/newuidmap: exit status 1, ", "neither the setuid bit of root nor a file capability: chown root "+dir+"/newuidmap && chmod u+s")
	})
	t.Run("no_new_privs", func(t *testing.T) {
		m := ranged(t)
		n := unshared(t, nil)
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // the thread ends with the goroutine
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				done <- err
				return
			}
			done <- m.Write(n.Pid())
		}()
		expect(t, <-done, "the caller has no_new_privs")
	})
	t.Run("not the caller's", func(t *testing.T) {
		asUser(t)
		err := writeFiles(unshared(t, nil).Pid(), same(0, 0, 1), [2]bool{true, true}, true)
		expect(t, err, "operation not permitted; the caller must be in the parent user namespace", "map the own id alone")
	})
}

// TestNoDescriptors: writing leaves none behind.
func TestNoDescriptors(t *testing.T) {
	m := ranged(t)
	requireUserNamespaces(t)
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	var before int
	for i := range 4 {
		n := unshared(t, nil)
		if i == 1 {
			before = count()
		}
		write := m
		if i == 3 { // an error
			write = same(0, 1, 2)
		}
		if err := write.Write(n.Pid()); (err != nil) != (i == 3) {
			t.Fatal(err)
		}
		n.finish()
	}
	// Each child's arena and launcher may stay until the test's end.
	if after := count(); after > before+2*2 {
		t.Errorf("%d descriptors, then %d", before, after)
	}
}
