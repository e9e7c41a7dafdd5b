package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inode says which file a descriptor is.
func inode(fd int) (uint64, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return st.Ino, err
}

// helpDescriptors has five files, 0 to 4, and gives them to children in every
// arrangement.
func helpDescriptors([]string) error {
	var errs []error
	for _, mode := range modes {
		for n := range 5 * 5 * 5 {
			from := [3]int{n % 5, n / 5 % 5, n / 25}
			if err := arrange(mode, from); err != nil {
				errs = append(errs, fmt.Errorf("mode %v, Stdio%v: %w", mode, from, err))
			}
		}
	}
	return errors.Join(errs...)
}

func arrange(mode Mode, from [3]int) error {
	p := New(mode, 0)
	p.Stdio(from[0], from[1], from[2])
	var stats [3]Arg
	var flags [3]Ref
	for i := range stats {
		stats[i] = Buffer(int(unsafe.Sizeof(unix.Stat_t{})))
		p.Add(Op{Name: "fstat", Call: unix.SYS_FSTAT, Args: [6]Arg{Int(i), stats[i]}})
		flags[i] = p.Add(Op{Name: "fcntl", Call: unix.SYS_FCNTL, Args: [6]Arg{Int(i), Int(unix.F_GETFD)}})
	}
	p.Add(Exit(0))
	img, err := Load(p)
	if err != nil {
		return err
	}
	defer img.Close()
	if _, err := img.Cycle(); err != nil {
		return err
	}
	for i := range stats {
		st := (*unix.Stat_t)(unsafe.Pointer(unsafe.SliceData(img.Buffer(stats[i]))))
		want, err := inode(from[i])
		if err != nil {
			return err
		}
		if st.Ino != want {
			return fmt.Errorf("%d is another file", i)
		}
		if bits, _ := img.Result(flags[i]); bits != 0 {
			return fmt.Errorf("%d is closed by execve", i)
		}
	}
	return nil
}

// TestStdio: all arrangements of the launcher's descriptors as the child's 0,
// 1 and 2, among them those that overlap.
func TestStdio(t *testing.T) {
	dir := t.TempDir()
	var files [5]*os.File
	for i := range files {
		f, err := os.Create(filepath.Join(dir, itoa(i)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	cmd := helper("descriptors")
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = files[0], files[1], files[2], files[3:]
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(files[2].Name())
		t.Errorf("%v\n%s", err, text)
	}
}

// TestKeepInherit: ops can use a kept descriptor, the command does not get it;
// it gets an inherited one under the same number.
func TestKeepInherit(t *testing.T) {
	requireFile(t, "/bin/sh")
	eachMode(t, func(t *testing.T, mode Mode) {
		for _, open := range []bool{false, true} { // on exec, as the launcher has them
			kept, text := pipe(t, open)
			inherited, _ := pipe(t, open)
			out, listing := pipe(t, false)
			p := New(mode, 0)
			p.Stdio(0, out, 2)
			p.Inherit(inherited)
			p.Keep(kept)
			p.DieWithParent()
			p.Add(Write(Int(kept), "kept"))
			p.Exec("/bin/sh", []string{"sh", "-c", "echo /proc/$$/fd/*"}, nil)
			proc := start(t, p)
			mustExit(t, proc, 0)
			for _, fd := range []int{kept, inherited, out} {
				unix.Close(fd)
			}
			if got := all(t, text); got != "kept" {
				t.Errorf("the op wrote %q", got)
			}
			var numbers []string
			for name := range strings.FieldsSeq(all(t, listing)) {
				numbers = append(numbers, filepath.Base(name))
			}
			list := " " + strings.Join(numbers, " ") + " "
			if strings.Contains(list, " "+itoa(kept)+" ") || !strings.Contains(list, " "+itoa(inherited)+" ") {
				t.Errorf("the command has descriptors%sof which %d was kept, %d inherited", list, kept, inherited)
			}
		}
	})
}

// pipe makes a pipe: the descriptor that writes, which an execve leaves open
// or closes, and the file that reads.
func pipe(t *testing.T, open bool) (int, *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if open {
		if _, err := unix.FcntlInt(uintptr(fds[1]), unix.F_SETFD, 0); err != nil {
			t.Fatal(err)
		}
	}
	r := os.NewFile(uintptr(fds[0]), "pipe")
	t.Cleanup(func() { r.Close() })
	return fds[1], r
}

func all(t *testing.T, r io.Reader) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
