package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/idmap"
)

// helperEnv says that a copy of the test binary is to be one of its parts: in a
// container, or beside it. The part's name is the first argument.
const helperEnv = "ISOPERF_TEST_HELPER"

// secondEnv is set in the run that root's TestOrdinaryUser starts.
const secondEnv = "ISOPERF_TEST_SECOND_RUN"

// parts are what a copy of the test binary can be. A part that returns an error
// prints it and exits with 1.
func parts() map[string]func(args []string) error {
	return map[string]func([]string) error{
		"exit":    partExit,
		"kill":    partKill,
		"killed":  partKilled,
		"orphans": partOrphans,
		"pause":   partPause,
		"serve":   partServe,
		"signals": partSignals,
		"spawn":   partSpawn,
		"true":    func([]string) error { return nil },
		"swapper": partSwapper,
		"who":     partWho,
	}
}

// world is what all tests share: a directory that every user may enter, with
// this binary in it.
var world struct {
	dir    string
	binary string
	files  map[string]string // shared libraries of a binary that has some: where they belong, and are
}

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		if err := parts()[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	if err := errors.Join(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), makeWorld()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := os.RemoveAll(world.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if left := children(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "the tests left processes behind: %v\n", left)
		code = 1
	}
	if left := groups(fmt.Sprintf("test%d", os.Getpid())); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "the tests left control groups behind: %v\n", left)
		code = 1
	}
	return code
}

func makeWorld() error {
	dir, err := os.MkdirTemp("", "container")
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	world.dir, world.binary = dir, filepath.Join(dir, "binary")
	if err := copyFile("/proc/self/exe", world.binary); err != nil {
		return err
	}
	world.files, err = libraries()
	return err
}

// libraries are those that this binary has loaded, under the names by which the
// loader finds them: the race detector needs some.
func libraries() (map[string]string, error) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.Contains(fields[5], ".so") {
			continue
		}
		path, name := fields[5], filepath.Base(fields[5])
		files[path] = path
		files[filepath.Join("/lib64", name)] = path
		files[filepath.Join("/lib", name)] = path
	}
	return files, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// children are the processes that this one has not collected; orphans below it
// come to it.
func children() []string { return childrenOf("self") }

func childrenOf(pid string) []string {
	var all []string
	lists, _ := filepath.Glob("/proc/" + pid + "/task/*/children")
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err == nil {
			all = append(all, strings.Fields(string(text))...)
		}
	}
	return all
}

// groups are the control groups in any hierarchy whose name contains a text.
func groups(name string) []string {
	var found []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), name) {
			found = append(found, path)
		}
		return nil
	})
	return found
}

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

// asRoot leaves a test to root.
func asRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv(secondEnv) != "" {
		t.Skip("root has run it")
	}
	require(t, os.Geteuid() == 0, "it takes root")
}

// kind is with which ids a container is started.
type kind struct {
	name string
	maps idmap.Maps // none: no user namespace
	root int        // who is root inside, on the host
}

func (k kind) user() bool { return len(k.maps.UIDs) > 0 }

// kinds are those that this user can start: root with and without a user
// namespace, an ordinary user with a single id and with ranges.
func kinds(t testing.TB) []kind {
	t.Helper()
	if os.Geteuid() == 0 {
		const first = 300000
		m := idmap.Own(first, first)
		m.UIDs[0].Size, m.GIDs[0].Size = 65536, 65536
		return []kind{{name: "root"}, {name: "userns", maps: m, root: first}}
	}
	own := kind{name: "own", maps: idmap.Own(os.Getuid(), os.Getgid()), root: os.Getuid()}
	m, err := idmap.Subordinate(os.Getenv("USER"), os.Getuid(), os.Getgid())
	if err != nil {
		if os.Getenv("ISOPERF_MUST_RUN") == "1" {
			t.Fatal(err)
		}
		t.Logf("not with ranges of ids: %v", err)
		return []kind{own}
	}
	return []kind{own, {name: "ranges", maps: m, root: os.Getuid()}}
}

// eachKind runs a test with each.
func eachKind(t *testing.T, f func(t *testing.T, k kind)) {
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) { f(t, k) })
	}
}

// plain is the kind that takes the least.
func plain(t testing.TB) kind { return kinds(t)[0] }

// TestOrdinaryUser runs all tests once more as a user who has ranges.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // this is that run, or one like it
	}
	name, uid, gid, err := ranged()
	require(t, err == nil, fmt.Sprint(err))
	cmd := exec.Command(world.binary, "-test.v", "-test.short="+strconv.FormatBool(testing.Short()))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	cmd.Env = append(os.Environ(), "HOME=/", "USER="+name, secondEnv+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("as uid %d:\n%s", uid, out)
	if err != nil {
		t.Error(err)
	}
}

// ranged is the first user with a range of ids.
func ranged() (name string, uid, gid uint32, err error) {
	text, err := os.ReadFile("/etc/subuid")
	if err != nil {
		return "", 0, 0, err
	}
	users, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		owner, _, _ := strings.Cut(line, ":")
		for user := range strings.Lines(string(users)) {
			f := strings.Split(user, ":")
			if len(f) > 3 && f[0] == owner && f[2] != "0" {
				_, err = fmt.Sscan(f[2]+" "+f[3], &uid, &gid)
				return owner, uid, gid, err
			}
		}
	}
	return "", 0, 0, fmt.Errorf("no user has a range in /etc/subuid (useradd --create-home NAME makes one)")
}
