package cgroup

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// planted makes files that look like mounted hierarchies.
func planted(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, f := range files {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, f), []byte("cpu memory pids\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestLineage(t *testing.T) {
	const one, two = "40 31 0:29 / /cpu rw - cgroup cgroup rw,cpu\n", "41 31 0:38 / /u rw - cgroup2 cgroup2 rw\n"
	for _, c := range []struct {
		name, mounts, proc string
		files              []string
		group              string
		dirs               []string
		hidden             bool
	}{
		{"v1", one, "3:cpu:/a/b\n", []string{"cpu/release_agent", "cpu/cgroup.procs", "cpu/a/b/cgroup.procs"}, "/a/b", []string{"cpu/a/b", "cpu/a", "cpu"}, false},
		{"v1 in a namespace", one, "3:cpu:/\n", []string{"cpu/cgroup.procs"}, "/", []string{"cpu"}, true},
		{"v1 mounted in part", strings.Replace(one, " / /cpu", " /docker/x /cpu", 1), "3:cpu:/docker/x/y\n", []string{"cpu/y/cgroup.procs"}, "/docker/x/y", []string{"cpu/y", "cpu"}, true},
		{"v2", two, "0::/a\n", []string{"u/cgroup.controllers", "u/a/cgroup.procs", "u/a/cgroup.events"}, "/a", []string{"u/a", "u"}, false},
		{"v2 in a namespace", two, "0::/\n", []string{"u/cgroup.controllers", "u/cgroup.procs", "u/cgroup.events"}, "/", []string{"u"}, true},
	} {
		root := planted(t, c.files...)
		h, err := DetectAt([]byte(c.mounts), []byte("0::/\n"), root)
		if err != nil {
			t.Fatal(err)
		}
		group, err := h.GroupOf("cpu", []byte(c.proc))
		if err != nil || group != c.group {
			t.Errorf("%s: group %q, %v", c.name, group, err)
		}
		l, err := h.Lineage("cpu", group)
		var dirs []string
		for _, g := range l.Groups {
			dirs = append(dirs, strings.TrimPrefix(g.Dir, root+"/"))
		}
		if err != nil || !reflect.DeepEqual(dirs, c.dirs) || l.Hidden != c.hidden {
			t.Errorf("%s: %q, hidden %v, %v", c.name, dirs, l.Hidden, err)
		}
		if l.Groups[0].Name != c.group {
			t.Errorf("%s: the first is %q", c.name, l.Groups[0].Name)
		}
		if at, ok := h.GroupAt(filepath.Join(root, c.dirs[0])); !ok || at != c.group {
			t.Errorf("%s: the group at its directory is %q, %v", c.name, at, ok)
		}
		if _, err := h.Lineage("cpu", "/nowhere"); err == nil {
			t.Errorf("%s: a group that is not there has a lineage", c.name)
		}
	}
}

func TestNamed(t *testing.T) {
	root := planted(t, "cpu/a/x.service/cgroup.procs", "u/cgroup.controllers", "u/a/x.service/cgroup.procs", "u/b/x.service/cgroup.procs")
	h, err := DetectAt([]byte("40 31 0:29 / /cpu rw - cgroup cgroup rw,cpu\n41 31 0:38 / /u rw - cgroup2 cgroup2 rw\n"), []byte("0::/\n"), root)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := h.Named("x.service"); err != nil || !reflect.DeepEqual(got, []string{"/a/x.service", "/b/x.service"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := h.Named("none"); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	if l, err := h.Lineage("cpu", "/../up"); err != nil || !l.Hidden || l.Groups != nil {
		t.Errorf("outside of the namespace: %+v, %v", l, err)
	}
	if _, ok := h.GroupAt(root); ok {
		t.Error("a directory beside the hierarchies is a group")
	}
	for _, f := range []func() error{
		func() error { _, err := h.Lineage("unknown", "/"); return err },
		func() error { _, err := h.GroupOf("cpu", []byte("5:pids:/\n")); return err },
	} {
		if f() == nil {
			t.Error("no error")
		}
	}
}
