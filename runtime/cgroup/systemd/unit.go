package systemd

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Unit is the control group of a running unit of the machine's systemd or, with
// user, of the caller's own: "/system.slice/ssh.service". A name without a suffix
// is a service's. It asks for a property, which every user may read.
func Unit(ctx context.Context, name string, user bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	kind := "Service"
	if i := strings.LastIndexByte(name, '.'); i < 0 {
		name += ".service"
	} else {
		switch suffix := name[i+1:]; suffix {
		case "scope", "slice", "socket", "mount", "swap":
			kind = strings.ToUpper(suffix[:1]) + suffix[1:]
		}
	}
	group, err := property(ctx, user, name, kind, "ControlGroup")
	if err != nil {
		return "", fmt.Errorf("ask for the group of unit %q: %w", name, err)
	}
	if group == "" {
		return "", fmt.Errorf("unit %q has no control group: %w (systemctl status %s)", name, ErrNotRunning, name)
	}
	return group, nil
}

// ErrNotRunning is that of a unit that systemd does not know, or that does not
// run.
var ErrNotRunning = errors.New("it is not there, or it does not run")
