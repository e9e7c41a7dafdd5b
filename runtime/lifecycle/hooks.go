package lifecycle

import (
	"context"
	"errors"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/hook"
	"isoperf/runtime/spec"
	"isoperf/runtime/state"
)

// later says whether a configuration has hooks for after its creation: then later
// commands look at it again.
func later(h *specs.Hooks) bool {
	return h != nil && len(h.StartContainer)+len(h.Poststart)+len(h.Poststop) > 0
}

// hookError is a hook that failed, for which the container has to go.
type hookError struct{ err error }

func (e *hookError) Error() string { return e.err.Error() }
func (e *hookError) Unwrap() error { return e.err }

// poststart runs the hooks that come when the command runs. The lock is given back
// meanwhile: a hook that hangs is no reason for the container not to be removed,
// which ends the hook.
func (c *Container) poststart(sc *spec.Container) error {
	if sc == nil || sc.Hooks == nil || len(sc.Hooks.Poststart) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	c.entry.Unlock()
	go func() {
		for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
			if c.entry.Gone() {
				cancel(errors.New("the container was removed meanwhile"))
			}
		}
	}()
	call := hook.Call{Kind: "poststart", Hooks: sc.Hooks.Poststart, State: hook.State(sc, hook.Running, c.Pid), Dir: sc.Bundle}
	err := call.Run(ctx)
	if err == nil {
		return nil
	}
	if lerr := c.entry.Lock(); lerr != nil {
		if errors.Is(lerr, state.ErrNotExist) {
			return err
		}
		return errors.Join(err, lerr)
	}
	return &hookError{err}
}

// undo removes a container of which a hook has failed.
func (r *Runtime) undo(c *Container, err error) error {
	var failed *hookError
	if !errors.As(err, &failed) {
		return err
	}
	return errors.Join(err, r.remove(c, true))
}

// remove removes what is left of the container, and runs its last hooks.
func (r *Runtime) remove(c *Container, force bool) error {
	var sc *spec.Container
	if c.Hooks && c.Pid != 0 {
		var err error
		if sc, err = c.Spec(); err != nil {
			r.warn("hooks.poststop: not run: " + err.Error())
		}
	}
	if err := c.remove(force); err != nil {
		return err
	}
	if sc == nil || sc.Hooks == nil || len(sc.Hooks.Poststop) == 0 {
		return nil
	}
	c.entry.Unlock()
	call := hook.Call{Kind: "poststop", Hooks: sc.Hooks.Poststop, State: hook.State(sc, hook.Stopped, 0), Dir: sc.Bundle}
	call.RunAll(context.Background(), func(err error) { r.warn(err.Error()) })
	return nil
}

func (r *Runtime) warn(text string) {
	if r.Warn != nil {
		r.Warn(text)
	}
}
