package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What a killed isoperf leaves, doctor --sweep removes, and names; what a
// container has that still runs stays.
func TestRunSweep(t *testing.T) {
	rootOnly(t, func(t *testing.T, s *stage) {
		needs(t, "bash", "iptables-restore", "iptables-save")
		ownRecords(t)
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil { // the world's own
			t.Fatal(err)
		}
		before := s.traces(t)
		rules := output(t, "iptables-save", "-t", "nat")
		lives := s.shell(t, "run", "-m", "64M", "-n", "bridge", "bash")
		var dirs []string
		var out string
		for range 20 {
			b := s.shell(t, "run", "-m", "64M", "-p", "20", "-n", "bridge", "--publish", "8080:80", "bash")
			dirs = b.killed()
			if len(dirs) == 0 {
				t.Fatal("the container had no control group")
			}
			// Another isoperf on the machine may have swept before.
			if out = s.want(t, 0, "", "doctor", "--sweep"); strings.Contains(out, dirs[0]) {
				break
			}
		}
		for _, want := range []string{"removed control group " + dirs[0] + "\n", "removed rules of iso-", "removed record of iso-"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not in\n%s", want, out)
			}
		}
		for _, dir := range dirs {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is left", dir)
			}
		}
		s.nothingLeft(t)
		lives.want("lives", "echo lives")
		if len(ours(groupsOf(t, lives.pid))) == 0 {
			t.Error("the container that runs has lost its groups")
		}
		if code := lives.end("exit 3"); code != 3 {
			t.Errorf("it exits with %d", code)
		}
		s.same(t, before)
		if after := output(t, "iptables-save", "-t", "nat"); strings.Contains(after, "isoperf") || strings.Count(after, "-A") != strings.Count(rules, "-A") {
			t.Errorf("rules are left:\n%s", after)
		}
	})
}

// killed kills isoperf and waits until its container is gone. It returns the
// control groups that the container had.
func (b *shell) killed() []string {
	b.t.Helper()
	dirs := ours(groupsOf(b.t, b.pid))
	b.signal(syscall.SIGKILL)
	b.wait()
	// The group is noted to be nobody's once the process is gone.
	if !eventually(func() bool { return statusLine(b.pid, "State") == "" }) {
		b.t.Fatal("the container lives on")
	}
	return dirs
}

// nothingLeft fails when there is always more to sweep. Others on the machine
// may be killed meanwhile.
func (s *stage) nothingLeft(t *testing.T) {
	t.Helper()
	var out string
	if !eventually(func() bool {
		out = s.want(t, 0, "", "doctor", "--sweep")
		return out == "nothing was left behind\n"
	}) {
		t.Errorf("when all was swept it prints %q", out)
	}
}

// The next start with limits or a network sweeps too.
func TestRunSweepsNext(t *testing.T) {
	rootOnly(t, func(t *testing.T, s *stage) {
		needs(t, "bash")
		ownRecords(t)
		dirs := s.shell(t, "run", "-m", "64M", "bash").killed()
		s.want(t, 0, "", "run", "-p", "9", "true")
		for _, dir := range dirs {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is left", dir)
			}
		}
	})
}

// ownRecords gives the world a /run of its own, since records of the machine
// are not the test's.
func ownRecords(t *testing.T) {
	t.Helper()
	if err := unix.Mount("run", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
}

// ours are the directories of a runtime's groups.
func ours(dirs []string) []string {
	var list []string
	for _, dir := range dirs {
		if strings.HasPrefix(filepath.Base(dir), "isoperf-") {
			list = append(list, dir)
		}
	}
	return list
}

// same fails when there are more traces than before.
func (s *stage) same(t *testing.T, before []string) {
	t.Helper()
	was := map[string]bool{}
	for _, trace := range before {
		was[trace] = true
	}
	for _, trace := range s.traces(t) {
		if !was[trace] {
			t.Errorf("there is more than before: %s", trace)
		}
	}
}

// A half-unpacked tree is removed, also one with files of other ids; what is
// whole stays. What cannot be swept is said, with status 2.
func TestRunSweepCache(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		needs(t, "tar")
		if os.Geteuid() == 0 {
			ownRecords(t)
		} else {
			t.Setenv("XDG_RUNTIME_DIR", s.dir+"/home")
		}
		root := s.small(t)
		output(t, "tar", "--owner=0", "--group=0", "-C", root, "-cf", "it.tar", ".")
		s.matches(t, "", "run", "-r", "it.tar", "true")
		dir, err := cacheDir()
		if err != nil {
			t.Fatal(err)
		}
		whole, err := filepath.Glob(dir + "/*-*")
		if err != nil || len(whole) != 1 {
			t.Fatalf("the cache has %q, %v", whole, err)
		}
		half := whole[0] + ".tmp-123"
		// With a file of another user than the caller: one of the ranges.
		if out, err := exec.Command(s.bin, "run", "--namespaces", "mnt", "--", "sh", "-c", "cp -r "+whole[0]+" "+half+" && chown -R 7:7 "+half+"/etc && chmod 700 "+half+"/etc").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		s.want(t, 0, "removed half-unpacked root "+half+"\n", "doctor", "--sweep")
		if left, _ := filepath.Glob(dir + "/*-*"); len(left) != 1 || left[0] != whole[0] {
			t.Errorf("the cache has %q, want %q", left, whole)
		}
		s.nothingLeft(t)
		s.want(t, exitUsage, "sweep", "doctor", "--sweep", "--json")
		if err := os.RemoveAll(recordDir()); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(recordDir(), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.want(t, exitUsage, recordDir(), "doctor", "--sweep")
	})
}
