package program

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExecFirst: the first file that can be executed runs; when there is none,
// the last path says why.
func TestExecFirst(t *testing.T) {
	requireFile(t, "/bin/sh")
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		paths []string
		errno error
	}{
		{[]string{"/bin/sh"}, nil},
		{[]string{dir + "/none", plain, plain + "/below", "/bin/sh", "/none"}, nil},
		{[]string{dir + "/none", plain}, unix.EACCES},
		{[]string{plain, dir + "/none"}, unix.ENOENT},
	} {
		p := New(Stub, 0)
		p.ExecFirst(test.paths, []string{"sh", "-c", "exit 9"}, nil)
		proc, err := Start(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := proc.WaitExec(); (err == nil) != (test.errno == nil) {
			t.Errorf("%v: seen executed: %v", test.paths, err)
		}
		status, err := proc.Wait()
		if !errors.Is(err, test.errno) || test.errno == nil && status.Code != 9 {
			t.Errorf("%v: %v, %v; want %v", test.paths, status, err, test.errno)
		}
		proc.Release()
	}
}
