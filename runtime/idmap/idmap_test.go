package idmap

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestKeep(t *testing.T) {
	sub := []uint32{0, 1001, 1, 1, 100000, 65536}
	for _, test := range []struct {
		name string
		from []uint32
		id   int
		want []uint32
	}{
		{"podman's", sub, 1001, []uint32{0, 100000, 1001, 1001, 1001, 1, 1002, 101001, 64535}},
		{"own alone", []uint32{0, 1001, 1}, 1001, []uint32{1001, 1001, 1}},
		{"nothing", nil, 1001, []uint32{1001, 1001, 1}},
		{"root", []uint32{0, 0, 1, 1, 100000, 10}, 0, []uint32{0, 0, 1, 1, 100000, 10}},
		{"few others", []uint32{0, 1001, 1, 1, 100000, 10}, 1001, []uint32{0, 100000, 10, 1001, 1001, 1}},
		{"just enough", []uint32{0, 5, 1, 1, 100000, 5}, 5, []uint32{0, 100000, 5, 5, 5, 1}},
		{"two ranges", []uint32{0, 5, 1, 1, 100, 3, 4, 200, 10}, 5, []uint32{0, 100, 3, 3, 200, 2, 5, 5, 1, 6, 202, 8}},
		{"not in order", []uint32{4, 200, 10, 1, 100, 3, 0, 5, 1}, 5, []uint32{0, 100, 3, 3, 200, 2, 5, 5, 1, 6, 202, 8}},
		{"own within a range", []uint32{0, 0, 10}, 4, []uint32{0, 0, 4, 4, 4, 1, 5, 5, 5}},
		{"one behind", []uint32{0, 0, 6}, 4, []uint32{0, 0, 4, 4, 4, 1, 5, 5, 1}},
	} {
		got := Keep(same(test.from...), test.id, test.id)
		if diff := cmp.Diff(same(test.want...), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if err := got.Check(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	got := Keep(Maps{UIDs: lines(0, 7, 1), GIDs: lines(0, 8, 1)}, 7, 8)
	if diff := cmp.Diff(Maps{UIDs: lines(7, 7, 1), GIDs: lines(8, 8, 1)}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTranslate(t *testing.T) {
	m := Maps{UIDs: lines(0, 1001, 1, 1, 100000, 10), GIDs: lines(0, 1002, 1, 1, 200000, 10)}
	for _, test := range []struct{ inside, uid, gid int }{{0, 1001, 1002}, {1, 100000, 200000}, {10, 100009, 200009}} {
		uid, ok1 := m.HostUID(test.inside)
		gid, ok2 := m.HostGID(test.inside)
		if !ok1 || !ok2 || uid != test.uid || gid != test.gid {
			t.Errorf("%d inside is %d %v, %d %v; want %d, %d", test.inside, uid, ok1, gid, ok2, test.uid, test.gid)
		}
		uid, ok1 = m.InsideUID(test.uid)
		gid, ok2 = m.InsideGID(test.gid)
		if !ok1 || !ok2 || uid != test.inside || gid != test.inside {
			t.Errorf("%d, %d outside are %d %v, %d %v; want %d", test.uid, test.gid, uid, ok1, gid, ok2, test.inside)
		}
	}
	for _, id := range []int{-1, 11, 1 << 32, 1<<32 + 1} {
		if got, ok := m.HostUID(id); ok {
			t.Errorf("%d inside is %d outside", id, got)
		}
	}
	for _, id := range []int{-1, 0, 1000, 100010, 1<<32 + 1001} {
		if got, ok := m.InsideUID(id); ok {
			t.Errorf("%d outside is %d inside", id, got)
		}
	}
}

// many are n ranges of one id, each as far outside as inside, from first on
// and a step apart.
func many(n int, first, step uint32) Maps {
	var list []specs.LinuxIDMapping
	for i := range uint32(n) {
		list = append(list, specs.LinuxIDMapping{ContainerID: first + i*step, HostID: first + i*step, Size: 1})
	}
	return Maps{UIDs: list, GIDs: list}
}

// TestCheck: what Check refuses, the kernel refuses, and it takes the rest.
func TestCheck(t *testing.T) {
	root := os.Geteuid() == 0
	for _, test := range []struct {
		name string
		maps Maps
		err  string // "": good
	}{
		{"own", Own(0, 0), ""},
		{"empty", Maps{}, "check linux.uidMappings: it is empty"},
		{"no groups", Maps{UIDs: lines(0, 0, 1)}, "check linux.gidMappings: it is empty"},
		{"no id 0", same(1, 1, 1), ""},
		{"size 0", same(0, 0, 1, 1, 1, 0), "range 1 (1 1 0) has size 0"},
		{"touching", same(0, 0, 10, 10, 10, 10), ""},
		{"overlap inside", same(0, 0, 10, 9, 10, 10), "ranges 0 (0 0 10) and 1 (9 10 10) overlap inside"},
		{"overlap outside", same(0, 0, 10, 10, 9, 10), "ranges 0 (0 0 10) and 1 (10 9 10) overlap outside"},
		{"contained", same(5, 5, 1, 0, 100, 10), "overlap inside"},
		{"highest", same(4294967294, 0, 1), ""},
		{"past the highest", same(4294967294, 0, 2), "goes past the highest id, 4294967294"},
		{"past the highest outside", same(0, 4294967295, 1), "goes past the highest id"},
		{"all", same(0, 0, 4294967295), ""},
		{"340", many(340, 0, 2), ""},
		{"341", many(341, 0, 2), "it has 341 ranges, the kernel takes 340"},
		{"a page", many(200, 4000000000, 2), "its 200 ranges take 4800 bytes of text"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.maps.Check()
			if (test.err == "") != (err == nil) || !strings.Contains(message(err), test.err) {
				t.Errorf("Check says %v, want %q", err, test.err)
			}
			if !root {
				return
			}
			requireUserNamespaces(t)
			n := unshared(t, nil)
			var refused error
			for _, side := range test.maps.sides() {
				if len(side.list) == 0 {
					return // a write of nothing is no system call to refuse
				}
				path := fmt.Sprintf("/proc/%d/%s", n.Pid(), side.file)
				if err := os.WriteFile(path, text(side.list), 0); err != nil {
					refused = err
				}
			}
			if (refused == nil) != (test.err == "") {
				t.Errorf("the kernel says %v", refused)
			}
		})
	}
}
