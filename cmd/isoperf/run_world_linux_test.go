package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The tests of isoperf run start it for real, as root and as an ordinary user,
// in a world of their own (see inWorld).

// small makes a root file system of one static program, in s.dir/root, which
// is the caller's, and returns its path.
func (s *stage) small(t *testing.T) string {
	t.Helper()
	const busybox = "/bin/busybox"
	needs(t, busybox)
	root := filepath.Join(s.dir, "root")
	for _, dir := range []string{"bin", "etc", "tmp", "root", "home/ann"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"/bin/busybox": string(data),
		"/etc/passwd":  "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n",
		"/etc/group":   "root:x:0:\nann:x:1000:\nstaff:x:50:ann\n",
	}
	for name, text := range files {
		if err := os.WriteFile(root+name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name := range strings.FieldsSeq("sh cat cp echo env false grep hostname id ip kill ls mkdir mount nc nproc ps pwd readlink sleep stat stty timeout touch true wc wget") {
		if err := os.Symlink("busybox", root+"/bin/"+name); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// write writes a file of the test.
func (s *stage) write(t *testing.T, name, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

// matches runs isoperf; it has to end with 0 and print what fits a pattern.
func (s *stage) matches(t *testing.T, pattern string, args ...string) string {
	t.Helper()
	out, code := s.run(t, args...)
	if code != 0 || !regexp.MustCompile(pattern).MatchString(out) {
		t.Errorf("isoperf %q: exit status %d, want 0 and %q:\n%s", args, code, pattern, out)
	}
	return out
}

// traces is what runtimes leave when they leave anything: groups of those that
// the test started, processes, files of the test, and in a world of the test's
// own mounts and links. Others on the machine may run containers meanwhile.
func (s *stage) traces(t *testing.T) []string {
	t.Helper()
	all := slices.Concat(s.groups(), s.files(t))
	for _, pid := range descendants(os.Getpid()) {
		all = append(all, fmt.Sprintf("process %d", pid))
	}
	if !s.world { // no ordinary user makes any on the machine
		return all
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		all = append(all, "mounted at "+strings.Fields(line)[4])
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		all = append(all, "link "+l.Name)
	}
	return all
}

// groups are the control groups of the runtimes that the test started.
func (s *stage) groups() []string {
	var found []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		// isoperf-<pid namespace>-<pid>-<start>-<id>
		words := strings.Split(filepath.Base(path), "-")
		if err == nil && d.IsDir() && len(words) > 2 && words[0] == "isoperf" && slices.Contains(s.started, words[2]) {
			found = append(found, "control group "+path)
		}
		return nil
	})
	return found
}

// files are those of the test's directory, below the roots not.
func (s *stage) files(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && filepath.Base(filepath.Dir(path)) == "index" {
			return nil // digests of archives
		}
		found = append(found, "file "+path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// leavesNothing fails when there is more after f than before.
func (s *stage) leavesNothing(t *testing.T, f func()) {
	t.Helper()
	before := s.traces(t)
	f()
	for _, trace := range s.traces(t) {
		if !slices.Contains(before, trace) {
			t.Errorf("there is more than before: %s", trace)
		}
	}
}
