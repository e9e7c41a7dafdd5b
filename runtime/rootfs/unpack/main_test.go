package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperEnv names the helper that a copy of the test binary is to be.
const helperEnv = "ISOPERF_TEST_HELPER"

// ordinary is a user id that no one has.
const ordinary = 54321

func helpers() map[string]func(args []string) error {
	return map[string]func([]string) error{
		"cached": helpCached,
		"hang":   helpHang,
		"remove": func(args []string) error { return Remove(args[0]) },
		"unpack": helpUnpack,
		"userns": helpUserNamespace,
	}
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		if err := helpers()[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
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

func requireRoot(t testing.TB) {
	t.Helper()
	require(t, os.Geteuid() == 0, "it takes root")
}

func requireProgram(t testing.TB, name string) {
	t.Helper()
	_, err := exec.LookPath(name)
	require(t, err == nil, "there is no program "+name)
}

// helper is a copy of the test binary.
func helper(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	cmd.Dir = "/"
	return cmd
}

// asOrdinary makes the command one of an ordinary user.
func asOrdinary(cmd *exec.Cmd) *exec.Cmd {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: ordinary, Gid: ordinary}
	}
	return cmd
}

// run runs a command to its end and returns what it printed.
func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out.String(), errs.String())
	}
	return out.String()
}

// tempDir is a directory of a test that every user can reach; it is removed
// with whatever modes it got.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "unpack-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Remove(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// item is an entry of a test's archive; its zero fields get good values.
type item struct {
	tar.Header
	body string
}

var stamp = time.Date(2021, 2, 3, 4, 5, 6, 789012345, time.UTC)

func file(name, body string) item { return item{tar.Header{Name: name, Mode: 0o644}, body} }
func dir(name string, mode int64) item {
	return item{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode}, ""}
}
func link(name, to string) item {
	return item{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}, ""}
}
func hard(name, to string) item {
	return item{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to, Mode: 0o644}, ""}
}

// archiveOf is a tar of items.
func archiveOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, it := range items {
		h := it.Header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(it.body))
		}
		if h.Typeflag != tar.TypeXGlobalHeader {
			h.Format = tar.FormatPAX
			if h.ModTime.IsZero() {
				h.ModTime = stamp
			}
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatalf("%q: %v", h.Name, err)
		}
		if _, err := w.Write([]byte(it.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpackOK unpacks an archive that must unpack.
func unpackOK(t testing.TB, data []byte, dir string, o Options) Report {
	t.Helper()
	before := descriptors(t)
	r, err := Tar(context.Background(), bytes.NewReader(data), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("descriptors: %d before, %d after", before, after)
	}
	return r
}

func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// look describes everything in a tree: all that an archive can ask for, with
// times of change on demand.
func look(t testing.TB, root string, ctime bool) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		all[rel], err = lookAt(name, ctime)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func lookAt(name string, ctime bool) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return "", err
	}
	text := fmt.Sprintf("mode %o owner %d:%d mtime %d.%09d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
	if ctime {
		text += fmt.Sprintf(" ino %d ctime %d.%09d", st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf(" links %d size %d sha256 %x", st.Nlink, st.Size, sha256.Sum256(content))
	case unix.S_IFLNK:
		to, err := os.Readlink(name)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf(" links %d to %q", st.Nlink, to)
	case unix.S_IFCHR, unix.S_IFBLK:
		text += fmt.Sprintf(" links %d device %d:%d", st.Nlink, unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(name, list)
	if err != nil && err != unix.EOPNOTSUPP {
		return "", err
	}
	names := strings.Split(strings.TrimSuffix(string(list[:max(n, 0)]), "\x00"), "\x00")
	slices.Sort(names)
	for _, x := range names {
		if x == "" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(name, x, value)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf(" %s=%x", x, value[:n])
	}
	return text, nil
}

// same compares two trees.
func same(t testing.TB, got, want map[string]string) {
	t.Helper()
	bad := 0
	for name, text := range want {
		if got[name] != text && bad < 10 {
			bad++
			t.Errorf("%q:\n got %s\nwant %s", name, got[name], text)
		}
	}
	for name, text := range got {
		if _, ok := want[name]; !ok && bad < 10 {
			bad++
			t.Errorf("%q should not be there: %s", name, text)
		}
	}
}

// content is what a file of a tree holds.
func content(t testing.TB, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func modeOf(t testing.TB, parts ...string) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(parts...), &st); err != nil {
		t.Fatalf("%v: %v", parts, err)
	}
	return st.Mode
}

// inMountNamespace runs f on a thread with mounts of its own, which then ends.
func inMountNamespace(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// cached is the tree of an archive in a cache that fill fills.
func cached(ctx context.Context, archive, dir string, fill func(dir string) error) (tree string, fresh bool, err error) {
	return Cache{Dir: dir, How: "own ids"}.Tree(ctx, archive, fill)
}

// helpCached unpacks args[0] into the cache args[1] and says whether it was
// fresh.
func helpCached(args []string) error {
	dir, fresh, err := cached(context.Background(), args[0], args[1], filler(args[0]))
	fmt.Println(fresh, dir)
	return err
}

// helpHang is helpCached, but never comes to an end.
func helpHang(args []string) error {
	_, _, err := cached(context.Background(), args[0], args[1], func(dir string) error {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "a/b"), 0o700), os.Chmod(filepath.Join(dir, "a"), 0o500)); err != nil {
			return err
		}
		fmt.Println("filling")
		time.Sleep(time.Hour)
		return nil
	})
	return err
}
