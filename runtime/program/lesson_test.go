package program

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
)

// readlink is an op that reads a link into the buffer.
func readlink(path string, into Arg) Op {
	return Op{Name: "readlink " + path, Call: unix.SYS_READLINKAT, Args: [6]Arg{Int(unix.AT_FDCWD), String(path), into, Int(64)}}
}

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

// TestEachNamespace: each flag of the table makes the namespace that the table
// says, and no other.
func TestEachNamespace(t *testing.T) {
	for _, n := range namespace.All() {
		t.Run(n.Name, func(t *testing.T) {
			require(t, os.Geteuid() == 0 || n.Name == "user", "it takes root")
			requireFile(t, n.Path(os.Getpid()))
			p := New(Fork, n.Flag)
			links := map[string]Arg{}
			for _, other := range namespace.All() {
				links[other.Name] = Buffer(64)
				p.Add(readlink("/proc/self/ns/"+other.Name, links[other.Name]))
			}
			img := cycle(t, p)
			for name, link := range links {
				ours, err := os.Readlink("/proc/self/ns/" + name)
				if err != nil {
					t.Fatal(err)
				}
				if theirs := text(img.Buffer(link)); (theirs != ours) != (name == n.Name) {
					t.Errorf("%s: the child is in %s, the launcher in %s", name, theirs, ours)
				}
			}
		})
	}
}

// TestTimeNamespace: who shares the launcher's memory creates a time namespace
// and enters it at execve; a copy of the memory enters at once.
func TestTimeNamespace(t *testing.T) {
	requireRoot(t)
	requireFile(t, "/proc/self/ns/time")
	ours, err := os.Readlink("/proc/self/ns/time")
	if err != nil {
		t.Fatal(err)
	}
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, unix.CLONE_NEWTIME)
		own, next := Buffer(64), Buffer(64)
		p.Add(readlink("/proc/self/ns/time", own))
		p.Add(readlink("/proc/self/ns/time_for_children", next))
		p.Add(Exit(0))
		img := cycle(t, p)
		in, created := text(img.Buffer(own)), text(img.Buffer(next))
		if created == ours || created == "" {
			t.Errorf("time_for_children is %q, the launcher is in %q", created, ours)
		}
		want := map[Mode]string{VM: ours, Stub: created, Fork: created}[mode]
		if entersAtClone(t) {
			want = created
		}
		if in != want {
			t.Errorf("the child is in %q; the launcher in %q, created was %q", in, ours, created)
		}
	})
}

// entersAtClone says whether the kernel is so old (6.1 is) that every child
// enters its new time namespace at once, whatever memory it has.
func entersAtClone(t *testing.T) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major < 6 || major == 6 && minor < 2
}

// TestTimeOffsets: in mode vm the offsets can be set until execve; the command
// sees them.
func TestTimeOffsets(t *testing.T) {
	requireRoot(t)
	requireFile(t, "/proc/self/timens_offsets")
	w, r := pipe(t, false)
	p := New(VM, unix.CLONE_NEWTIME)
	p.Stdio(0, w, 2)
	file := p.Add(Open("/proc/self/timens_offsets", unix.O_WRONLY))
	p.Add(Write(Result(file), "boottime 1000000000 0\n"))
	p.Exec("/bin/cat", []string{"cat", "/proc/uptime"}, nil)
	if entersAtClone(t) {
		_, err := start(t, p).Wait()
		if !errors.Is(err, unix.EACCES) {
			t.Errorf("offsets of a namespace that has a process: %v", err)
		}
		return
	}
	mustExit(t, start(t, p), 0)
	unix.Close(w)
	uptime, _, _ := strings.Cut(all(t, r), ".")
	if n, err := strconv.Atoi(uptime); err != nil || n < 1e9 {
		t.Errorf("the command's uptime is %q, %v", uptime, err)
	}
}

// TestJoinTimeNamespace: setns to a time namespace takes a memory of one's own.
func TestJoinTimeNamespace(t *testing.T) {
	requireRoot(t)
	requireFile(t, "/proc/self/ns/time")
	ns, err := os.Open("/proc/self/ns/time")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Keep(int(ns.Fd()))
		p.Add(Setns(Int(int(ns.Fd())), unix.CLONE_NEWTIME))
		_, err := load(t, p).Cycle()
		if mode == VM && !errors.Is(err, unix.EUSERS) || mode != VM && err != nil {
			t.Errorf("setns gave %v", err)
		}
	})
}

// TestUserNamespace: one that was cloned has no capabilities in mode stub,
// since its execve takes them from a user without a map: a stub unshares it,
// which every mode can.
func TestUserNamespace(t *testing.T) {
	hostname := Sethostname("isoperf-test")
	eachMode(t, func(t *testing.T, mode Mode) {
		cloned := New(mode, unix.CLONE_NEWUSER|unix.CLONE_NEWUTS)
		cloned.Add(hostname)
		_, err := load(t, cloned).Cycle()
		if mode == Stub && !errors.Is(err, unix.EPERM) || mode != Stub && err != nil {
			t.Errorf("sethostname in a cloned user namespace: %v", err)
		}
		unshared := New(mode, 0)
		unshared.Add(Unshare(unix.CLONE_NEWUSER | unix.CLONE_NEWUTS))
		unshared.Add(hostname)
		_, err = load(t, unshared).Cycle()
		if err != nil {
			t.Errorf("sethostname in an unshared user namespace: %v", err)
		}
	})
}

// TestBornInCgroup: CLONE_INTO_CGROUP.
func TestBornInCgroup(t *testing.T) {
	requireRoot(t)
	root := "/sys/fs/cgroup/unified"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.procs"); err == nil {
		root = "/sys/fs/cgroup"
	}
	requireFile(t, root+"/cgroup.procs")
	name := fmt.Sprintf("isoperf-test-%d", os.Getpid())
	dir := filepath.Join(root, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if !eventually(func() bool { return os.Remove(dir) == nil }) {
			t.Errorf("cannot remove %s", dir)
		}
	}()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Cgroup = fd
		told := p.Tell("here")
		p.Wait("never")
		proc := start(t, p)
		if err := proc.Await(told); err != nil {
			t.Fatal(err)
		}
		if got := cgroupOf(t, proc.Pid(), ""); got != "/"+name {
			t.Errorf("the child was born in %q", got)
		}
		// A descriptor that is no cgroup.
		p.Cgroup = 1
		if _, err := Start(p); !errors.Is(err, unix.EBADF) || !strings.Contains(err.Error(), "cgroup v2 directory") {
			t.Errorf("into what is no cgroup: %v", err)
		}
	})
}

// cgroupOf is a process's cgroup in the hierarchy of a controller; "" is v2.
func cgroupOf(t *testing.T, pid int, controller string) string {
	t.Helper()
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(list), "\n") {
		if field := strings.SplitN(line, ":", 3); len(field) == 3 && field[1] == controller {
			return field[2]
		}
	}
	t.Fatalf("process %d is in no cgroup of %q", pid, controller)
	return ""
}

// TestBornInHierarchies: a launcher's thread that goes into v1 cgroups has its
// children born there; the process is not moved.
func TestBornInHierarchies(t *testing.T) {
	if unified() {
		return // there is only the one of TestBornInCgroup
	}
	controllers := []string{"cpu", "memory", "pids"}
	var dirs, homes []string
	for _, c := range controllers {
		dirs = append(dirs, ownCgroup(t, c))
		homes = append(homes, filepath.Join("/sys/fs/cgroup", c, cgroupOf(t, os.Getpid(), c)))
	}
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		told := p.Tell("here")
		p.Wait("never")
		l := NewLauncher()
		defer l.Close()
		var proc *Process
		l.Do(func() {
			tid := itoa(unix.Gettid())
			for _, dir := range dirs {
				put(t, dir, "tasks", tid)
			}
			proc = start(t, p)
			for _, home := range homes {
				put(t, home, "tasks", tid)
			}
		})
		if err := proc.Await(told); err != nil {
			t.Fatal(err)
		}
		for i, c := range controllers {
			if got := cgroupOf(t, proc.Pid(), c); filepath.Base(got) != filepath.Base(dirs[i]) {
				t.Errorf("the child was born in %q of %s", got, c)
			}
			if got := cgroupOf(t, os.Getpid(), c); filepath.Base(got) == filepath.Base(dirs[i]) {
				t.Errorf("the launcher stayed in %q of %s", got, c)
			}
		}
		_ = proc.Signal(syscall.SIGKILL)
		if _, err := proc.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestCgroupNamespaceLast: a cgroup namespace that is unshared before the
// attach shows where the container is on the host.
func TestCgroupNamespaceLast(t *testing.T) {
	dir, top := ownCgroup(t, "pids"), ":pids:/\n"
	if unified() {
		top = "0::/\n"
	}
	for _, last := range []bool{true, false} {
		eachMode(t, func(t *testing.T, mode Mode) {
			p := New(mode, 0)
			if !last {
				p.Add(Unshare(unix.CLONE_NEWCGROUP))
			}
			told := p.Tell("to be attached")
			gate := p.Wait("attached")
			if last {
				p.Add(Unshare(unix.CLONE_NEWCGROUP))
			}
			list := Buffer(4096)
			file := p.Add(Open("/proc/self/cgroup", unix.O_RDONLY))
			p.Add(Op{Name: "read", Call: unix.SYS_READ, Args: [6]Arg{Result(file), list, Int(4096)}})
			p.Add(Exit(0))
			proc := start(t, p)
			if err := proc.Await(told); err != nil {
				t.Fatal(err)
			}
			put(t, dir, "cgroup.procs", itoa(proc.Pid()))
			proc.Open(gate)
			mustExit(t, proc, 0)
			seen := text(proc.Buffer(list))
			if hidden := strings.Contains(seen, top); hidden != last {
				t.Errorf("unshared after the attach: %v; the container sees\n%s", last, seen)
			}
		})
	}
}
