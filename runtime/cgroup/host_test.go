package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree makes files under a temporary directory: a fake /sys/fs/cgroup.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const v2Mount = "30 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

// fakeV2 is a machine with version 2 alone, and a session as systemd makes it.
func fakeV2(t *testing.T, own string) (*Host, string) {
	t.Helper()
	top := "/sys/fs/cgroup"
	root := tree(t, map[string]string{
		top + "/cgroup.controllers":                       "cpuset cpu io memory hugetlb pids rdma\n",
		top + "/cgroup.subtree_control":                   "cpu memory pids\n",
		top + "/user.slice/cgroup.controllers":            "cpu memory pids\n",
		top + "/user.slice/cgroup.subtree_control":        "memory pids\n",
		top + "/user.slice/session.scope/cgroup.procs":    "1234\n",
		top + "/user.slice/scope/cgroup.controllers":      "memory pids\n",
		top + "/user.slice/scope/cgroup.subtree_control":  "",
		top + "/user.slice/scope/cgroup.procs":            "77\n78\n",
		top + "/user.slice/shared/cgroup.controllers":     "memory pids\n",
		top + "/user.slice/shared/cgroup.subtree_control": "memory\n",
		top + "/user.slice/shared/cgroup.procs":           "",
	})
	h, err := DetectAt([]byte("22 1 254:0 / / rw - ext4 /dev/vda rw\n"+v2Mount), []byte("0::"+own+"\n"), root)
	if err != nil {
		t.Fatal(err)
	}
	return h, root
}

// fakeHybrid is a machine with version 1, co-mounted cpu and cpuacct, and
// cgroup2 without controllers.
func fakeHybrid(t *testing.T) (*Host, string) {
	t.Helper()
	var mounts, own strings.Builder
	files := map[string]string{"/cg/unified/cgroup.controllers": "", "/cg/cpuset/cpuset.cpus": "0-3\n", "/cg/cpuset/cpuset.mems": "0\n"}
	for i, c := range []string{"cpu,cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "rdma", "net_cls,net_prio", "name=systemd"} {
		dir := "/cg/" + strings.TrimPrefix(c, "name=")
		fmt.Fprintf(&mounts, "%d 31 0:%d / %s rw,relatime shared:9 - cgroup cgroup rw,xattr,%s\n", 32+i, 29+i, dir, c)
		group := "/"
		if c == "memory" {
			group = "/job"
		}
		fmt.Fprintf(&own, "%d:%s:%s\n", 20-i, c, group)
		files[dir+"/tasks"] = ""
	}
	files["/cg/memory/job/tasks"] = ""
	mounts.WriteString("50 31 0:50 / /cg/unified rw - cgroup2 none rw\n")
	own.WriteString("0::/\n")
	root := tree(t, files)
	h, err := DetectAt([]byte(mounts.String()), []byte(own.String()), root)
	if err != nil {
		t.Fatal(err)
	}
	return h, root
}

func TestDetectAt(t *testing.T) {
	v2, _ := fakeV2(t, "/user.slice/session.scope")
	if v2.Mode() != "v2" || !slices.Equal(v2.Controllers(), []string{"v2:cpuset,cpu,io,memory,hugetlb,pids,rdma"}) {
		t.Errorf("%s %q", v2.Mode(), v2.Controllers())
	}
	hybrid, root := fakeHybrid(t)
	if hybrid.Mode() != "hybrid" || hybrid.Controllers()[0] != "cpu,cpuacct" || len(hybrid.Controllers()) != 12 {
		t.Errorf("%s %q", hybrid.Mode(), hybrid.Controllers())
	}
	if place, err := hybrid.find(&memory).place(); err != nil || place != root+"/cg/memory/job" {
		t.Errorf("memory's place is %q, %v", place, err)
	}
	if hybrid.find(&cpuacct) != hybrid.find(&cpu) || hybrid.find(&hugetlb).v2 {
		t.Error("a controller was found in the wrong hierarchy")
	}
	v1, err := DetectAt([]byte(`40 31 0:29 /docker/abc /a\040b rw - cgroup cgroup rw,cpu`+"\n"), []byte("3:cpu:/docker/abc/sub\n"), "")
	if err != nil || v1.Mode() != "v1" {
		t.Fatal(err, v1)
	}
	if place, err := v1.find(&cpu).place(); err != nil || place != "/a b/sub" {
		t.Errorf("the place is %q, %v", place, err)
	}
	for name, c := range map[string][2]string{
		"nothing mounted": {"22 1 254:0 / / rw - ext4 /dev/vda rw\n", ""},
		"cut":             {"22 1 - cgroup2\n", ""},
		"no files":        {v2Mount, "0::/\n"},
	} {
		if _, err := DetectAt([]byte(c[0]), []byte(c[1]), t.TempDir()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestPlace: where groups go, by where this process is.
func TestPlace(t *testing.T) {
	for own, want := range map[string]string{
		"/":                         "",
		"/user.slice/session.scope": "/user.slice",
		"/system.slice":             "",
		"/../other":                 "outside of this cgroup namespace",
	} {
		h, root := fakeV2(t, own)
		got, err := h.v2.place()
		if err != nil {
			got = err.Error()
		}
		if got != root+"/sys/fs/cgroup"+want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("%s: the place is %q, want %q", own, got, want)
		}
	}
	outside := hierarchy{root: "/docker/abc", mount: "/m", own: "/docker/abcd"}
	if _, err := outside.place(); err == nil || !strings.Contains(err.Error(), `only "/docker/abc"`) {
		t.Errorf("place = %v", err)
	}
}

// TestDetectReal: this machine's own arrangement.
func TestDetectReal(t *testing.T) {
	h, err := Detect()
	require(t, err == nil, fmt.Sprint(err))
	for _, tree := range h.trees() {
		if !exists(tree.mount + "/cgroup.procs") {
			t.Errorf("%s is not mounted at %q", tree.name(), tree.mount)
		}
		if dir, err := tree.dir(tree.own); err != nil || !exists(dir) {
			t.Errorf("%s: own group %q: %v", tree.name(), dir, err)
		}
	}
}
