package feature

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The real machine may refuse anything, with a reason; what it may not do is
// surprise a probe.
func TestRealMachine(t *testing.T) {
	h := New()
	results := h.All(context.Background())
	names := map[string]bool{}
	for _, r := range results {
		t.Logf("%-12s %-24s %-8s %s%s | %s", r.Group, r.Name, r.State, r.Detail, r.Why, r.Fix)
		if r.State == ProbeFailed && r.Group != groupPrograms {
			t.Errorf("%s: the probe failed: %v", r.Name, r.Err)
		}
		if names[r.Name] {
			t.Errorf("two results are called %q", r.Name)
		}
		names[r.Name] = true
		complete(t, r)
	}
	for _, f := range families() {
		for _, name := range append(f.needs, f.parts...) {
			if !names[name] {
				t.Errorf("family %s asks for %q, which no probe answers", f.name, name)
			}
		}
	}
	for _, f := range Families(results) {
		t.Logf("family %-8s %-8s %d missing", f.Name, f.State, len(f.Missing))
	}
}

// A probe leaves nothing behind: no descriptor, no child.
func TestProbesLeaveNothing(t *testing.T) {
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	h := New()
	h.All(context.Background()) // the poller opens its own descriptors once
	before := open()
	h.All(context.Background())
	if after := open(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	children, err := os.ReadFile("/proc/thread-self/children")
	if err == nil && len(children) > 0 {
		t.Errorf("children are left: %s", children)
	}
}

// complete checks what every result owes its reader.
func complete(t *testing.T, r Result) {
	t.Helper()
	switch {
	case r.Group == "" || r.Name == "":
		t.Errorf("%+v has no name", r)
	case r.State == Have && (r.Detail == "" || r.Why != "" || r.Fix != ""):
		t.Errorf("%s is here, and must say what was found and no more: %+v", r.Name, r)
	case r.State != Have && (r.Why == "" || r.Fix == ""):
		t.Errorf("%s is %s without a reason or a remedy: %+v", r.Name, r.State, r)
	case r.State == ProbeFailed && r.Err == nil:
		t.Errorf("%s failed without an error", r.Name)
	}
}

// A program that does not answer, and whose child holds the pipe, is given up
// and killed with its child.
func TestVersionEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
		return path
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := programVersion(ctx, script("slow", "sleep 30 & wait"))
	if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Second {
		t.Errorf("a silent program: %v after %v", err, took)
	}
	line, err := programVersion(context.Background(), script("quick", "echo; echo ' v1.2 ' >&2; echo more"))
	if line != "v1.2" || err != nil {
		t.Errorf("a program that answers: %q, %v", line, err)
	}
	line, err = programVersion(context.Background(), script("broken", "echo no; exit 3"))
	if line != "no" || err == nil {
		t.Errorf("a program that refuses: %q, %v", line, err)
	}
}
