package ab

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/reports/sequential"
)

// cached is how many pages of a file the page cache has.
func cached(t *testing.T, path string) (have, all int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	pages := make([]byte, (len(m)+os.Getpagesize()-1)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	for _, p := range pages {
		have += int(p & 1)
	}
	return have, len(pages)
}

// onDisk says whether what is dropped of a file comes back from a disk: in a file
// system that is memory nothing can be dropped.
func onDisk(t *testing.T, path string) bool {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		t.Fatal(err)
	}
	return slices.Contains([]int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC}, s.Type)
}

func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, make([]byte, 3<<20+1), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// A program that was just written, and is not on the disk yet, goes and comes back
// whole.
func TestLayout(t *testing.T) {
	path := program(t)
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	l, err := NewLayout(path, link)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if len(l.files) != 1 {
		t.Errorf("one program under two names is %d files", len(l.files))
	}
	if err := drop(l.files[0]); err != nil {
		t.Fatal(err)
	}
	if have, all := cached(t, path); onDisk(t, path) && have != 0 {
		t.Errorf("%d of %d pages stayed in the page cache", have, all)
	}
	if err := l.Renew(); err != nil {
		t.Fatal(err)
	}
	if have, all := cached(t, path); have != all {
		t.Errorf("%d of %d pages came back", have, all)
	}
}

// A program that is not there is named, and so is what is no file; the others are
// laid out.
func TestLayoutRefuses(t *testing.T) {
	path := program(t)
	dir := filepath.Dir(path)
	l, err := NewLayout(filepath.Join(dir, "gone"), path, dir)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "gone") || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("error %v", err)
	}
	if len(l.files) != 1 {
		t.Errorf("%d files are laid out, of one that can be", len(l.files))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// A file system that cannot be written has nothing to bring to a disk first.
func TestLayoutNeverWritten(t *testing.T) {
	const path = "/proc/version" // which fdatasync refuses as on squashfs
	l, err := NewLayout(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := unix.Fdatasync(int(l.files[0].Fd())); err != unix.EINVAL {
		t.Fatalf("fdatasync of %s: %v", path, err)
	}
	if err := l.Renew(); err != nil {
		t.Error(err)
	}
}

// While a comparison runs they are laid out anew, and a program that can no more
// be is no secret.
func TestLayoutInRun(t *testing.T) {
	path := program(t)
	l, err := NewLayout(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := drop(l.files[0]); err != nil {
		t.Fatal(err)
	}
	compare := func() error {
		c := &clock{now: time.Unix(0, 0)}
		side := &fake{c, c.now, rand.New(rand.NewPCG(1, 7)), logNormal(6, 0.1)(), 1}
		_, err := Run(context.Background(), side, side, [2]Recorder{nowhere{}, nowhere{}}, sequential.New(floor, nil), Options{
			Groups: []string{"x"}, Time: 10 * time.Second, Layout: l,
			Clock: harness.Clock{Now: func() time.Time { return c.now }, Sleep: c.pass},
		})
		return err
	}
	if err := compare(); err != nil {
		t.Error(err)
	}
	if have, all := cached(t, path); have != all {
		t.Errorf("%d of %d pages are there after the run", have, all)
	}
	l.Close()
	if err := compare(); !errors.Is(err, unix.EBADF) || !strings.Contains(err.Error(), path) {
		t.Errorf("with a file that is closed: %v", err)
	}
}
