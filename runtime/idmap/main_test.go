package idmap

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// require skips the test unless cond holds; where everything must run, that is
// a failure.
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

// secondEnv is set in the run that root's TestOrdinaryUser starts.
const secondEnv = "ISOPERF_TEST_SECOND_RUN"

// asRoot leaves a test to root.
func asRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv(secondEnv) != "" {
		t.Skip("root has run it")
	}
	require(t, os.Geteuid() == 0, "it takes root")
}

// asUser leaves a test to an ordinary user. Root loses nothing by it, since
// TestOrdinaryUser runs it as one, or fails.
func asUser(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("it takes an ordinary user: TestOrdinaryUser runs it as one")
	}
}

func requireUserNamespaces(t testing.TB) {
	t.Helper()
	p := program.New(program.Stub, 0)
	p.Add(program.Unshare(unix.CLONE_NEWUSER))
	proc, err := program.Start(p)
	if err == nil {
		_, err = proc.Wait()
		proc.Release()
	}
	require(t, err == nil, "there are no user namespaces for this user")
}

// namespace is a child that waits in a new user namespace.
type namespace struct {
	*program.Process
	gate program.Gate
	t    testing.TB
}

// unshared starts a child that goes on with ops when it is opened.
func unshared(t testing.TB, ops func(*program.Program)) namespace {
	t.Helper()
	p := program.New(program.Stub, 0)
	p.DieWithParent()
	p.Add(program.Unshare(unix.CLONE_NEWUSER))
	p.Rearm()
	here := p.Tell("unshared")
	gate := p.Wait("maps")
	if ops != nil {
		ops(p)
	}
	launcher := program.NewLauncher()
	t.Cleanup(launcher.Close)
	proc, err := launcher.Start(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proc.Signal(syscall.SIGKILL) // it may have ended
		_, _ = proc.Wait()
		proc.Release()
	})
	if err := proc.Await(here); err != nil {
		t.Fatal(err)
	}
	return namespace{proc, gate, t}
}

// finish lets the child go on to its end.
func (n namespace) finish() {
	n.t.Helper()
	n.Open(n.gate)
	if status, err := n.Wait(); err != nil || !status.Success() {
		n.t.Fatalf("the child ended with %v, %v", status, err)
	}
}

// outside is a file of the child's directory in /proc, its words with one space
// between.
func (n namespace) outside(name string) string {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", n.Pid(), name))
	if err != nil {
		n.t.Fatal(err)
	}
	return words(b)
}

func words(b []byte) string {
	return strings.Join(strings.Fields(strings.TrimRight(string(b), "\x00")), " ")
}

// read has the child read a file into a buffer.
func read(p *program.Program, path string) program.Arg {
	text := program.Buffer(4096)
	fd := p.Add(program.Open(path, unix.O_RDONLY))
	p.Add(program.Op{Name: "read", Call: unix.SYS_READ, Args: [6]program.Arg{program.Result(fd), text, program.Int(4095)}})
	return text
}

// become has the child take a user and group inside.
func become(p *program.Program, uid, gid int) {
	ids := func(n int) [6]program.Arg { return [6]program.Arg{program.Int(n), program.Int(n), program.Int(n)} }
	p.Add(program.Op{Name: "setresgid", Call: unix.SYS_SETRESGID, Args: ids(gid)})
	p.Add(program.Op{Name: "setresuid", Call: unix.SYS_SETRESUID, Args: ids(uid)})
}

// shared is a directory that every user may write.
func shared(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "idmap")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lines are a map: each three numbers are inside, outside, size.
func lines(n ...uint32) []specs.LinuxIDMapping {
	var list []specs.LinuxIDMapping
	for ; len(n) > 0; n = n[3:] {
		list = append(list, specs.LinuxIDMapping{ContainerID: n[0], HostID: n[1], Size: n[2]})
	}
	return list
}

// same is one map for users and for groups.
func same(n ...uint32) Maps { return Maps{UIDs: lines(n...), GIDs: lines(n...)} }

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// file writes a file of the test.
func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// nobody finds no program.
func nobody(name string) (string, error) {
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// ranged is the maps of the user who runs the test, who must have ranges and
// not be root.
func ranged(t testing.TB) Maps {
	t.Helper()
	asUser(t)
	for _, name := range []string{"newuidmap", "newgidmap"} {
		_, err := exec.LookPath(name)
		require(t, err == nil, "there is no "+name)
	}
	m, err := Subordinate(currentName(), os.Getuid(), os.Getgid())
	require(t, err == nil, message(err))
	return m
}

func currentName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// TestOrdinaryUser runs all tests once more as a user who has ranges.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // this is that run, or one like it
	}
	var who *user.User
	err := eachLine("/etc/subuid", func(_ int, line string) error {
		name, _, _ := strings.Cut(line, ":")
		if u, err := user.Lookup(name); err == nil && who == nil && u.Uid != "0" {
			who = u
		}
		return nil
	})
	require(t, err == nil && who != nil, "no user has a range in /etc/subuid (useradd --create-home NAME makes one)")
	var uid, gid uint32
	if _, err := fmt.Sscan(who.Uid+" "+who.Gid, &uid, &gid); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.v")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	cmd.Env = append(os.Environ(), "HOME=/", "USER="+who.Username, secondEnv+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("as uid %d:\n%s", uid, out)
	if err != nil {
		t.Error(err)
	}
}
