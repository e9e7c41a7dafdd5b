package explain

import (
	"errors"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
	"isoperf/runtime/program"
)

var update = flag.Bool("update", false, "write the golden files")

func op(name string, call program.Call, text string) program.Op {
	return program.Op{Name: name, Call: call, Text: text}
}

// container is a program like that of a real container.
func container() *program.Program {
	p := program.New(program.Stub, namespace.Flags("user", "time"))
	p.Stdio(5, 6, 6)
	p.Keep(9)
	p.DieWithParent()
	p.Add(program.Unshare(unix.CLONE_NEWUSER | unix.CLONE_NEWTIME))
	p.Tell("in the user namespace")
	p.Wait("for the id maps")
	p.Add(program.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	p.Add(program.Mount("/srv/rootfs", "/srv/rootfs", "", unix.MS_BIND|unix.MS_REC, ""))
	p.Add(program.Mount("proc", "/srv/rootfs/proc", "proc", unix.MS_NOSUID, ""))
	p.Add(program.Mount("tmpfs", "/srv/rootfs/dev", "tmpfs", unix.MS_NOSUID, "mode=755"))
	mkdir := program.Mkdir("/srv/rootfs/dev/a  name\nwith a line", 0o755)
	mkdir.Accept = append(mkdir.Accept, unix.EEXIST)
	p.Add(mkdir)
	p.Add(op("open target", unix.SYS_OPENAT2, `openat2(4, "dev", {O_PATH|O_CLOEXEC, RESOLVE_IN_ROOT})`))
	p.Add(program.Sethostname("box"))
	p.Add(program.Chdir("/srv/rootfs"))
	p.Add(program.PivotRoot(".", "."))
	p.Add(program.Umount(".", unix.MNT_DETACH))
	p.Add(op("lo up", unix.SYS_IOCTL, `ioctl(result of op 3, SIOCSIFFLAGS, {"lo", IFF_UP})`))
	p.Add(op("drop CAP_SYS_ADMIN", unix.SYS_PRCTL, "prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN)"))
	p.Add(op("setgroups", unix.SYS_SETGROUPS, "setgroups(0, NULL)"))
	p.Add(op("setresuid", unix.SYS_SETRESUID, "setresuid(1000, 1000, 1000)"))
	p.Rearm()
	p.Add(op("no new privileges", unix.SYS_PRCTL, "prctl(PR_SET_NO_NEW_PRIVS, 1)"))
	p.Add(op("seccomp", unix.SYS_SECCOMP, "seccomp(SECCOMP_SET_MODE_FILTER, 0, {536 instructions})"))
	p.Exec("/bin/sh", []string{"sh"}, []string{"PATH=/bin"})
	return p
}

// TestProgram compares with testdata/container.txt; -update writes it. What
// the test process itself was given (RLIMIT_NOFILE) is left out.
func TestProgram(t *testing.T) {
	var b strings.Builder
	if err := Program(&b, container()); err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, block := range strings.Split(b.String(), "\n\n") {
		if !strings.Contains(block, "restore nofile") {
			blocks = append(blocks, block)
		}
	}
	// Numbers after it would differ.
	got := regexp.MustCompile(`(?m)^ +[0-9]+  `).ReplaceAllString(strings.Join(blocks, "\n\n"), "   N  ")
	const golden = "testdata/container.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the program is explained as\n%s\nwant\n%s", got, want)
	}
}

// TestNumbers: own ops count from 1; those of the mode have no number.
func TestNumbers(t *testing.T) {
	p := container()
	lines, err := printed(p)
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for _, l := range lines {
		if l.number == "-" {
			continue
		}
		if o := p.Ops()[next]; l.text != o.String() || l.name != o.Name || l.call != o.Call {
			t.Errorf("line %s is %q, the op %q", l.number, l.text, o)
		}
		next++
	}
	if next != len(p.Ops()) || len(lines) < next+6 {
		t.Errorf("%d ops and %d lines; the program has %d ops, and the mode some", next, len(lines), len(p.Ops()))
	}
}

// calls are the system calls that a container's start may use.
func calls() map[string]program.Call {
	return map[string]program.Call{
		"clone3": unix.SYS_CLONE3, "openat": unix.SYS_OPENAT, "openat2": unix.SYS_OPENAT2, "mkdirat": unix.SYS_MKDIRAT,
		"mknodat": unix.SYS_MKNODAT, "symlinkat": unix.SYS_SYMLINKAT, "fchmodat": unix.SYS_FCHMODAT, "fchownat": unix.SYS_FCHOWNAT,
		"mount": unix.SYS_MOUNT, "umount2": unix.SYS_UMOUNT2, "open_tree": unix.SYS_OPEN_TREE, "move_mount": unix.SYS_MOVE_MOUNT,
		"fsopen": unix.SYS_FSOPEN, "fsconfig": unix.SYS_FSCONFIG, "fsmount": unix.SYS_FSMOUNT, "mount_setattr": unix.SYS_MOUNT_SETATTR,
		"pivot_root": unix.SYS_PIVOT_ROOT, "chroot": unix.SYS_CHROOT, "chdir": unix.SYS_CHDIR, "fchdir": unix.SYS_FCHDIR,
		"setsid": unix.SYS_SETSID, "dup3": unix.SYS_DUP3, "fcntl": unix.SYS_FCNTL, "prctl": unix.SYS_PRCTL, "capset": unix.SYS_CAPSET,
		"setresuid": unix.SYS_SETRESUID, "setresgid": unix.SYS_SETRESGID, "setgroups": unix.SYS_SETGROUPS, "umask": unix.SYS_UMASK,
		"prlimit64": unix.SYS_PRLIMIT64, "personality": unix.SYS_PERSONALITY, "sched_setaffinity": unix.SYS_SCHED_SETAFFINITY,
		"sched_setattr": unix.SYS_SCHED_SETATTR, "ioprio_set": unix.SYS_IOPRIO_SET, "sethostname": unix.SYS_SETHOSTNAME,
		"setdomainname": unix.SYS_SETDOMAINNAME, "socket": unix.SYS_SOCKET, "ioctl": unix.SYS_IOCTL, "bind": unix.SYS_BIND,
		"connect": unix.SYS_CONNECT, "sendmsg": unix.SYS_SENDMSG, "write": unix.SYS_WRITE, "read": unix.SYS_READ, "close": unix.SYS_CLOSE,
		"close_range": unix.SYS_CLOSE_RANGE, "keyctl": unix.SYS_KEYCTL, "seccomp": unix.SYS_SECCOMP, "execve": unix.SYS_EXECVE,
		"execveat": unix.SYS_EXECVEAT, "exit": unix.SYS_EXIT, "exit_group": unix.SYS_EXIT_GROUP, "gettid": unix.SYS_GETTID,
		"set_robust_list": unix.SYS_SET_ROBUST_LIST, "rt_sigprocmask": unix.SYS_RT_SIGPROCMASK, "rt_sigaction": unix.SYS_RT_SIGACTION,
		"ppoll": unix.SYS_PPOLL, "waitid": unix.SYS_WAITID, "futex": unix.SYS_FUTEX, "unshare": unix.SYS_UNSHARE, "setns": unix.SYS_SETNS,
		"getppid": unix.SYS_GETPPID, "nanosleep": unix.SYS_NANOSLEEP,
	}
}

// TestNothingIsMissing: each call of a container's start has a sentence, with
// any text, and so have all that each mode and control adds.
func TestNothingIsMissing(t *testing.T) {
	for name, call := range calls() {
		if name == "clone3" { // not an op; see Again below
			continue
		}
		e, ok := find(line{text: "any text", call: call, own: true})
		if !ok || e.name != name {
			t.Errorf("%s has %q, %v", name, e.name, ok)
		}
	}
	for _, mode := range []program.Mode{program.VM, program.Stub, program.Fork} {
		p := program.New(mode, namespace.Flags())
		p.Stdio(2, 0, 1)
		p.Inherit(7)
		p.Keep(8)
		p.DieWithParent()
		p.Add(program.Setns(program.Int(8), unix.CLONE_NEWPID))
		p.Again(unix.CLONE_NEWPID)
		p.Tell("x")
		p.Wait("y")
		p.Exec("/bin/true", nil, nil)
		if missing := Missing(p); missing != nil {
			t.Errorf("mode %v: no sentence for %q", mode, missing)
		}
	}
}

// TestMissing: a call that the table lacks is named, and an error.
func TestMissing(t *testing.T) {
	p := program.New(program.VM, 0)
	p.Add(op("odd", 9999, "odd_call(1)"))
	p.Add(program.Exit(0))
	if missing := Missing(p); len(missing) != 1 || missing[0] != "odd_call(1)" {
		t.Errorf("missing are %q", missing)
	}
	var b strings.Builder
	if err := Program(&b, p); err == nil || !strings.Contains(err.Error(), "odd_call(1)") || !strings.Contains(b.String(), "exit_group(0)") {
		t.Errorf("the error is %v, after\n%s", err, b.String())
	}
}

// TestVariations: what an argument changes is said.
func TestVariations(t *testing.T) {
	for _, c := range []struct{ call, text, want string }{
		{"mount", `mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL)`, "private"},
		{"mount", `mount("a", "b", NULL, MS_REMOUNT|MS_BIND|MS_RDONLY, NULL)`, "read-only"},
		{"mount", `mount("/x", "proc", NULL, MS_BIND, NULL)`, "second place"},
		{"mount", `mount("proc", "proc", "proc", 0, NULL)`, "/proc"},
		{"mount", `mount("devpts", "pts", "devpts", 0, NULL)`, "pseudo terminals"},
		{"mount", `mount("x", "y", "ext4", 0, NULL)`, "Attaches"},
		{"prctl", "prctl(PR_SET_PDEATHSIG, SIGKILL)", "kill"},
		{"prctl", "prctl(PR_SET_PDEATHSIG, 0)", "live on"},
		{"prctl", "prctl(PR_SET_KEEPCAPS, 1)", "Keeps"},
		{"prctl", "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0)", "ambient"},
		{"unshare", "unshare(CLONE_NEWUSER)", "ordinary user"},
		{"unshare", "unshare(CLONE_NEWUSER|CLONE_NEWNET)", "named kinds"},
		{"unshare", "unshare(CLONE_NEWCGROUP)", "root"},
		{"openat2", `openat2(4, "x", {O_PATH, RESOLVE_IN_ROOT})`, "lead out"},
		{"fcntl", "fcntl(9, F_SETFD, FD_CLOEXEC)", "must not get"},
		{"fcntl", "fcntl(9, F_SETFD, 0)", "pass"},
		{"fcntl", "fcntl(9, F_DUPFD_CLOEXEC, 3)", "Saves"},
		{"close", "close(-1)", "jump"},
		{"close", "close(result of op 13)", "done its work"},
		{"close_range", "close_range(3, 4294967295, 0)", "Closes"},
		{"close_range", "close_range(3, 4294967295, CLOSE_RANGE_CLOEXEC)", "Marks"},
		{"ioctl", "ioctl(0, TIOCSCTTY, 0)", "controlling"},
		{"ioctl", `ioctl(3, SIOCSIFFLAGS, {"lo", IFF_UP})`, "127.0.0.1"},
		{"execveat", "execveat(7, \"\", [\"sh\"], [1 variables], AT_EMPTY_PATH)", "descriptor"},
		{"fsopen", `fsopen("proc", FSOPEN_CLOEXEC)`, "/proc"},
		{"fsconfig", "fsconfig(3, FSCONFIG_CMD_CREATE, NULL, NULL, 0)", "Makes"},
		{"mount_setattr", "mount_setattr(3, \"\", AT_EMPTY_PATH, {attr_set: MOUNT_ATTR_IDMAP})", "owners"},
		{"keyctl", "keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)", "keyring"},
		{"seccomp", "seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL)", "Allows only"},
	} {
		e, ok := find(line{text: c.text, call: calls()[c.call], own: true})
		if !ok || !strings.Contains(e.text, c.want) || e.name != c.call {
			t.Errorf("%s: %q lacks %q", c.text, e.text, c.want)
		}
	}
}

// TestTable: every entry can be found, and is written as the others are.
func TestTable(t *testing.T) {
	man := regexp.MustCompile(`^[a-zA-Z_0-9]+\([0-9][a-z]*\)$`)
	names := map[program.Call]string{}
	for _, part := range [][]entry{processCalls(), mountCalls(), fileCalls(), deviceCalls(), privilegeCalls()} {
		for i, e := range part {
			if !man.MatchString(e.man) {
				t.Errorf("%s: %q is no man page", e.name, e.man)
			}
			if !strings.HasSuffix(e.text, ".") || len(e.text) > 260 || utf8.RuneCountInString(e.text) != len(e.text) {
				t.Errorf("%s: the sentence does not end, is long, or is not ASCII: %q", e.name, e.text)
			}
			if n := names[e.call]; n != "" && n != e.name {
				t.Errorf("call %d is %s and %s", e.call, n, e.name)
			}
			names[e.call] = e.name
			for _, earlier := range part[:i] {
				if earlier.call == e.call && earlier.has == "" {
					t.Errorf("%s with %q is hidden by one without words", e.name, e.has)
				}
			}
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestWriteError(t *testing.T) {
	if err := Program(broken{}, container()); err == nil || err.Error() != "broken" {
		t.Errorf("the error is %v", err)
	}
}
