package startup

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// The table holds for what is here: every peer starts the payload, or says why it
// does not, and leaves nothing. The core must start.
func TestPeers(t *testing.T) {
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			untouched(t)
			var saw sample.Observed
			b := bench(t, Config{Runtimes: []Choice{{Name: p.name}}, Observe: func(o sample.Observed) error { saw = o; return nil }})
			s, err := b.Cases(few)[0].Open()
			if b.world != nil {
				t.Cleanup(func() { sameRoot(t, b.world) })
			}
			var not harness.NotMeasured
			switch {
			case errors.As(err, &not) && (p.slow > 0 || !mustStart(p.name)):
				t.Logf("%s is %v", p.name, not)
				return
			case err != nil:
				t.Fatal(err)
			}
			defer s.Close()
			s.Sample(1, func(values []sample.Value, err error) {
				if err != nil || len(values) < 3 {
					t.Errorf("one start: %v, %v", values, err)
				}
			})
			t.Logf("%s: lacks %q, adds %q", saw.Version, saw.Lacks, saw.Adds)
		})
	}
}

// A root or a bundle of the user's is used without a write to it, or not at all.
func TestOwnRootIsNotWrittenTo(t *testing.T) {
	root, bundle := t.TempDir(), t.TempDir()
	for d := root; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"dev", "proc", "sys", "run", "tmp", "root", "usr", "etc", "var"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(usualSpec(root, []string{"sh"}))
	err = errors.Join(err, os.WriteFile(filepath.Join(root, "etc", "os-release"), nil, 0o644), os.WriteFile(filepath.Join(bundle, "config.json"), text, 0o644))
	before, ferr := exec.Command("find", root).Output()
	if err := errors.Join(err, ferr); err != nil {
		t.Fatal(err)
	}
	for _, p := range slices.Concat(sandboxes(), engines(), []peer{*peerNamed("runsc"), *peerNamed("isoperf-run")}) {
		for what, c := range map[string]Config{"root": {Rootfs: root}, "bundle": {Bundle: bundle}} {
			t.Run(p.name+" "+what, func(t *testing.T) {
				c.Runtimes = []Choice{{Name: p.name}}
				s, err := bench(t, c).Cases(few)[0].Open()
				if not := (harness.NotMeasured{}); errors.As(err, &not) {
					t.Log(err)
				} else if err != nil {
					t.Error(err)
				} else {
					s.Sample(1, func(_ []sample.Value, err error) {
						if err != nil {
							t.Error(err)
						}
					})
					s.Close()
				}
				if after, err := exec.Command("find", root).Output(); err != nil || string(after) != string(before) {
					t.Fatalf("the root has %s, %v; before %s", after, err, before)
				}
			})
		}
	}
}

// sameRoot checks that nobody has written to the root that all share.
func sameRoot(t *testing.T, w *world) {
	t.Helper()
	found, err := filepath.Glob(w.root + "/*")
	more, err2 := filepath.Glob(w.root + "/*/*")
	want := []string{w.root + "/dev", w.root + "/payload", w.root + "/proc", w.root + "/sys"}
	if got := append(found, more...); errors.Join(err, err2) != nil || !slices.Equal(got, want) {
		t.Errorf("the root has %q, %v, %v; want %q", got, err, err2, want)
	}
}

// A start that is killed at any point leaves nothing, and the next one of the
// same name succeeds.
func TestPeersKilledMidway(t *testing.T) {
	for _, p := range peers() {
		if p.takes == programs || p.takes == inside {
			continue
		}
		if p.name == "firejail" && !asRoot() {
			t.Log("firejail is not killed: it is root's then, and so are the files that it leaves")
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			untouched(t)
			opened, err := bench(t, Config{Runtimes: []Choice{{Name: p.name}}}).Cases(few)[0].Open()
			if not := (harness.NotMeasured{}); errors.As(err, &not) && !mustStart(p.name) {
				t.Logf("%s is %v", p.name, not)
				return
			} else if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			s := opened.(*starter)
			whole, err := s.cycle()
			if err != nil {
				t.Fatal(err)
			}
			killed := 0
			for _, percent := range []int64{15, 30, 45, 60, 75} {
				s.img.Limit(program.Limits{Within: time.Duration(whole.total * percent / 100), Usage: true})
				if _, err := s.cycle(); errors.Is(err, program.ErrBound) {
					killed++
				} else if err != nil {
					t.Errorf("killed after %d %%: %v", percent, err)
				}
				s.img.Limit(program.Limits{Within: p.bound(), Usage: true})
				if _, err := s.cycle(); err != nil {
					t.Errorf("after one that was killed after %d %%: %v", percent, err)
				}
			}
			if killed == 0 {
				t.Error("not one was killed")
			}
		})
	}
}

// mustStart says whether a peer is one that every machine for development has.
func mustStart(name string) bool {
	switch name {
	case "fork-exec", "isorun", "library", "isoperf-run", "runc", "unshare":
		return true
	}
	return false
}

// untouched checks at the end that nothing is new where peers keep state,
// and no mount. It is called before bench: cleanups run in reverse. What somebody
// else is starting meanwhile has a while to go.
func untouched(t *testing.T) {
	t.Helper()
	list := func() map[string]bool {
		all := map[string]bool{}
		for _, top := range []string{"/run/firejail", "/run/lxc", "/run/systemd/nspawn", "/run/crun", "/run/runc", "/run/libpod", "/run/containers", "/var/lib/containers", "/var/lib/lxc"} {
			dirs, err := directories(top)
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range dirs {
				all[dir] = true
				files, _ := filepath.Glob(dir + "/*")
				for _, file := range files {
					all[file] = true
				}
			}
		}
		for _, top := range []string{"libpod_parent", "lxc.pivot", "payload", "supervisor"} {
			dirs, err := filepath.Glob(groupsAt + "/*/" + top)
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range dirs {
				all[dir] = true
			}
		}
		mounts, err := mountsBelow("")
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range mounts {
			if !strings.HasPrefix(place, "/tmp/") && !strings.HasPrefix(place, "/run/user/") {
				all["a mount on "+place] = true
			}
		}
		return all
	}
	before := list()
	t.Cleanup(func() {
		var fresh []string
		for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(100 * time.Millisecond) {
			fresh = nil
			for what := range list() {
				if !before[what] {
					fresh = append(fresh, what)
				}
			}
			if len(fresh) == 0 {
				return
			}
		}
		t.Errorf("these are new: %q", fresh)
	})
}

// A directory that was there, or has something in it, stays.
func TestLeaves(t *testing.T) {
	dir := t.TempDir()
	mkdir := func(names ...string) {
		for _, name := range names {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	mkdir("old/inside")
	w := &world{}
	if err := w.leaves([]string{filepath.Join(dir, "old"), filepath.Join(dir, "new")}, nil); err != nil {
		t.Fatal(err)
	}
	var order []int
	w.onClose(func() error { order = append(order, 1); return nil })
	w.onClose(func() error { order = append(order, 2); return errors.New("a hook failed") })
	mkdir("new/a/b", "old/c", "old/inside/d", "other/e", "new/full")
	if err := os.WriteFile(filepath.Join(dir, "new/full/file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := w.close(); err == nil || !strings.Contains(err.Error(), "a hook failed") {
		t.Errorf("what a hook says is lost: %v", err)
	}
	if len(order) != 2 || order[0] != 2 {
		t.Errorf("the hooks ran in the order %v", order)
	}
	out, err := exec.Command("find", dir, "-mindepth", "1", "-printf", "%P ").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(out))
	for _, want := range []string{"old", "old/inside", "other", "other/e", "new", "new/full", "new/full/file"} {
		i := 0
		for i < len(got) && got[i] != want {
			i++
		}
		if i == len(got) {
			t.Errorf("%s is gone", want)
			continue
		}
		got = append(got[:i], got[i+1:]...)
	}
	if len(got) > 0 {
		t.Errorf("left: %v", got)
	}
}
