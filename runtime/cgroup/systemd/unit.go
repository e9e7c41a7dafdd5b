package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
)

// Unit is the control group of a running unit of the machine's systemd or, with
// user, of the caller's own: "/system.slice/ssh.service". A name without a suffix
// is a service's. It asks for a property, which every user may read.
func Unit(ctx context.Context, name string, user bool) (string, error) {
	kind := "Service"
	switch _, suffix, dotted := cutLast(name, "."); {
	case !dotted:
		name += ".service"
	case suffix == "scope" || suffix == "slice" || suffix == "socket" || suffix == "mount" || suffix == "swap":
		kind = strings.ToUpper(suffix[:1]) + suffix[1:]
	}
	conn, err := reader(ctx, user)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	p, err := conn.GetUnitTypePropertyContext(ctx, name, kind, "ControlGroup")
	if err != nil {
		return "", fmt.Errorf("ask systemd for the group of unit %q: %w", name, err)
	}
	group, _ := p.Value.Value().(string)
	if group == "" {
		return "", fmt.Errorf("unit %q has no control group: %w (systemctl status %s)", name, ErrNotRunning, name)
	}
	return group, nil
}

// ErrNotRunning is that of a unit that systemd does not know, or that does not
// run.
var ErrNotRunning = errors.New("it is not there, or it does not run")

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// reader connects to whom the unit belongs. Root has systemd's own socket; the
// others ask over the system's bus.
func reader(ctx context.Context, user bool) (*dbus.Conn, error) {
	switch {
	case user:
		return connectUser(ctx)
	case os.Geteuid() == 0:
		return connect(ctx)
	}
	conn, err := dbus.NewSystemConnectionContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the system bus: %w; is dbus running (systemctl status dbus)?", err)
	}
	return conn, nil
}
