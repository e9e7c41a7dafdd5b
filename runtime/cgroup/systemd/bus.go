package systemd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

const (
	service = "org.freedesktop.systemd1"
	root    = "/org/freedesktop/systemd1"
)

// Ready says why systemd cannot be asked; user: the caller's own. nil: it may be.
func Ready(user bool) error {
	switch {
	case !Manages():
		return errors.New("systemd does not manage this machine: /run/systemd/system is missing")
	case user:
		if err := findBus(); err != nil {
			return err
		}
	}
	_, err := program()
	return err
}

// program finds busctl.
func program() (string, error) {
	path, err := exec.LookPath("busctl")
	if err != nil {
		return "", fmt.Errorf("find the program by which systemd is asked: %w; it is a part of systemd: put the directory of busctl in PATH", err)
	}
	return path, nil
}

// manager calls a method of systemd's manager, and returns what busctl prints.
func (s Scope) manager(ctx context.Context, method, types string, args ...string) (string, error) {
	call := append([]string{"call", service, root, service + ".Manager", method, types}, args...)
	return ask(ctx, s.User, call...)
}

// state is the property ActiveState: "inactive" also of a unit that there is not.
func (s Scope) state(ctx context.Context) (string, error) {
	return property(ctx, s.User, s.Name, "Unit", "ActiveState")
}

// property is a unit's property of type s.
func property(ctx context.Context, user bool, unit, kind, name string) (string, error) {
	text, err := ask(ctx, user, "get-property", service, root+"/unit/"+escape(unit), service+"."+kind, name)
	if err != nil {
		return "", err
	}
	value, err := strconv.Unquote(strings.TrimPrefix(text, "s "))
	if err != nil {
		return "", fmt.Errorf("read property %s of unit %q: busctl printed %q", name, unit, text)
	}
	return value, nil
}

// escape is a unit's name in an object's path: what is no letter nor digit is _ and
// two hexadecimal digits, and so is a digit that comes first.
func escape(name string) string {
	var b strings.Builder
	for i, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' && i > 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

// ask executes busctl.
func ask(ctx context.Context, user bool, args ...string) (string, error) {
	path, err := program()
	if err != nil {
		return "", err
	}
	whose, advice := "systemd", "are systemd and the system bus up (systemctl status dbus)?"
	flags := []string{"--allow-interactive-authorization=no"}
	if user {
		if err := findBus(); err != nil {
			return "", err
		}
		whose, advice = "the user's systemd", "is it running (loginctl user-status)?"
		flags = append(flags, "--user")
	}
	// What follows may begin with a dash, as "-.slice" does.
	cmd := exec.CommandContext(ctx, path, append(append(flags, "--"), args...)...)
	if dir := runtimeDir(); user && os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
	}
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	err = cmd.Run()
	switch {
	case err == nil:
		return strings.TrimSpace(out.String()), nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("ask %s: %w; %s", whose, context.Cause(ctx), advice)
	}
	said := strings.TrimSpace(problem.String())
	if refused, ok := strings.CutPrefix(said, "Call failed: "); ok {
		return "", fmt.Errorf("%s refuses: %s", whose, refused)
	}
	if said == "" {
		said = err.Error()
	}
	return "", fmt.Errorf("ask %s: busctl: %s; %s", whose, said, advice)
}

// runtimeDir is where the user's bus is.
func runtimeDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return dir
	}
	return "/run/user/" + strconv.Itoa(os.Getuid())
}

// findBus says what to do where the user has no bus.
func findBus() error {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return nil
	}
	socket := runtimeDir() + "/bus"
	if _, err := os.Stat(socket); err != nil {
		return fmt.Errorf("no user session bus at %q: log in through systemd-logind (ssh, machinectl shell; not su or sudo), or run as root, or leave the limits out", socket)
	}
	return nil
}
