package main

import (
	"context"
	"errors"

	"isoperf/runtime/lifecycle"
)

// detached is what run's flags say that are about a container in the background.
type detached struct {
	on, keep, noSubreaper bool
	noPivot               bool
	preserve              string
	options               lifecycle.CreateOptions
}

// foreground refuses what only a container in the background has.
func (d *detached) foreground() error {
	switch {
	case d.options.PidFile != "":
		return errors.New("--pid-file: a container in the foreground is signalled through its isorun, and ends with it: give --detach, too, or leave it out")
	case d.options.ConsoleSocket != "":
		return errors.New("--console-socket: cannot use console socket if runc will not detach or allocate tty: give --detach, too, or leave it out")
	case d.keep:
		return errors.New("--keep: a container in the foreground is not in the state directory, so nothing of it can stay: give --detach, too, or leave it out")
	}
	return settleCreate(&d.options, d.noPivot, d.preserve)
}

// run is "run --detach": create and start, or nothing.
func (d *detached) run(g *globals, id string, timed bool) int {
	return g.do(command{name: "run", run: func(g *globals, _ *call) error {
		if timed {
			return errors.New("--plan, --timeline: they are about a container in the foreground: leave --detach out")
		}
		if err := settleCreate(&d.options, d.noPivot, d.preserve); err != nil {
			return err
		}
		r, err := g.runtime()
		if err != nil {
			return err
		}
		d.options.ID = id
		if err := r.Create(context.Background(), d.options); err != nil {
			return err
		}
		if err := r.Start(id); err != nil {
			return errors.Join(err, r.Delete(id, true))
		}
		return nil
	}}, []string{id})
}
