package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"isoperf/runtime/namespace"
)

// The tests of parts 1 to 4 of the lecture notes on containers; see
// runtime/container/notes.go for which line of them each one proves.

// `unshare --fork --user --pid --map-root-user --mount-proc /bin/bash`, looked
// at from inside and from outside.
func TestNotesUnshare(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		needs(t, "bash", "ps")
		b := s.shell(t, "run", "--namespaces", "user,pid,mnt", "--map-root", "-P", "/bin/bash")
		b.want("root", "id -un")
		if inside := strings.Fields(b.ask("ps -eo user=,pid=,comm=")); len(inside) != 6 || !slices.Equal(inside[:3], []string{"root", "1", "bash"}) || inside[5] != "ps" {
			t.Errorf("ps inside prints %q, want root's bash as process 1 and ps", inside)
		}
		outside := strings.Fields(output(t, "ps", "-o", "user:20=,pid=,ppid=,comm=", "-p", strconv.Itoa(b.pid)))
		if want := []string{s.user, strconv.Itoa(b.pid), strconv.Itoa(b.cmd.Process.Pid), "bash"}; !slices.Equal(outside, want) {
			t.Errorf("ps outside prints %q, want %q: the caller's, another number, a child of isoperf", outside, want)
		}
		for _, n := range namespace.All() {
			own, _ := os.Readlink("/proc/self/ns/" + n.Name)
			inside := b.ask("readlink /proc/self/ns/" + n.Name)
			if made := slices.Contains([]string{"user", "pid", "mnt"}, n.Name); (inside != own) != made || inside == "" {
				t.Errorf("the %s namespace inside is %q, outside %q", n.Name, inside, own)
			}
		}
	})
}

// Part 1: a child by clone that is held back until it may run, waited for, its
// status passed on.
func TestNotesClone(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		plan := s.want(t, 0, "clone3({CLONE_VM|", "run", "--namespaces", "all", "--plan", "/bin/bash")
		clone, held, exec := strings.Index(plan, "clone3("), strings.Index(plan, "ids mapped"), strings.LastIndex(plan, "execve(")
		if clone < 0 || held < clone || exec < held {
			t.Errorf("the order is not clone, hand-shake, execve:\n%s", plan)
		}
		s.want(t, 0, "created\n", "run", "bash", "-c", "echo created")
		b := s.shell(t, "run", "/bin/bash")
		if parent := statusLine(b.pid, "PPid"); parent != strconv.Itoa(b.cmd.Process.Pid) {
			t.Errorf("bash's parent is %s, not isoperf", parent)
		}
		if code := b.end("exit 7"); code != 7 {
			t.Errorf("exit status %d, want bash's 7", code)
		}
		if state := statusLine(b.pid, "State"); state != "" {
			t.Errorf("bash was not waited for: it is %s", state)
		}
		s.want(t, 128+9, "", "run", "--init", "bash", "-c", "kill -9 $$")
	})
}

// Part 1: what isoperf is sent, the command gets.
func TestNotesSignals(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		b := s.shell(t, "run", "/bin/bash")
		got := s.dir + "/got-" + s.user
		signals := map[string]syscall.Signal{
			"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
			"ALRM": syscall.SIGALRM, "CONT": syscall.SIGCONT, "TSTP": syscall.SIGTSTP, "WINCH": syscall.SIGWINCH, "RTMIN+3": syscall.Signal(37),
		}
		for name := range signals {
			b.ask(fmt.Sprintf("trap 'echo %s >> %s' %s", name, got, name))
		}
		for name, sig := range signals {
			b.signal(sig)
			if !eventually(func() bool {
				b.ask("true") // a trap runs between two commands
				text, _ := os.ReadFile(got)
				return strings.Contains(string(text), name+"\n")
			}) {
				t.Errorf("bash did not get %s", name)
			}
		}
		b.ask("trap - TERM")
		b.signal(syscall.SIGTERM) // process 1 would ignore it; after SIGINT it kills
		if code := b.wait(); code != 128+int(syscall.SIGKILL) {
			t.Errorf("exit status %d after the second of SIGINT and SIGTERM", code)
		}
	})
}

// Part 2: namespaces of its own, root inside, ps from both sides.
func TestNotesNamespaces(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		b := s.shell(t, "run", "--namespaces", "all", "-P", "--hostname", "zoo", "/bin/bash")
		b.want("root@zoo", "echo $(id -un)@$(uname -n)")
		for _, n := range namespace.All() {
			own, _ := os.Readlink("/proc/self/ns/" + n.Name)
			if inside := b.ask("readlink /proc/self/ns/" + n.Name); inside == own || !strings.HasPrefix(inside, n.Name) {
				t.Errorf("the %s namespace inside is %q, outside %q", n.Name, inside, own)
			}
		}
		if inside := b.ask("ps -eo pid=,comm="); strings.Contains(inside, "isoperf") || len(strings.Fields(inside)) != 4 {
			t.Errorf("ps inside prints %q", inside)
		}
		b.ask("sleep 1000 & p=$!")
		inside := b.ask("echo $p")
		outside := b.outside(inside)
		text := ""
		if !eventually(func() bool { // it is the shell until it has executed the program
			text = output(t, "ps", "-o", "user:20=,comm=", "-p", strconv.Itoa(outside))
			return strings.HasPrefix(text, s.user+" ") && strings.HasSuffix(text, " sleep")
		}) {
			t.Errorf("ps outside prints %q", text)
		}
		if inside == strconv.Itoa(outside) {
			t.Errorf("the process has number %s on both sides", inside)
		}
		b.ask("kill -9 $p")
	})
}

// Part 2.2: ranges of ids through newuidmap and newgidmap; a user who is created
// inside is a user outside.
func TestNotesUserCreatedInside(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		s.zoo(t)
		b := s.shell(t, "run", "--namespaces", "all", "-r", "./zoo-fs", "/bin/bash")
		for file, sub := range map[string]string{"uid_map": "/etc/subuid", "gid_map": "/etc/subgid"} {
			first, size := ranged(t, sub, s.user)
			want := fmt.Sprintf("0 %d 1 1 %d %d", os.Getuid(), first, size)
			outside, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", b.pid, file))
			if got := strings.Join(strings.Fields(string(outside)), " "); err != nil || got != want {
				t.Errorf("%s is %q outside, %v; want %q of %s", file, got, err, want, sub)
			}
			if got := strings.Join(strings.Fields(b.ask("cat /proc/self/"+file)), " "); got != want {
				t.Errorf("%s is %q inside, want %q", file, got, want)
			}
		}
		b.ask("useradd -m -u 1000 zoe")
		b.want("uid=1000(zoe)", "id zoe | { read a b; echo $a; }")
		b.ask("chroot --userspec=zoe / sleep 1000 & p=$!")
		first, _ := ranged(t, "/etc/subuid", s.user)
		want := strconv.Itoa(first + 999)
		pid := b.outside(b.ask("echo $p"))
		if !eventually(func() bool { return strings.HasPrefix(statusLine(pid, "Uid"), want+"\t") }) {
			t.Errorf("outside zoe's process is uid %q, want %s", statusLine(pid, "Uid"), want)
		}
		b.want("zoe", "stat -c %U /home/zoe")
		info, err := os.Stat("zoo-fs/home/zoe")
		if err != nil || strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)) != want {
			t.Errorf("outside zoe's home belongs to %+v, %v; want %s", info, err, want)
		}
		b.ask("kill -9 $p; rm -r /home/zoe")
	})
}

// ranged is the range of ids of a user.
func ranged(t *testing.T, file, user string) (first, size int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 3 && f[0] == user {
			first, err1 := strconv.Atoi(f[1])
			size, err2 := strconv.Atoi(f[2])
			if err1 != nil || err2 != nil {
				t.Fatalf("%s: %q", file, line)
			}
			return first, size
		}
	}
	skip(t, fmt.Sprintf("%s has no range in %s", user, file))
	return 0, 0
}

// Part 3: the usual fourteen capabilities are left to root inside, or fewer.
func TestNotesCapabilities(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		const fourteen = "00000000a80425fb"
		b := s.shell(t, "run", "/bin/bash")
		for _, set := range []string{"CapEff", "CapPrm", "CapBnd"} {
			if outside := statusLine(b.pid, set); outside != fourteen {
				t.Errorf("%s is %s outside", set, outside)
			}
			b.want(set+":\t"+fourteen, "grep "+set+" /proc/self/status")
		}
		b.want("uid=0(root) gid=0(root) groups=0(root)", "id")
		if out := b.ask("mount -t tmpfs x /mnt; echo $?"); strings.HasSuffix(out, "\n0") || out == "0" {
			t.Errorf("mount works: %q", out)
		}
		file := filepath.Join(s.dir, "owned-"+s.user)
		b.want("0", "touch "+file+" && chown 0:0 "+file+"; echo $?")
		drop := s.shell(t, "run", "--cap-drop", "ALL", "/bin/bash")
		if left := statusLine(drop.pid, "CapBnd") + statusLine(drop.pid, "CapEff"); strings.Trim(left, "0") != "" {
			t.Errorf("%s are left of all capabilities", left)
		}
	})
}

// Part 3: without a root of its own, `cd` shows the whole file system.
func TestNotesWholeTree(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		b := s.shell(t, "run", "/bin/bash")
		b.want(s.dir, "pwd")
		b.want(os.Getenv("HOME"), "cd; pwd")
		for _, dir := range []string{"/", "/etc", "/usr/bin"} {
			b.want(output(t, "ls", dir), "ls "+dir)
		}
	})
}

// Part 3: SECCOMP_SET_MODE_STRICT leaves read and write; no command can start.
func TestNotesStrict(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		if out, code := s.input(t, "hello\n", patience, "run", "--seccomp", "strict"); out != "hello\n" || code != 0 {
			t.Errorf("it prints %q, exit status %d", out, code)
		}
		s.want(t, exitOwn, "strict: it forbids execve", "run", "--seccomp", "strict", "/bin/bash")
	})
}

// Part 3: a filter takes calls away that a program does not need.
func TestNotesFilter(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		needs(t, "unshare")
		b := s.shell(t, "run", "/bin/bash")
		if mode := statusLine(b.pid, "Seccomp"); mode != "2" {
			t.Errorf("Seccomp is %s outside, want 2: a filter", mode)
		}
		s.want(t, 1, "Operation not permitted", "run", "unshare", "--user", "true")
		s.want(t, 0, "", "run", "--seccomp", "unconfined", "unshare", "--user", "true")
		filter := filepath.Join(s.dir, "no-mkdir.json")
		text := `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":13}]}`
		if err := os.WriteFile(filter, []byte(text), 0o600); err != nil && !os.IsPermission(err) {
			t.Fatal(err)
		}
		s.want(t, 1, "Permission denied", "run", "--seccomp", filter, "mkdir", s.dir+"/new")
		s.want(t, 0, "", "run", "mkdir", s.dir+"/new-"+s.user)
	})
}

// Part 4: `-r ./zoo-fs`: an isolated shell in a root of its own.
func TestNotesRootfs(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		s.zoo(t)
		b := s.shell(t, "run", "-r", "./zoo-fs", "/bin/bash")
		tmp := "0 0 1777"
		if os.Geteuid() != 0 {
			tmp = "0 0 777" // so an ordinary user's tar unpacks it
		}
		b.isolated(s, tmp)
		b.ask("touch /made-inside")
		if _, err := os.Stat("zoo-fs/made-inside"); err != nil {
			t.Error(err)
		}
		s.want(t, exitNotFound, "cowchat", "run", "-r", "./zoo-fs", "cowchat")
	})
}

// Part 4: the tar itself as the root: the modes are those it asks for, whatever
// the umask; what is written is thrown away.
func TestNotesTar(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		s.zoo(t)
		syscall.Umask(0o077)
		defer syscall.Umask(0o022)
		for range 2 {
			b := s.shell(t, "run", "-r", "./zoo-fs.tar", "/bin/bash")
			b.isolated(s, "0 0 1777")
			b.want("no", "test -e /made-inside && echo yes || echo no; touch /made-inside")
		}
		s.want(t, exitNotFound, "cowchat", "run", "-r", "./zoo-fs.tar", "cowchat")
	})
}

// isolated checks that the shell is in the zoo, and in nothing else. tmp is the
// owner and the mode of /tmp.
func (b *shell) isolated(s *stage, tmp string) {
	b.t.Helper()
	b.want(output(b.t, "ls", "zoo-src"), "ls / | { while read d; do test $d = made-inside || echo $d; done; }")
	b.want(tmp, "stat -c '%u %g %a' /tmp")
	b.want("0 0 666", "stat -c '%u %g %a' /etc/motd")
	b.want("127", "cowchat 2> /dev/null; echo $?")
	b.want("no", "test -e "+s.dir+" && echo yes || echo no")
	b.want("1 bash", "ps -o pid=,comm= -p 1 | { read p c; echo $p $c; }")
	b.want("bin", "cd /../../..; ls | { read d; echo $d; }")
	for line := range strings.Lines(b.ask("cat /proc/self/mountinfo")) {
		if at := strings.Fields(line)[4]; at != "/" && !regexp.MustCompile(`^/(proc|dev|sys|etc/hosts|etc/resolv\.conf)(/|$)`).MatchString(at) {
			b.t.Errorf("there is a mount at %s", at)
		}
	}
	for _, dir := range []string{"zoo-fs/proc", "zoo-fs/dev"} { // the mounts are inside only
		if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
			b.t.Errorf("%s is not empty outside", dir)
		}
	}
}

// Every test that the table of the notes names exists, and every test of the
// notes is in the table.
func TestNotesTable(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../runtime/container/notes.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, name := range regexp.MustCompile(`\b(?:[a-z/]+\.)?Test[A-Z]\w*`).FindAllString(file.Doc.Text(), -1) {
		named[name] = true
	}
	for name := range named {
		dir, test, found := strings.Cut(name, ".")
		if !found {
			dir, test = "../../cmd/isoperf", name
		} else {
			dir = "../../runtime/" + dir
		}
		if !slices.Contains(testsIn(t, dir), test) {
			t.Errorf("%s is in the table, and not in the tree", name)
		}
	}
	for _, test := range testsIn(t, ".") {
		if strings.HasPrefix(test, "TestNotes") && !named[test] && test != "TestNotesTable" {
			t.Errorf("%s is in no line of the table", test)
		}
	}
	if len(named) < 20 {
		t.Errorf("the table names %d tests only: is it still read?", len(named))
	}
}

// testsIn are the tests of a package.
func testsIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}
