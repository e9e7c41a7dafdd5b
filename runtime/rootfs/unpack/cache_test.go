package unpack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// filler unpacks an archive without owners, as the runtime does.
func filler(archive string) func(string) error {
	return func(dir string) error {
		f, err := os.Open(archive)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = Tar(context.Background(), f, dir, Options{SkipDevices: true})
		return err
	}
}

type cacheTest struct {
	*testing.T
	archive, dir string
	fills        int
}

func newCache(t *testing.T) *cacheTest {
	base := tempDir(t)
	c := &cacheTest{T: t, archive: filepath.Join(base, "x.tar"), dir: filepath.Join(base, "cache")}
	c.write("content")
	return c
}

func (c *cacheTest) write(body string) {
	c.Helper()
	if err := os.WriteFile(c.archive, archiveOf(c, dir(".", 0o555), dir("d", 0o500), file("d/f", body)), 0o644); err != nil {
		c.Fatal(err)
	}
}

// get asks for the tree, and checks what it holds.
func (c *cacheTest) get(body string, fresh bool) string {
	c.Helper()
	tree, isFresh, err := cached(context.Background(), c.archive, c.dir, func(dir string) error {
		c.fills++
		return filler(c.archive)(dir)
	})
	if err != nil {
		c.Fatal(err)
	}
	if isFresh != fresh {
		c.Errorf("fresh is %v", isFresh)
	}
	if got := content(c, tree, "d/f"); got != body {
		c.Errorf("the tree holds %q, want %q", got, body)
	}
	return tree
}

// left is what is in the cache's directory.
func (c *cacheTest) left() (names []string) {
	c.Helper()
	list, err := os.ReadDir(c.dir)
	if err != nil {
		c.Fatal(err)
	}
	for _, e := range list {
		if e.Name() != "index" {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestCached(t *testing.T) {
	c := newCache(t)
	first := c.get("content", true)
	if again := c.get("content", false); again != first || c.fills != 1 {
		t.Errorf("%s, then %s, after %d fills", first, again, c.fills)
	}
	if got := modeOf(t, first); got != unix.S_IFDIR|0o555 {
		t.Errorf("the tree has mode %o", got)
	}
	old := unix.Umask(0o077)
	bare, _, err := Cache{Dir: c.dir, How: "bare"}.Tree(context.Background(), c.archive, func(string) error { return nil })
	unix.Umask(old)
	if got := modeOf(t, bare); err != nil || got != unix.S_IFDIR|0o755 {
		t.Errorf("a tree whose archive does not say so has mode %o, %v", got, err)
	}
	if got := modeOf(t, c.dir); got != unix.S_IFDIR|0o700 {
		t.Errorf("the cache has mode %o", got)
	}
	// The same content elsewhere is the same tree.
	data, _ := os.ReadFile(c.archive)
	c.archive += ".copy"
	if err := os.WriteFile(c.archive, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if other := c.get("content", false); other != first {
		t.Errorf("a copy has another tree: %s", other)
	}
	// Unpacked in another way it is another one.
	tree, fresh, err := Cache{Dir: c.dir, How: "other"}.Tree(context.Background(), c.archive, filler(c.archive))
	if err != nil || !fresh || tree == first {
		t.Errorf("%s, %v, %v", tree, fresh, err)
	}
	if left := c.left(); len(left) != 3 {
		t.Errorf("left in the cache: %v", left)
	}
}

// TestCachedChanged: no change of an archive goes unnoticed, however it keeps
// its size, its times and its inode.
func TestCachedChanged(t *testing.T) {
	c := newCache(t)
	c.get("content", true)
	keep := func(change func()) {
		st, err := os.Stat(c.archive)
		if err != nil {
			t.Fatal(err)
		}
		change()
		if err := os.Chtimes(c.archive, st.ModTime(), st.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	keep(func() { c.write("CONTENT") })
	c.get("CONTENT", true)
	for i := range 20 { // at once after another
		body := fmt.Sprintf("round%02d", i)
		keep(func() { c.write(body) })
		c.get(body, true)
	}
	keep(func() { c.write("CONTENT") })
	c.get("CONTENT", false)
	// Through a mapping whose page is dirty already.
	f, err := os.OpenFile(c.archive, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, 4*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(m[:min(int(st.Size()), len(m))], []byte("CONTENT"))
	if at < 0 {
		t.Fatal("the content is not in what was mapped")
	}
	for i := range 3 {
		body := fmt.Sprintf("mapped%d", i)
		copy(m[at:], body)
		time.Sleep(30 * time.Millisecond)
		c.get(body, true)
	}
	// And when nothing but the digest is asked for, which writes no pages back
	// but the archive's.
	seen := map[string]bool{}
	for i := range 5 {
		copy(m[at:], fmt.Sprintf("Mapped%d", i))
		time.Sleep(30 * time.Millisecond)
		a, err := Cache{Dir: c.dir}.digest(context.Background(), c.archive)
		if err != nil || seen[a.digest] {
			t.Errorf("change %d was not seen: %v", i, err)
		}
		seen[a.digest] = true
	}
}

// TestCachedIndex: an unchanged archive is not read again, and a damaged or
// lying note is no note.
func TestCachedIndex(t *testing.T) {
	c := newCache(t)
	first := c.get("content", true)
	f, err := os.Open(c.archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	require(t, trusted(f), "this file system's times are not trusted; nothing is remembered")
	cache := Cache{Dir: c.dir}
	a, err := cache.digest(context.Background(), c.archive)
	if err != nil || cache.recall(a) != a.digest || !strings.HasPrefix(filepath.Base(first), a.digest) {
		t.Fatalf("%+v, %v: not remembered", a, err)
	}
	note := cache.note(c.archive)
	good, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSuffix(string(good), "\n")
	for _, bad := range []string{"", "\n", line, line[:len(line)-5], line + "x\n", strings.Replace(string(good), "sha256 ", "sha256 ff", 1), strings.Replace(string(good), "ino ", "ino 1", 1)} {
		if err := os.WriteFile(note, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := cache.recall(a); got != "" {
			t.Errorf("%q is believed: %s", bad, got)
		}
		c.get("content", false)
	}
	// A note that is believed saves reading: one with a wrong digest shows.
	wrong := strings.Repeat("ab", 32)
	if err := os.WriteFile(note, []byte(strings.Replace(string(good), a.digest, wrong, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := cache.digest(context.Background(), c.archive); err != nil || got.digest != wrong {
		t.Errorf("the archive was read again: %+v, %v", got, err)
	}
}

// TestCachedFailure: a fill that fails, an archive that changes meanwhile, and
// no archive leave nothing.
func TestCachedFailure(t *testing.T) {
	c := newCache(t)
	broken := errors.New("broken")
	_, _, err := cached(context.Background(), c.archive, c.dir, func(dir string) error {
		if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
			return err
		}
		return errors.Join(broken, os.Chmod(filepath.Join(dir, "a"), 0))
	})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	_, _, err = cached(context.Background(), c.archive, c.dir, func(dir string) error {
		c.write(fmt.Sprint("other ", c.fills))
		c.fills++
		return filler(c.archive)(dir)
	})
	if !errors.Is(err, errChanged) {
		t.Error(err)
	}
	if c.fills != 3 {
		t.Errorf("an archive that changes was tried %d times", c.fills)
	}
	if left := c.left(); len(left) != 0 {
		t.Errorf("left in the cache: %v", left)
	}
	if err := os.WriteFile(c.archive, archiveOf(t, file("a", strings.Repeat("x", 9999)))[:5000], 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = cached(context.Background(), c.archive, c.dir, filler(c.archive))
	mustFail(t, err, "cut short")
	for _, name := range []string{c.archive + ".missing", c.dir} {
		_, _, err = cached(context.Background(), name, c.dir, filler(name))
		mustFail(t, err, "open the archive")
	}
	if left := c.left(); len(left) != 0 {
		t.Errorf("left in the cache: %v", left)
	}
	if err := os.Chmod(c.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	_, _, err = cached(context.Background(), c.archive, c.dir, filler(c.archive))
	mustFail(t, err, "others could put trees into it")
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Chmod(c.dir, 0o700), os.Chown(c.dir, ordinary, ordinary)); err != nil {
			t.Fatal(err)
		}
		_, _, err = cached(context.Background(), c.archive, c.dir, filler(c.archive))
		mustFail(t, err, "it belongs to user 54321")
	}
}

// TestCachedTogether: of several processes and goroutines that start at once,
// one unpacks.
func TestCachedTogether(t *testing.T) {
	c := newCache(t)
	const each = 6
	var mu sync.Mutex
	var all sync.WaitGroup
	fresh := 0
	count := func(isFresh bool) {
		mu.Lock()
		defer mu.Unlock()
		if isFresh {
			fresh++
		}
	}
	for range each {
		cmd := helper("cached", c.archive, c.dir)
		all.Go(func() {
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			count(strings.HasPrefix(string(out), "true"))
		})
		all.Go(func() {
			_, isFresh, err := cached(context.Background(), c.archive, c.dir, func(dir string) error {
				time.Sleep(20 * time.Millisecond)
				return filler(c.archive)(dir)
			})
			if err != nil {
				t.Error(err)
			}
			count(isFresh)
		})
	}
	all.Wait()
	if left := c.left(); fresh != 1 || len(left) != 1 {
		t.Errorf("%d unpacked; left in the cache: %v", fresh, left)
	}
}

// TestCachedKilled: an unpack that is going on is left alone and waited for;
// what it leaves when it is killed is removed, by the next one or by Sweep.
func TestCachedKilled(t *testing.T) {
	c := newCache(t)
	hang := func() *exec.Cmd {
		cmd := helper("hang", c.archive, c.dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "filling\n" {
			t.Errorf("%q, %v", line, err)
		}
		return cmd
	}
	kill := func(cmd *exec.Cmd) {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed
	}
	cmd := hang()
	if removed, err := (Cache{Dir: c.dir}).Sweep(); err != nil || len(removed) != 0 || len(c.left()) != 2 {
		t.Errorf("while it is filled, Sweep removed %v, %v", removed, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	_, _, err := cached(ctx, c.archive, c.dir, filler(c.archive))
	cancel()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it is filled: %v", err)
	}
	kill(cmd)
	removed, err := Cache{Dir: c.dir}.Sweep()
	if err != nil || len(removed) != 1 || !strings.Contains(removed[0], ".tmp-") || len(c.left()) != 0 {
		t.Errorf("after it was killed, Sweep removed %v, %v; left %v", removed, err, c.left())
	}
	kill(hang())
	c.get("content", true)
	if left := c.left(); len(left) != 1 {
		t.Errorf("left in the cache: %v", left)
	}
	if removed, err := (Cache{Dir: filepath.Join(c.dir, "missing")}).Sweep(); err != nil || removed != nil {
		t.Errorf("Sweep of nothing: %v, %v", removed, err)
	}
}

// TestCacheRemove: what this process may not remove is removed as the cache
// was told.
func TestCacheRemove(t *testing.T) {
	c := newCache(t)
	var asked []string
	cache := Cache{Dir: c.dir, Remove: func(dir string) error {
		asked = append(asked, dir)
		return Remove(dir)
	}}
	_, _, err := cache.Tree(context.Background(), c.archive, func(string) error { return errChanged })
	if !errors.Is(err, errChanged) || len(asked) != 3 || len(c.left()) != 0 {
		t.Errorf("%v; removed %v; left %v", err, asked, c.left())
	}
}
