package limits

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
)

// A null block device is made and goes again, with its module if that came for it;
// what a killed measurement has left goes when the next is made. Where there is
// none, the error says why, and nothing is left.
func TestNullDevice(t *testing.T) {
	_, before := os.Stat("/sys/module/null_blk")
	d, err := newNullDevice()
	var not harness.NotMeasured
	if errors.As(err, &not) {
		if not.Why == "" || os.Geteuid() == 0 && !strings.Contains(not.Why, "null_blk") && !strings.Contains(not.Why, "null block") {
			t.Errorf("why: %q", not.Why)
		}
		if _, after := os.Stat("/sys/module/null_blk"); (before == nil) != (after == nil) {
			t.Errorf("the module was there: %v, and is now: %v", before, after)
		}
		t.Logf("not measured: %s", not.Why)
		return // that it is told is what is tested
	}
	if err != nil {
		t.Fatal(err)
	}
	killed := leave(t)
	next, err := newNullDevice()
	if err == nil || !strings.Contains(err.Error(), "exist") { // this process has one
		t.Errorf("a second one of this process: %+v, %v", next, err)
	}
	if _, err := os.Stat(killed); err == nil {
		t.Errorf("%s of a process that is gone is still there", killed)
	}
	var st unix.Stat_t
	if err := unix.Stat(d.path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		t.Errorf("%s: %v, mode %o", d.path, err, st.Mode)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(d.path); err == nil {
		t.Errorf("%s is left", d.path)
	}
	if _, after := os.Stat("/sys/module/null_blk"); before != nil && after == nil {
		t.Error("the module is left")
	}
}

// leave makes a device as a process would that was killed since: of a number that
// no process has.
func leave(t *testing.T) (path string) {
	t.Helper()
	tree, err := openConfigfs()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(tree)
	n := &nullBlock{tree: tree, dir: "nullb/isoperf-4194305"} // above the highest (PID_MAX_LIMIT)
	err = unix.Mkdirat(tree, n.dir, 0o755)
	if err == nil {
		err = errors.Join(n.write("size", "1"), n.write("power", "1"))
	}
	path, perr := n.path()
	if err = errors.Join(err, perr); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the device of a killed process: %v", err)
	}
	return path
}
