package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// attack unpacks an archive beside a directory that it tries to reach, and
// checks that nothing there has changed. OUT in names and targets is that
// directory's path. The error is the archive's, which may be none.
func attack(t *testing.T, items ...item) (root string, report Report, err error) {
	t.Helper()
	base := tempDir(t)
	root, out := filepath.Join(base, "root"), filepath.Join(base, "out")
	for _, d := range []string{root, out, filepath.Join(out, "sub")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"secret", "sub/secret"} {
		if err := os.WriteFile(filepath.Join(out, name), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := look(t, out, true)
	for i := range items {
		items[i].Name = strings.ReplaceAll(items[i].Name, "OUT", out)
		items[i].Linkname = strings.ReplaceAll(items[i].Linkname, "OUT", out)
	}
	fds := descriptors(t)
	report, err = Tar(context.Background(), bytes.NewReader(archiveOf(t, items...)), root, Options{})
	if now := descriptors(t); now != fds {
		t.Errorf("descriptors: %d before, %d after", fds, now)
	}
	same(t, look(t, out, true), before)
	entries, readErr := os.ReadDir(base)
	if readErr != nil || len(entries) != 2 {
		t.Errorf("beside the tree are %v, %v", entries, readErr)
	}
	return root, report, err
}

func mustFail(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %v; want %q in it", err, text)
	}
}

func TestAttackDotDot(t *testing.T) {
	for _, name := range []string{"../out/secret", "a/../../out/secret", "a/..", "..", "./../out/new", "/../out/secret"} {
		_, _, err := attack(t, dir("a", 0o755), file(name, "owned"))
		mustFail(t, err, `".." component`)
		mustFail(t, err, `entry "`+name+`" (number 2)`)
	}
}

// TestAttackAbsolute: an absolute name begins at the tree.
func TestAttackAbsolute(t *testing.T) {
	root, _, err := attack(t, file("OUT/secret", "owned"), file("//etc//passwd", "inside"))
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, root, "etc/passwd"); got != "inside" {
		t.Errorf("etc/passwd is %q", got)
	}
}

// TestAttackSymlinkParent: a write through a symbolic link stays inside, where
// the link leads in the container.
func TestAttackSymlinkParent(t *testing.T) {
	root, _, err := attack(t, dir("data", 0o755), link("abs", "/data"), file("abs/x", "in data"),
		link("up", "../../../data"), file("up/y", "in data too"))
	if err != nil {
		t.Fatal(err)
	}
	if content(t, root, "data/x") != "in data" || content(t, root, "data/y") != "in data too" {
		t.Error("the links did not lead into the tree")
	}
	for _, to := range []string{"OUT", "../out", "/proc/self/cwd/../out", "OUT/sub"} {
		_, _, err = attack(t, link("a", to), file("a/secret", "owned"))
		mustFail(t, err, "leads nowhere in the tree")
	}
}

// TestAttackSymlinkChain: links through links, each harmless by itself.
func TestAttackSymlinkChain(t *testing.T) {
	_, _, err := attack(t, dir("d", 0o755), link("d/up", ".."), link("up2", "d/up/.."), link("up3", "up2/../out"), file("up3/secret", "owned"))
	mustFail(t, err, "leads nowhere in the tree")
	_, _, err = attack(t, link("a", "b"), link("b", "a"), file("a/x", ""))
	mustFail(t, err, unix.ELOOP.Error())
}

// TestAttackMagicLink: a link into /proc leads to a descriptor nowhere.
func TestAttackMagicLink(t *testing.T) {
	_, _, err := attack(t, link("a", "/proc/self/root"), file("a/x", ""))
	mustFail(t, err, "leads nowhere in the tree")
}

// TestAttackSymlinkFile: a file where a symbolic link is replaces the link.
func TestAttackSymlinkFile(t *testing.T) {
	root, _, err := attack(t, link("a", "OUT/secret"), file("a", "mine"), link("b", "OUT/new"), file("b", "mine"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if modeOf(t, root, name) != unix.S_IFREG|0o644 || content(t, root, name) != "mine" {
			t.Errorf("%s was not replaced", name)
		}
	}
}

// TestAttackSymlinkDirectory: a directory where a symbolic link is replaces
// it, and so its mode and its files stay inside.
func TestAttackSymlinkDirectory(t *testing.T) {
	root, _, err := attack(t, link("a", "OUT"), dir("a", 0o777), file("a/secret", "mine"),
		dir("in", 0o700), link("b", "in"), file("b/x", ""), dir("b", 0o711), file("b/y", ""))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{"a": 0o777, "b": 0o711, "in": 0o700} {
		if got := modeOf(t, root, name); got != unix.S_IFDIR|want {
			t.Errorf("%s has mode %o", name, got)
		}
	}
	if content(t, root, "b/y") != "" || content(t, root, "in/x") != "" {
		t.Error("the files are not where their names led")
	}
}

// TestAttackDirectoryReplaced: what was cached about a directory ends when a
// symbolic link takes its place, and what is due to it at the end is not done
// to the link's target.
func TestAttackDirectoryReplaced(t *testing.T) {
	root, _, err := attack(t, dir("a", 0o777), dir("a/sub", 0o777), file("a/x", ""), link("a", "OUT"))
	if err != nil {
		t.Fatal(err)
	}
	if got := modeOf(t, root, "a"); got&unix.S_IFMT != unix.S_IFLNK {
		t.Errorf("a has mode %o", got)
	}
	_, _, err = attack(t, dir("a", 0o777), dir("a/sub", 0o777), file("a/sub/x", ""), link("a", "OUT"), file("a/sub/secret", "owned"))
	mustFail(t, err, "leads nowhere in the tree")
	root, _, err = attack(t, dir("b", 0o755), dir("b/sub", 0o711), dir("a", 0o777), dir("a/sub", 0o777), file("a/sub/x", ""), link("a", "b"), file("a/sub/y", "in b"))
	if err != nil {
		t.Fatal(err)
	}
	if got := modeOf(t, root, "b/sub"); got != unix.S_IFDIR|0o711 || content(t, root, "b/sub/y") != "in b" {
		t.Errorf("b/sub has mode %o", got)
	}
}

func TestAttackHardLink(t *testing.T) {
	for _, to := range []string{"OUT/secret", "/etc/passwd", "missing"} {
		_, _, err := attack(t, hard("a", to))
		mustFail(t, err, "no such file")
	}
	_, _, err := attack(t, hard("a", "../out/secret"))
	mustFail(t, err, `".." component`)
	_, _, err = attack(t, link("s", "OUT"), hard("a", "s/secret"))
	mustFail(t, err, "no such file")
}

// TestAttackHardLinkToSymlink: the link itself gets the name, and what is
// written to that replaces it.
func TestAttackHardLinkToSymlink(t *testing.T) {
	root, _, err := attack(t, link("s", "OUT/secret"), hard("a", "s"), file("a", "mine"))
	if err != nil {
		t.Fatal(err)
	}
	if content(t, root, "a") != "mine" {
		t.Error("a was not replaced")
	}
	if to, err := os.Readlink(filepath.Join(root, "s")); err != nil || !strings.HasSuffix(to, "/secret") {
		t.Errorf("s leads to %q, %v", to, err)
	}
}

// TestAttackMetadata: mode, owner, times and attributes of a symbolic link are
// its own.
func TestAttackMetadata(t *testing.T) {
	l := link("a", "OUT/secret")
	l.Mode = 0o4777
	l.PAXRecords = map[string]string{"SCHILY.xattr.user.x": "owned"}
	_, r, err := attack(t, l)
	if err != nil || len(r.Skipped) != 1 {
		t.Errorf("skipped %q, %v", r.Skipped, err)
	}
}

func TestAttackRootReplaced(t *testing.T) {
	for _, it := range []item{link(".", "OUT"), link("./", "OUT"), link("/", "OUT"), hard(".", "x"), file("x/./../.", "")} {
		_, _, err := attack(t, file("x", ""), it)
		if err == nil {
			t.Errorf("%q as a link was taken", it.Name)
		}
	}
}

// TestAttackFileParent: a file on the way is no directory, and stays.
func TestAttackFileParent(t *testing.T) {
	root, _, err := attack(t, file("a", "file"), file("a/b", "x"))
	mustFail(t, err, "is no directory")
	if content(t, root, "a") != "file" {
		t.Error("the file is gone")
	}
}

// TestAttackMount: nothing is written into, or removed from, a mount below the
// tree.
func TestAttackMount(t *testing.T) {
	requireRoot(t)
	inMountNamespace(t, func() error {
		base, err := os.MkdirTemp("", "unpack-test-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(base)
		if err := os.MkdirAll(base+"/root/mnt", 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", base+"/root/mnt", "tmpfs", 0, ""); err != nil {
			return err
		}
		defer unix.Unmount(base+"/root/mnt", unix.MNT_DETACH)
		if err := os.WriteFile(base+"/root/mnt/secret", []byte("secret"), 0o600); err != nil {
			return err
		}
		for _, it := range []item{file("mnt/secret", "owned"), file("mnt", "owned"), link("mnt", "/")} {
			_, err := Tar(context.Background(), bytes.NewReader(archiveOf(t, it)), base+"/root", Options{})
			if !errors.Is(err, unix.EXDEV) && !errors.Is(err, unix.EBUSY) {
				t.Errorf("%s: %v", it.Name, err)
			}
		}
		if text, err := os.ReadFile(base + "/root/mnt/secret"); err != nil || string(text) != "secret" {
			t.Errorf("the mounted file is %q, %v", text, err)
		}
		return nil
	})
}

// TestAttackNUL: the kernel would see another name than the archive's.
func TestAttackNUL(t *testing.T) {
	data := archiveOf(t, item{tar.Header{Name: "name-that-is-longer-than-ascii-\u00e9", Mode: 0o644}, "x"})
	data = bytes.Replace(data, []byte("path=name-that"), []byte("path=name\x00that"), 1)
	_, err := Tar(context.Background(), bytes.NewReader(data), tempDir(t), Options{})
	mustFail(t, err, "invalid tar header")
	if _, err := clean("a\x00b"); err == nil {
		t.Error("a name with NUL is clean")
	}
}

// TestAttackOwner: the number that means "leave the owner alone" is no owner.
func TestAttackOwner(t *testing.T) {
	requireRoot(t)
	for _, id := range []int{1<<32 - 1, 1 << 32, -1} {
		it := file("a", "")
		it.Uid = id
		_, err := Tar(context.Background(), bytes.NewReader(archiveOf(t, it)), tempDir(t), Options{Owner: true})
		mustFail(t, err, "is no user and group")
	}
}

// TestAttackWriteThroughHardLink: a file that gets another content does not
// change its other names.
func TestAttackWriteThroughHardLink(t *testing.T) {
	root, _, err := attack(t, file("a", "old"), hard("b", "a"), file("b", "new"), hard("a", "b"), hard("b", "a"))
	if err != nil {
		t.Fatal(err)
	}
	// A link to itself by another path stays what it is.
	other, _, err := attack(t, link("s", "."), file("a", "kept"), hard("s/a", "a"))
	if err != nil || content(t, other, "a") != "kept" {
		t.Errorf("linked to itself: %v", err)
	}
	if content(t, root, "a") != "new" || content(t, root, "b") != "new" {
		t.Errorf("a is %q, b is %q", content(t, root, "a"), content(t, root, "b"))
	}
}
