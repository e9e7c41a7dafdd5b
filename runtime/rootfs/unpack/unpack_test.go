package unpack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestModes: every mode is exactly the archive's, whatever the umask.
func TestModes(t *testing.T) {
	var items []item
	modes := []int64{0, 0o111, 0o400, 0o444, 0o555, 0o644, 0o666, 0o755, 0o777, 0o1777, 0o2755, 0o4755, 0o6755, 0o7777, 0o7000}
	for _, m := range modes {
		name := "m" + strings.TrimLeft(string([]byte{byte('0' + m>>9&7), byte('0' + m>>6&7), byte('0' + m>>3&7), byte('0' + m&7)}), " ")
		f, d, p := file(name+"/f", "x"), dir(name, m), item{tar.Header{Name: name + "/p", Typeflag: tar.TypeFifo}, ""}
		f.Mode, p.Mode = m, m
		items = append(items, d, f, p)
	}
	items = append(items, dir("./", 0o1775))
	data := archiveOf(t, items...)
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		root := filepath.Join(tempDir(t), "root")
		old := unix.Umask(mask)
		_, err := Tar(context.Background(), bytes.NewReader(data), root, Options{Owner: os.Geteuid() == 0})
		unix.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range modes {
			name := path.Clean(items[3*i].Name)
			if got := modeOf(t, root, name); got != unix.S_IFDIR|uint32(m) {
				t.Errorf("umask %#o: directory %s has %o", mask, name, got)
			}
			if os.Geteuid() != 0 && m&0o100 == 0 {
				continue
			}
			if got := modeOf(t, root, name, "f"); got != unix.S_IFREG|uint32(m) {
				t.Errorf("umask %#o: file %s has %o", mask, name, got)
			}
			if got := modeOf(t, root, name, "p"); got != unix.S_IFIFO|uint32(m) {
				t.Errorf("umask %#o: FIFO %s has %o", mask, name, got)
			}
		}
		if got := modeOf(t, root); got != unix.S_IFDIR|0o1775 {
			t.Errorf("umask %#o: the root has %o", mask, got)
		}
	}
}

// TestImplied: directories that no entry names are made, with a usable mode;
// one that has an entry after its content gets what that says.
func TestImplied(t *testing.T) {
	root := tempDir(t)
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	unpackOK(t, archiveOf(t, file("a/b/c/f", "x"), dir("a/b", 0o2711), dir("z", 0o555), file("z/f", "y")), root, Options{})
	for name, want := range map[string]uint32{"a": 0o755, "a/b": 0o2711, "a/b/c": 0o755, "z": 0o555} {
		if got := modeOf(t, root, name); got != unix.S_IFDIR|want {
			t.Errorf("%s has %o", name, got)
		}
	}
}

// TestTimes: nanoseconds, of directories too, in any order, and before 1970.
func TestTimes(t *testing.T) {
	root := tempDir(t)
	early := file("early", "")
	early.ModTime = stamp.AddDate(-100, 0, 0)
	unpackOK(t, archiveOf(t, dir(".", 0o755), dir("d", 0o755), dir("d/e", 0o755), file("d/e/f", "x"), link("d/l", "x"), early, file("d/f", "late")), root, Options{})
	for _, name := range []string{".", "d", "d/e", "d/e/f", "d/l", "d/f", "early"} {
		st, err := os.Lstat(filepath.Join(root, name))
		want := stamp
		if name == "early" {
			want = early.ModTime
		}
		if err != nil || !st.ModTime().Equal(want) {
			t.Errorf("%s has %v, %v; want %v", name, st.ModTime(), err, want)
		}
	}
}

// TestLastWins: of two entries with one name the last is there, whatever the
// two are.
func TestLastWins(t *testing.T) {
	kinds := map[string]item{
		"file": file("x", "content"), "empty": file("x", ""), "directory": dir("x", 0o711), "link": link("x", "y"),
		"hard": hard("x", "other"), "fifo": {tar.Header{Name: "x", Typeflag: tar.TypeFifo, Mode: 0o600}, ""},
	}
	if os.Geteuid() == 0 {
		kinds["device"] = item{tar.Header{Name: "x", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}, ""}
	}
	for first, a := range kinds {
		for second, b := range kinds {
			root, alone := tempDir(t), tempDir(t)
			// What is below a first directory goes with it.
			unpackOK(t, archiveOf(t, file("other", "o"), a, file("y/deep", "kept"), b), root, Options{})
			unpackOK(t, archiveOf(t, file("other", "o"), file("y/deep", "kept"), b), alone, Options{})
			got, err := lookAt(filepath.Join(root, "x"), false)
			want, wantErr := lookAt(filepath.Join(alone, "x"), false)
			if err != nil || wantErr != nil || got != want {
				t.Errorf("%s, then %s:\n got %s, %v\nwant %s, %v", first, second, got, err, want, wantErr)
			}
			if content(t, root, "y/deep") != "kept" {
				t.Errorf("%s, then %s: y/deep has changed", first, second)
			}
		}
	}
}

// TestFullDirectoryReplaced: a directory with everything in it makes way.
func TestFullDirectoryReplaced(t *testing.T) {
	root := tempDir(t)
	unpackOK(t, archiveOf(t, dir("x", 0o755), file("x/a/b/c/d", "1"), file("x/a/.removed-1/b/c/d", "1"), link("x/l", "../kept"), file("kept", "k"), file("x", "file")), root, Options{})
	if content(t, root, "x") != "file" || content(t, root, "kept") != "k" {
		t.Error("wrong content")
	}
}

// TestDeep: paths longer than one system call takes, made, linked, replaced
// and removed.
func TestDeep(t *testing.T) {
	root := tempDir(t)
	deep := strings.Repeat("directory-number/", 600)
	r := unpackOK(t, archiveOf(t, dir(deep, 0o700), file(deep+"f", "deep"), hard("near", deep+"f"), hard(deep+"h", "near"), file(deep+"f", "new"),
		file(strings.Repeat("n", 255), "long"), file(strings.Repeat("d/", 900)+"x", "")), root, Options{})
	if r.Files != 4 || content(t, root, "near") != "deep" || content(t, root, strings.Repeat("n", 255)) != "long" {
		t.Errorf("%+v", r)
	}
	unpackOK(t, archiveOf(t, file("directory-number", "file")), root, Options{})
	if content(t, root, "directory-number") != "file" {
		t.Error("not replaced")
	}
	_, err := Tar(context.Background(), bytes.NewReader(archiveOf(t, file(strings.Repeat("d/", maxName/2+1)+"x", ""))), root, Options{})
	mustFail(t, err, "bytes; 16384 are taken")
	_, err = Tar(context.Background(), bytes.NewReader(archiveOf(t, file(strings.Repeat("n", 256), ""))), root, Options{})
	mustFail(t, err, unix.ENAMETOOLONG.Error())
}

// TestReport: everything is counted, and what is left out is named.
func TestReport(t *testing.T) {
	socket := file("sock", "")
	socket.PAXRecords = map[string]string{"SCHILY.filetype": "socket"}
	acl := file("acl", "")
	acl.PAXRecords = map[string]string{"SCHILY.acl.access": "user::rw-"}
	refused := file("attr", "abc")
	refused.PAXRecords = map[string]string{"SCHILY.xattr.nonsense": "1", "SCHILY.xattr.user.mine": "value\x00\n", "SCHILY.xattr.user.none": ""}
	refused.Mode = 0o400
	global := item{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "c", "path": "../evil"}}, ""}
	device := item{tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, ""}
	unknown := item{tar.Header{Name: "label", Typeflag: 'V'}, ""}
	data := archiveOf(t, global, socket, acl, refused, device, dir("d", 0o755), link("l", "x"), hard("h", "attr"),
		item{tar.Header{Name: "fifo", Typeflag: tar.TypeFifo}, ""}, unknown)
	root := tempDir(t)
	r := unpackOK(t, data, root, Options{SkipDevices: true})
	skipped := strings.Join(r.Skipped, "\n")
	want := strings.Join([]string{
		`"sock": it is a socket, which exists while a process listens on it`,
		`"acl": SCHILY.acl.access: access lists as text are not understood; make the archive with tar --xattrs`,
		`"attr": extended attribute "nonsense": operation not supported`,
		`"null": device 1:3 was not asked for; a user namespace cannot make it`,
		`"label": entries of type 'V' have no file`,
	}, "\n")
	if skipped != want {
		t.Errorf("skipped:\n%s\nwant:\n%s", skipped, want)
	}
	if r.Files != 2 || r.Dirs != 1 || r.Links != 1 || r.HardLinks != 1 || r.Devices != 1 || r.Bytes != 3 {
		t.Errorf("%+v", r)
	}
	got, err := lookAt(filepath.Join(root, "attr"), false)
	if err != nil || !strings.Contains(got, "user.mine=76616c7565000a") {
		t.Errorf("%s, %v: no user.mine", got, err)
	}
}

// TestPrivileges: an owner, setuid and capabilities all stay, though each
// change of the one drops the others.
func TestPrivileges(t *testing.T) {
	requireRoot(t)
	root := tempDir(t)
	it := file("ping", "x")
	it.Mode, it.Uid, it.Gid = 0o6755, 1234, 4_000_000_000
	it.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
	device := item{tar.Header{Name: "dev", Typeflag: tar.TypeBlock, Mode: 0o4640, Uid: 5, Gid: 6, Devmajor: 4095, Devminor: 1<<20 - 1}, ""}
	l := link("l", "ping")
	l.Uid, l.Gid = 7, 8
	r := unpackOK(t, archiveOf(t, it, device, l), root, Options{Owner: true})
	if len(r.Skipped) > 0 {
		t.Error(r.Skipped)
	}
	for name, want := range map[string]string{
		"ping": "mode 106755 owner 1234:4000000000 * security.capability=0100000200200000000000000000000000000000",
		"dev":  "mode 64640 owner 5:6 * device 4095:1048575",
		"l":    "mode 120777 owner 7:8 *",
	} {
		got, err := lookAt(filepath.Join(root, name), false)
		head, tail, _ := strings.Cut(want, " *")
		if err != nil || !strings.HasPrefix(got, head) || !strings.HasSuffix(got, tail) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	device.Devmajor = 4096
	_, err := Tar(context.Background(), bytes.NewReader(archiveOf(t, device)), root, Options{})
	mustFail(t, err, "there is no device 4096:1048575")
}

// TestCompressed: what a reader gives decides, not what it is called.
func TestCompressed(t *testing.T) {
	plain := archiveOf(t, file("a", strings.Repeat("content ", 100_000)))
	name := filepath.Join(tempDir(t), "plain.tar.gz")
	if err := os.WriteFile(name, plain, 0o600); err != nil {
		t.Fatal(err)
	}
	commands := map[string][]string{
		"none": {"cat"}, "gzip": {"gzip", "-c"}, "xz": {"xz", "-c"}, "zstd": {"zstd", "-c"}, "bzip2": {"bzip2", "-c"},
		"two members": {"sh", "-c", `head -c 5000 "$0" | gzip; tail -c +5001 "$0" | gzip`},
		"two frames":  {"sh", "-c", `head -c 5000 "$0" | zstd; tail -c +5001 "$0" | zstd`},
		"two streams": {"sh", "-c", `head -c 5000 "$0" | xz; tail -c +5001 "$0" | xz`},
	}
	for format, argv := range commands {
		t.Run(format, func(t *testing.T) {
			for _, word := range []string{argv[0], strings.Fields(format)[0]} {
				if word != "none" && word != "two" {
					requireProgram(t, word)
				}
			}
			cmd := exec.Command(argv[0], append(argv[1:], name)...)
			data, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			root := tempDir(t)
			r := unpackOK(t, data, root, Options{})
			if r.Bytes != 800_000 || content(t, root, "a") != strings.Repeat("content ", 100_000) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestSparse: holes stay holes, in all of GNU tar's formats.
func TestSparse(t *testing.T) {
	requireProgram(t, "tar")
	from := tempDir(t)
	f, err := os.Create(filepath.Join(from, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	const size = 40 << 20
	for _, at := range []int64{0, 1 << 20, 10<<20 + 777, size - 5000} {
		if _, err := f.WriteAt(bytes.Repeat([]byte("data"), 1000), at); err != nil {
			t.Fatal(err)
		}
	}
	// The old format has no nanoseconds.
	if err := errors.Join(f.Truncate(size), f.Close(), os.Chtimes(f.Name(), stamp.Truncate(time.Second), stamp.Truncate(time.Second))); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--format=gnu"}, {"--format=pax", "--sparse-version=0.0"}, {"--format=pax", "--sparse-version=0.1"}, {"--format=pax", "--sparse-version=1.0"}} {
		data, err := exec.Command("tar", append(args, "-S", "-C", from, "-cf", "-", "sparse")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 1<<20 {
			t.Fatalf("%v: the archive has %d bytes; this file system keeps no holes", args, len(data))
		}
		root := tempDir(t)
		r := unpackOK(t, data, root, Options{})
		same(t, look(t, filepath.Join(root, "sparse"), false), look(t, filepath.Join(from, "sparse"), false))
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(root, "sparse"), &st); err != nil || st.Blocks*512 > 1<<20 || r.Bytes != size {
			t.Errorf("%v: %d bytes on disk, %+v, %v", args, st.Blocks*512, r, err)
		}
	}
}

// TestLimits: a bomb ends where it was told to.
func TestLimits(t *testing.T) {
	many := archiveOf(t, file("a", "12345"), file("b", "12345"), file("c", "12345"))
	for text, o := range map[string]Options{
		"more than 2 entries":            {MaxEntries: 2},
		"longer than 2000 bytes, decomp": {MaxBytes: 2000},
	} {
		_, err := Tar(context.Background(), bytes.NewReader(many), tempDir(t), o)
		mustFail(t, err, text)
	}
	unpackOK(t, many, tempDir(t), Options{MaxEntries: 3, MaxBytes: int64(len(many))})
	// A hole that no reader would come to the end of.
	requireProgram(t, "tar")
	from := tempDir(t)
	if err := os.WriteFile(filepath.Join(from, "hole"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(from, "hole"), 1<<43); err != nil {
		t.Skip("this file system has no files of 8 TiB")
	}
	data, err := exec.Command("tar", "-S", "-C", from, "-cf", "-", "hole").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Tar(context.Background(), bytes.NewReader(data), tempDir(t), Options{MaxBytes: 1 << 30})
	mustFail(t, err, "longer than 1073741824 bytes together")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = Tar(ctx, bytes.NewReader(data), tempDir(t), Options{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("out of time: %v", err)
	}
}

// onRead is an empty reader that calls f.
type onRead func()

func (f onRead) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// TestCancel: the context ends the decompressor too, and no goroutine goes on
// reading.
func TestCancel(t *testing.T) {
	for _, magic := range []string{"gzip", "xz", "zstd", "bzip2"} {
		requireProgram(t, magic)
		cmd := exec.Command(magic, "-c")
		cmd.Stdin = bytes.NewReader(archiveOf(t, file("a", strings.Repeat("0123456789", 1<<20))))
		data, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var used bool
		_, err = Tar(ctx, io.MultiReader(bytes.NewReader(data[:len(data)/2]), onRead(func() {
			if used {
				t.Errorf("%s: read after the end", magic)
			}
			used = true
			cancel()
		}), bytes.NewReader(data[len(data)/2:])), tempDir(t), Options{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", magic, err)
		}
	}
}

func gz(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
