package limits

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
)

// leftGroups are the groups that this process has made and not removed.
func leftGroups(t *testing.T) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if d != nil && d.IsDir() && strings.HasPrefix(d.Name(), "isoperf-") && strings.Contains(d.Name(), "-ops") && strings.Contains(d.Name(), pidPart()) {
			list = append(list, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// pidPart is how a group's name has its owner.
func pidPart() string { return fmt.Sprintf("-%d-", os.Getpid()) }

// canOperate says whether groups of a hierarchy can be made here.
func canOperate(hierarchy string) bool {
	h, err := cgroup.Detect()
	if err != nil || os.Geteuid() != 0 {
		return false
	}
	if hierarchy == version2 {
		return h.Mode() != "v1"
	}
	return h.Mode() != "v2"
}

// Every operation is done and checked in every hierarchy that is here, with
// groups beside and above, and leaves nothing.
func TestOps(t *testing.T) {
	b := New(Config{})
	e := harness.Extent{Burst: 4, Paced: 2}
	cases := b.CgroupOps(e)
	for _, c := range append(b.Siblings(e), b.Depths(e)...) {
		if strings.Contains(c.Name, "siblings=30/") || strings.Contains(c.Name, "depth=10/") {
			cases = append(cases, c)
		}
	}
	measured := 0
	for _, c := range cases {
		if c.Paced && !strings.Contains(c.Name, "op=create") {
			continue // the same, only slower
		}
		t.Run(c.Name, func(t *testing.T) {
			_, hierarchy, _ := strings.Cut(c.Name, "hierarchy=")
			hierarchy, _, _ = strings.Cut(hierarchy, "/")
			s, err := c.Open()
			var not harness.NotMeasured
			if errors.As(err, &not) && not.Why != "" {
				if canOperate(hierarchy) && !strings.Contains(not.Why, "has no controllers here") {
					t.Errorf("it can be measured here, but: %v", err)
				}
				if list := leftGroups(t); len(list) > 0 {
					t.Errorf("left: %q", list)
				}
				return // without the hierarchy, or the rights
			}
			if err != nil {
				t.Fatal(err)
			}
			measured++
			n := 0
			s.Sample(3, func(v []sample.Value, err error) {
				if n++; err != nil || len(v) != 1 || v[0].Unit != "op-ns" || v[0].Value <= 0 {
					t.Errorf("%v, %v", v, err)
				}
			})
			if n != 3 {
				t.Errorf("%d samples", n)
			}
			if len(leftGroups(t)) == 0 {
				t.Error("there was no group, or it has another name")
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if list := leftGroups(t); len(list) > 0 {
				t.Errorf("left: %q", list)
			}
		})
	}
	if measured == 0 && canOperate(version2) {
		t.Error("nothing was measured")
	}
}

// A write that does not do what it should is a failure, not a time.
func TestOpsFail(t *testing.T) {
	hierarchy := version2
	if !canOperate(version2) {
		hierarchy = "pids"
	}
	o, err := newOpStage(t.Context(), hierarchy, opScene{depth: 1, moved: 2})
	var not harness.NotMeasured
	if errors.As(err, &not) {
		if canOperate(hierarchy) && os.Getenv("ISOPERF_MUST_RUN") == "1" {
			t.Fatalf("must run, but: %v", err)
		}
		t.Skip(not.Why)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := openMigrate(o, false)
	if err != nil {
		t.Fatal(err)
	}
	o.homes[0], o.homes[1] = o.homes[1], o.homes[0]
	s.Sample(1, func(_ []sample.Value, err error) {
		if err == nil || !strings.Contains(err.Error(), "is not in") {
			t.Errorf("%v", err)
		}
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
