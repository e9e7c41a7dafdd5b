package systemd

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestNoBus: without a user session the error says what to do.
func TestNoBus(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	conn, err := connectUser(t.Context())
	if err == nil || conn != nil {
		t.Fatalf("connectUser = %v, %v; want an error", conn, err)
	}
	for _, want := range []string{"no user session bus at", "/bus", "systemd-logind", "run as root"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not say %q", err, want)
		}
	}
}

// TestDeadBus: an address nobody listens at is an error too, at once.
func TestDeadBus(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+t.TempDir()+"/bus")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := connectUser(ctx); err == nil || !strings.Contains(err.Error(), "connect to the user session bus") {
		t.Errorf("connectUser = %v", err)
	}
}
