package unpack

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tarOf makes a tar of a part of this machine's /usr, with hard links, modes
// and attributes added, of at most so many entries.
func tarOf(t testing.TB, entries int) string {
	t.Helper()
	requireProgram(t, "tar")
	base := tempDir(t)
	var names bytes.Buffer
	count := 0
	for _, part := range []string{"usr/bin", "usr/share/doc", "usr/include", "usr/lib/python3", "usr/share/perl", "usr/share"} {
		err := fs.WalkDir(os.DirFS("/"), part, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return fs.SkipDir
			}
			if info, err := d.Info(); err != nil || info.Size() > 1<<20 || count >= entries {
				return nil
			}
			if f, err := os.Open("/" + name); d.Type().IsRegular() && err != nil {
				return nil
			} else if err == nil {
				f.Close()
			}
			count++
			names.WriteString(name + "\x00")
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	archive := filepath.Join(base, "usr.tar")
	cmd := exec.Command("tar", "--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", "/", "--null", "--no-recursion", "-T", "-", "-cf", archive)
	cmd.Stdin = &names
	run(t, cmd)
	return archive
}

// tarX unpacks with the system's tar.
func tarX(t testing.TB, archive, dir string) {
	t.Helper()
	args := []string{"--xattrs", "--xattrs-include=*", "--numeric-owner", "--delay-directory-restore", "-C", dir, "-xpf", archive}
	cmd := exec.Command("tar", args...)
	run(t, cmd)
}

// compare unpacks an archive here and with tar, and compares everything.
func compare(t *testing.T, archive string) Report {
	t.Helper()
	base := tempDir(t)
	ours, theirs := filepath.Join(base, "ours"), filepath.Join(base, "theirs")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	old := unix.Umask(0o022)
	tarX(t, archive, theirs)
	unix.Umask(0o077)
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Tar(context.Background(), f, ours, Options{Owner: os.Geteuid() == 0})
	unix.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	got, want := look(t, ours, false), look(t, theirs, false)
	named := map[string]bool{}
	for name := range strings.SplitSeq(run(t, exec.Command("tar", "-tf", archive)), "\n") {
		if name != "" {
			named[filepath.Clean(name)] = true
		}
	}
	for _, all := range []map[string]string{got, want} {
		for name, text := range all {
			if !named[name] && strings.HasPrefix(text, "mode 40") { // made on the way, now
				all[name], _, _ = strings.Cut(text, " mtime")
			}
		}
	}
	same(t, got, want)
	return r
}

// TestLikeTarUsr: a real tree comes out as tar makes it: mode, owner, mtime,
// attributes, links and content of every entry.
func TestLikeTarUsr(t *testing.T) {
	r := compare(t, tarOf(t, 4000))
	t.Logf("%+v", r)
	if r.Files < 500 {
		t.Errorf("only %d files; this proves little", r.Files)
	}
}

// TestLikeTarOdd: as do the odd things, in each of tar's formats.
func TestLikeTarOdd(t *testing.T) {
	requireProgram(t, "tar")
	base := tempDir(t)
	from := filepath.Join(base, "from")
	long := strings.Repeat("long/", 30) + strings.Repeat("n", 200)
	script := `set -e
mkdir -p "$1" && cd "$1"
mkdir -p a/b/c locked sticky "$(dirname "$2")"
echo 1 > a/one; ln a/one a/b/two; ln a/one three; ln -s a/one soft; ln -s /no/where dangling; ln soft hardsoft
ln -s "$(printf %0500d 7)" longlink
echo long > "$2"; ln "$2" toLong
mkfifo fifo; : > empty; : > "new
line"; printf x > ' sp ace '; printf y > "$(printf 'caf\303\251')"; printf z > "$(printf 'bad\377')"
head -c 1000000 /dev/zero > zeros; head -c 300000 /dev/urandom > random
chmod 4755 a/one; chmod 2711 random; chmod 1777 sticky; echo in > locked/in; chmod 0555 locked
touch -d '1969-12-31 23:59:58.25 UTC' a/one; touch -h -d '2001-02-03 04:05:06.987654321 UTC' soft
touch -d '2030-01-01 00:00:00.5 UTC' a/b a
`
	if os.Geteuid() == 0 {
		script += "chmod 0 empty; mknod null c 1 3; mknod loop b 7 300; chown 12345:54321 random; chown -h 7:8 dangling; chmod 6755 random\n"
	}
	run(t, exec.Command("sh", "-c", script, "sh", from, long))
	for _, x := range []string{"user.one", "user.two"} {
		if err := unix.Setxattr(filepath.Join(from, "random"), x, []byte("value\n\x00"+x), 0); err != nil {
			t.Logf("%s: %v", x, err)
		}
	}
	for _, format := range []string{"gnu", "pax", "posix", "oldgnu"} {
		t.Run(format, func(t *testing.T) {
			archive := filepath.Join(base, format+".tar")
			args := []string{"--format=" + format, "--numeric-owner", "-C", from, "-cf", archive, "."}
			if format == "pax" {
				args = append([]string{"--xattrs", "--xattrs-include=*"}, args...)
			}
			run(t, exec.Command("tar", args...))
			compare(t, archive)
		})
	}
}

// BenchmarkUnpack unpacks a part of /usr, in turns with the system's tar.
func BenchmarkUnpack(b *testing.B) {
	archive := tarOf(b, 6000)
	list, err := exec.Command("tar", "-tf", archive).Output()
	if err != nil {
		b.Fatal(err)
	}
	entries := float64(bytes.Count(list, []byte("\n")))
	for name, f := range map[string]func(dir string){
		"by=isoperf": func(dir string) {
			f, err := os.Open(archive)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			if _, err := Tar(context.Background(), f, dir, Options{Owner: os.Geteuid() == 0}); err != nil {
				b.Fatal(err)
			}
		},
		"by=tar": func(dir string) { tarX(b, archive, dir) },
	} {
		b.Run(name, func(b *testing.B) {
			base := tempDir(b)
			for b.Loop() {
				b.StopTimer()
				dir, err := os.MkdirTemp(base, "")
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				f(dir)
				b.StopTimer()
				if err := Remove(dir); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(entries*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
