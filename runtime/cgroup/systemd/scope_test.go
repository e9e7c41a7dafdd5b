package systemd

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// TestNoBus: without a user session the error says what to do, and nothing is
// started.
func TestNoBus(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	dir, stop, err := Scope(context.Background(), "isoperf-test", os.Getpid())
	if err == nil || dir != "" || stop != nil {
		t.Fatalf("Scope = %q, %v; want an error", dir, err)
	}
	for _, want := range []string{`start scope "isoperf-test.scope"`, "no user session bus at", "/bus", "systemd-logind", "run as root"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not say %q", err, want)
		}
	}
}

// TestDeadBus: an address nobody listens at is an error too, at once.
func TestDeadBus(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+t.TempDir()+"/bus")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, _, err := Scope(ctx, "isoperf-test", os.Getpid()); err == nil || !strings.Contains(err.Error(), "connect to the user session bus") {
		t.Errorf("Scope = %v", err)
	}
}

// TestScope starts a real one.
func TestScope(t *testing.T) {
	if err := findBus(); err != nil {
		if os.Getenv("ISOPERF_MUST_RUN") == "1" && os.Getenv("ISOPERF_SYSTEMD") == "1" {
			t.Fatalf("must run, but: %v", err)
		}
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	dir, stop, err := Scope(ctx, "isoperf-test-scope", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(dir+"/child", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir + "/child"); err != nil {
		t.Error(err)
	}
}
