// Package systemd has systemd make control groups of version 2: transient scopes,
// with all their controllers delegated. An ordinary user gets them from the own
// systemd, and could make none without. Root gets them from the machine's, and
// could make groups anywhere: but outside of what is delegated the tree is
// systemd's, which at its next reload takes the controllers away from those that
// it has not made, and the limits with them. The limits of a scope itself it writes
// again at each reload, as it knows them: so it has to be told them.
//
//	Scope.Start  ──► StartTransientUnit(NAME.scope, Slice, PIDs, Delegate, limits) ──► the process is in the group
//	Scope.Set    ──► SetUnitProperties(NAME.scope, limits)
//	Scope.Attach ──► AttachProcessesToUnit(NAME.scope, process)
//	Scope.Stop   ──► StopUnit(NAME.scope)
//	Unit         ──► the property ControlGroup of a unit that runs
//
// # Why a program
//
// Each is one D-Bus call, made by busctl, which is a part of systemd: where there
// is something to ask, there is busctl. A library for D-Bus brings Go's package net
// and doubles what isorun has to initialise at every start, also where nothing is
// asked; the protocol written down here would be a second client to keep right. A
// call costs some milliseconds, and a container takes one, at its creation. The
// types are busctl's, and errors are systemd's words.
//
// A scope is only made around a process that there is, and moving it is systemd's
// part, which an ordinary user could not do: the group where it was is another's.
// So a container's child is not born in its scope; it waits until it is there.
//
// Sources: org.freedesktop.systemd1(5), systemd.scope(5),
// systemd.resource-control(5), busctl(1), https://systemd.io/CGROUP_DELEGATION.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"isoperf/runtime/namespace"
)

// Scope is a scope of systemd's, or one to be.
type Scope struct {
	Name string // "libpod-abc.scope"
	// Slice is the unit that it is in; empty: system.slice, or app.slice of a
	// user's systemd. It counts for Start alone.
	Slice string
	// User says that it is one of the caller's own systemd.
	User bool
}

// Property is a property of a unit, with its type as D-Bus writes it, and its value
// as busctl does.
type Property struct {
	Name, Type string
	Value      []string
}

// Number is a property of type t; systemd's infinity is the largest.
func Number(name string, n uint64) Property {
	return Property{name, "t", []string{strconv.FormatUint(n, 10)}}
}

// Bytes is a property of type ay.
func Bytes(name string, list []byte) Property {
	p := Property{name, "ay", []string{strconv.Itoa(len(list))}}
	for _, b := range list {
		p.Value = append(p.Value, strconv.Itoa(int(b)))
	}
	return p
}

// Manages says whether systemd manages this machine's control groups, and so
// whether root should ask it too; see sd_booted(3).
func Manages() bool {
	info, err := os.Stat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// Own says whether this process is to ask the user's systemd rather than the
// machine's. Root of a user namespace, as rootless engines are, is a user to that.
func Own() bool { return os.Geteuid() != 0 || namespace.InUser() }

// patience is how long systemd may take for what it was asked.
const patience = 30 * time.Second

// Start makes the scope, with all its controllers delegated, and moves a process
// into it. It returns the group, as in /proc/PID/cgroup, when the process is there:
// by then systemd has written the limits. An ordinary user can give only processes
// of their own. systemd removes the scope when its last process has ended.
//
// What is left of a failed scope of the same name is taken away.
func (s Scope) Start(ctx context.Context, pid int, limits ...Property) (group string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	args := []string{s.Name, "fail"}
	args = append(args, properties(append(s.always(pid), limits...))...)
	args = append(args, "0") // no units beside it
	for again := 0; ; again++ {
		_, err = s.manager(ctx, "StartTransientUnit", "ssa(sv)a(sa(sv))", args...)
		if err == nil || again == 3 {
			break
		}
		state, serr := s.state(ctx)
		if serr != nil || state != "failed" && state != "deactivating" {
			break
		}
		if state == "failed" {
			_, _ = s.manager(ctx, "ResetFailedUnit", "s", s.Name) // the next attempt says what is wrong
		} else {
			time.Sleep(50 * time.Millisecond)
		}
	}
	if err == nil {
		if group, err = s.entered(ctx, pid); err != nil {
			err = errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
		}
	}
	if err != nil {
		return "", fmt.Errorf("start scope %q: %w", s.Name, err)
	}
	return group, nil
}

// always are the properties that every scope has.
func (s Scope) always(pid int) []Property {
	list := []Property{
		{"Description", "s", []string{"isolated by isoperf"}},
		{"PIDs", "au", []string{"1", strconv.Itoa(pid)}},
		{"Delegate", "b", []string{"true"}},
		// Nothing of the machine's start and end is to wait for it, or be waited for.
		{"DefaultDependencies", "b", []string{"false"}},
		// A scope whose processes were killed would otherwise stay as failed.
		{"CollectMode", "s", []string{"inactive-or-failed"}},
	}
	if s.Slice != "" {
		list = append(list, Property{"Slice", "s", []string{s.Slice}})
	}
	return list
}

// properties is the array a(sv) of a call.
func properties(list []Property) []string {
	args := []string{strconv.Itoa(len(list))}
	for _, p := range list {
		args = append(append(args, p.Name, p.Type), p.Value...)
	}
	return args
}

// entered waits until systemd has moved a process into the scope, and returns the
// group.
func (s Scope) entered(ctx context.Context, pid int) (string, error) {
	asked := time.Now()
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
		if err != nil {
			return "", fmt.Errorf("look where process %d is: %w; it may have ended", pid, err)
		}
		for line := range strings.Lines(string(text)) {
			group, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
			if ok && strings.HasSuffix(group, "/"+s.Name) {
				return group, nil
			}
		}
		if time.Since(asked) > time.Second {
			asked = time.Now()
			if state, err := s.state(ctx); err == nil && (state == "failed" || state == "inactive") {
				return "", fmt.Errorf("systemd did not move process %d into it, which is %s; see journalctl%s -u %s", pid, state, s.flag(), s.Name)
			}
		}
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("wait for systemd: %w; see journalctl%s -u %s", context.Cause(ctx), s.flag(), s.Name)
		}
		time.Sleep(pause)
	}
}

// flag is how systemd's programs are told whose the scope is.
func (s Scope) flag() string {
	if s.User {
		return " --user"
	}
	return ""
}

// Set changes properties of the scope, until it ends. When it returns systemd has
// written the files: it does that after the answer, and before the next one.
func (s Scope) Set(ctx context.Context, list ...Property) error {
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := s.manager(ctx, "SetUnitProperties", "sba(sv)", append([]string{s.Name, "true"}, properties(list)...)...); err != nil {
		return fmt.Errorf("set properties of scope %q: %w", s.Name, err)
	}
	if _, err := s.state(ctx); err != nil {
		return fmt.Errorf("set properties of scope %q: %w", s.Name, err)
	}
	return nil
}

// Attach moves a process into the scope, or into a group below it, given from the
// scope on: "/below". It takes systemd 238.
func (s Scope) Attach(ctx context.Context, below string, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := s.manager(ctx, "AttachProcessesToUnit", "ssau", s.Name, below, "1", strconv.Itoa(pid)); err != nil {
		return fmt.Errorf("have process %d moved into scope %q: %w", pid, s.Name, err)
	}
	return nil
}

// Stop has systemd end the scope, with every process in it; it does not wait until
// that is done. One that is not there is fine.
func (s Scope) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := s.manager(ctx, "StopUnit", "ss", s.Name, "replace")
	if err == nil {
		return nil
	}
	switch state, serr := s.state(ctx); {
	case serr == nil && state == "inactive":
		return nil
	case serr == nil && state == "failed":
		_, err = s.manager(ctx, "ResetFailedUnit", "s", s.Name)
	}
	if err != nil {
		return fmt.Errorf("stop scope %q: %w", s.Name, err)
	}
	return nil
}
