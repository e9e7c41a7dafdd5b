package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Where this user may enable no controller, those of Usual are left out, and those
// with a limit are an error.
func TestUsualNotAllowed(t *testing.T) {
	h, _ := fakeV2(t, "/")
	control := h.v2.mount + "/cgroup.subtree_control"
	// A file that is read, and that not even root may write.
	if err := errors.Join(os.Remove(control), os.Symlink("/proc/sys/kernel/ostype", control)); err != nil {
		t.Fatal(err)
	}
	o := Options{ID: "box", Always: true, Usual: true, Detached: true}
	p, err := h.Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	g, err := p.Create()
	if err != nil {
		t.Fatalf("without limits: %v", err)
	}
	if filepath.Dir(g.Dir("v2")) != h.v2.mount || !exists(g.Dir("v2")) {
		t.Errorf("the group is %q", g.Dir("v2"))
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	o.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(5))}}
	if p, err = h.Plan(o); err != nil {
		t.Fatal(err)
	}
	if _, err = p.Create(); !errors.Is(err, unix.EACCES) {
		t.Errorf("with a limit: %v, want %v", err, unix.EACCES)
	}
}
