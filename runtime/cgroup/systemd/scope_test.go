package systemd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// standIn puts a shell script in busctl's place, and returns the file in which it
// writes its arguments, a line for each call.
func standIn(t *testing.T, script string) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = dir + "/log"
	text := fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%s\n%s\n", log, script)
	if err := os.WriteFile(dir+"/busctl", []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return log
}

func calls(t *testing.T, log string) []string {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	const before = "--allow-interactive-authorization=no -- "
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], before)
	}
	return lines
}

const manager = "call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager "

// TestCalls: what busctl is given.
func TestCalls(t *testing.T) {
	log := standIn(t, `case "$*" in *Transient*) echo "Call failed: no" >&2; exit 1;; *ActiveState) echo 's "active"';; esac`)
	s := Scope{Name: "a-b.scope", Slice: "-.slice"}
	_, err := s.Start(t.Context(), 7, Number("MemoryMax", 5), Bytes("AllowedCPUs", []byte{3, 128}))
	if err == nil || err.Error() != `start scope "a-b.scope": systemd refuses: no` {
		t.Errorf("Start = %v", err)
	}
	for _, err := range []error{s.Set(t.Context(), Number("TasksMax", 9)), s.Set(t.Context()), s.Attach(t.Context(), "/x", 8), s.Stop(t.Context())} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{
		manager + "StartTransientUnit ssa(sv)a(sa(sv)) a-b.scope fail 8 Description s isolated by isoperf PIDs au 1 7 Delegate b true DefaultDependencies b false " +
			"CollectMode s inactive-or-failed Slice s -.slice MemoryMax t 5 AllowedCPUs ay 2 3 128 0",
		"get-property org.freedesktop.systemd1 /org/freedesktop/systemd1/unit/a_2db_2escope org.freedesktop.systemd1.Unit ActiveState",
		manager + "SetUnitProperties sba(sv) a-b.scope true 1 TasksMax t 9",
		"get-property org.freedesktop.systemd1 /org/freedesktop/systemd1/unit/a_2db_2escope org.freedesktop.systemd1.Unit ActiveState",
		manager + "AttachProcessesToUnit ssau a-b.scope /x 1 8",
		manager + "StopUnit ss a-b.scope replace",
	}
	if got := calls(t, log); !slices.Equal(got, want) {
		t.Errorf("the calls are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestFailedScope: what is left of a scope of the same name that failed is taken
// away, and one that systemd does not know needs no stopping.
func TestFailedScope(t *testing.T) {
	log := standIn(t, `case "$*" in
*Transient*|*StopUnit*) echo "Call failed: no" >&2; exit 1;;
*ActiveState) test -e "$0.reset" && echo 's "inactive"' || echo 's "failed"';;
*ResetFailed*) touch "$0.reset";;
esac`)
	s := Scope{Name: "a.scope"}
	if _, err := s.Start(t.Context(), 7); err == nil {
		t.Error("it started")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	var methods []string
	for _, c := range calls(t, log) {
		methods = append(methods, strings.Fields(strings.TrimPrefix(c, manager))[0])
	}
	want := []string{"StartTransientUnit", "get-property", "ResetFailedUnit", "StartTransientUnit", "get-property", "StopUnit", "get-property"}
	if !slices.Equal(methods, want) {
		t.Errorf("the calls are %q, want %q", methods, want)
	}
}

// TestUnmoved: a process that systemd does not move, and one that has ended, are
// errors.
func TestUnmoved(t *testing.T) {
	standIn(t, `case "$*" in *ActiveState) echo 's "failed"';; esac`)
	if _, err := (Scope{Name: "a.scope"}).Start(t.Context(), os.Getpid()); err == nil || !strings.Contains(err.Error(), "did not move process") {
		t.Errorf("Start = %v", err)
	}
	if _, err := (Scope{Name: "a.scope"}).Start(t.Context(), 1<<22+1); err == nil || !strings.Contains(err.Error(), "it may have ended") {
		t.Errorf("Start = %v", err)
	}
}

func TestUnit(t *testing.T) {
	standIn(t, `case "$*" in
*/a_5cx2db_2escope*.Scope*) printf '%s\n' 's "/user.slice/a\\x2db.scope"';;
*/_31_2eservice*.Service*) echo 's ""';;
*) echo "Failed to connect" >&2; exit 1;;
esac`)
	if got, err := Unit(t.Context(), `a\x2db.scope`, false); err != nil || got != `/user.slice/a\x2db.scope` {
		t.Errorf("Unit = %q, %v", got, err)
	}
	for name, want := range map[string]string{"1": "systemctl status 1.service", "b.mount": "Failed to connect; are systemd and the system bus up"} {
		if got, err := Unit(t.Context(), name, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Unit(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

// TestNoBus: without a user session the error says what to do.
func TestNoBus(t *testing.T) {
	standIn(t, "exit 0")
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	err := (Scope{Name: "a.scope", User: true}).Stop(t.Context())
	if err == nil {
		t.Fatal("it was asked")
	}
	for _, want := range []string{"no user session bus at", "/bus", "systemd-logind", "run as root"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not say %q", err, want)
		}
	}
}

// TestNoProgram: without busctl the error says what is missing.
func TestNoProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Unit(t.Context(), "a", false); err == nil || !strings.Contains(err.Error(), "put the directory of busctl in PATH") {
		t.Errorf("Unit = %v", err)
	}
}

// TestSlow: a call that does not end is given up with its context.
func TestSlow(t *testing.T) {
	standIn(t, "exec sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := (Scope{Name: "a.scope"}).Set(ctx, Number("TasksMax", 1)); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("Set = %v", err)
	}
}
