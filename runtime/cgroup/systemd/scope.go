// Package systemd asks systemd for a delegated scope: a control group of version
// 2 below which others may be made. An ordinary user gets it from the own
// systemd, and could make none without. Root gets it from the machine's, and
// could make groups anywhere: but outside of what is delegated the tree is
// systemd's, which at its next reload takes the controllers away from those that
// it has not made, and the limits with them.
//
//	Scope ──D-Bus──► systemd: StartTransientUnit(NAME.scope, Delegate, PIDs) ──► directory, for cgroup.Options.Parent
//	Unit ───D-Bus──► the property ControlGroup of a unit that runs
//
// Sources: org.freedesktop.systemd1(5), systemd.scope(5),
// https://systemd.io/CGROUP_DELEGATION.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"

	"isoperf/runtime/cgroup"
)

// Manages says whether systemd manages this machine's control groups, and so
// whether root should ask it too; see sd_booted(3).
func Manages() bool {
	info, err := os.Stat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// Scope moves process pid into a new scope of the caller's, name or name.scope,
// with all its controllers delegated, and returns the scope's directory. An
// ordinary user can give only processes of their own. systemd removes the scope
// when its last process has ended. Stop ends it, with every process in it; when
// pid is this process it only gives the connection back.
func Scope(ctx context.Context, name string, pid int) (dir string, stop func() error, err error) {
	name = strings.TrimSuffix(name, ".scope") + ".scope"
	fail := func(err error) (string, func() error, error) {
		return "", nil, fmt.Errorf("start scope %q: %w", name, err)
	}
	host, err := cgroup.Detect()
	if err != nil {
		return fail(err)
	}
	// The connection would end with the context, and the scope is to be ended after
	// an interruption too.
	conn, err := connect(context.WithoutCancel(ctx))
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	if err = start(ctx, conn, name, pid); err != nil {
		return fail(err)
	}
	group, err := conn.GetUnitTypePropertyContext(ctx, name, "Scope", "ControlGroup")
	if err != nil {
		return fail(fmt.Errorf("read its control group: %w", err))
	}
	path, ok := group.Value.Value().(string)
	if !ok || path == "" {
		err = errors.New("it has no control group; its process may have ended")
		return fail(err)
	}
	if dir, err = host.Unified(path); err != nil {
		return fail(err)
	}
	return dir, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return end(ctx, conn, name, pid)
	}, nil
}

// patience is how long systemd may take to end a scope.
const patience = 30 * time.Second

// connect connects root to the machine's systemd, others to their own.
func connect(ctx context.Context) (*dbus.Conn, error) {
	if os.Geteuid() == 0 {
		conn, err := dbus.NewSystemdConnectionContext(ctx)
		if err != nil {
			return nil, fmt.Errorf("connect to systemd: %w; is it process 1 (systemctl is-system-running)?", err)
		}
		return conn, nil
	}
	return connectUser(ctx)
}

// connectUser connects to the user's systemd.
func connectUser(ctx context.Context) (*dbus.Conn, error) {
	if err := findBus(); err != nil {
		return nil, err
	}
	conn, err := dbus.NewUserConnectionContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the user session bus: %w; is systemd --user running (loginctl user-status)?", err)
	}
	return conn, nil
}

// findBus says what to do where there is no bus, rather than let the library
// start one.
func findBus() error {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return nil
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = "/run/user/" + strconv.Itoa(os.Getuid())
	}
	if _, err := os.Stat(dir + "/bus"); err != nil {
		return fmt.Errorf("no user session bus at %q: log in through systemd-logind (ssh, machinectl shell; not su or sudo), or run as root, or leave the limits out", dir+"/bus")
	}
	return nil
}

// start starts the scope and waits for the job's end.
func start(ctx context.Context, conn *dbus.Conn, name string, pid int) error {
	properties := []dbus.Property{
		dbus.PropDescription("isoperf container"),
		dbus.PropPids(uint32(pid)),
		{Name: "Delegate", Value: godbus.MakeVariant(true)},
		// A scope whose processes were killed would otherwise stay as failed.
		{Name: "CollectMode", Value: godbus.MakeVariant("inactive-or-failed")},
	}
	done := make(chan string, 1)
	if _, err := conn.StartTransientUnitContext(ctx, name, "fail", properties, done); err != nil {
		return fmt.Errorf("ask systemd for it: %w", err)
	}
	select {
	case result := <-done:
		if result != "done" {
			return fmt.Errorf("systemd's job ended with %q; see journalctl --user -u %s", result, name)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for systemd's job: %w", ctx.Err())
	}
}

func end(ctx context.Context, conn *dbus.Conn, name string, pid int) error {
	defer conn.Close()
	if pid == os.Getpid() {
		return nil
	}
	var gone godbus.Error
	if _, err := conn.StopUnitContext(ctx, name, "replace", nil); err != nil &&
		(!errors.As(err, &gone) || gone.Name != "org.freedesktop.systemd1.NoSuchUnit") {
		return fmt.Errorf("stop scope %q: %w", name, err)
	}
	return nil
}
