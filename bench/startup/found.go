package startup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/workloads/payload"
)

// found is a peer that is here and makes a variant: it was started once with a
// payload that looks around, and once under one that weighs it.
type found struct {
	setup    setup
	start    start
	observed sample.Observed
	peak     int64 // bytes; 0: it cannot be told
}

// tried is prepare for cases that are opened for each visit: a peer is tried
// once.
func (w *world) tried(p peer, v variant) (*found, error) {
	key := p.name + " " + v.name
	if f := w.trials[key]; f != nil {
		return f, nil
	}
	f, err := w.prepare(p, v)
	if err == nil {
		w.trials[key] = f
	}
	return f, err
}

// prepare finds a peer and tries it. Every error says why it cannot be measured.
func (w *world) prepare(p peer, v variant) (*found, error) {
	f := &found{}
	path, err := p.find(w)
	if err != nil {
		return nil, err
	}
	if p.before != nil && !w.begun[p.name] {
		if err := p.before(w, &p, path); err != nil {
			return nil, err
		}
		w.begun[p.name] = true
	}
	version, err := p.versionOf(path)
	if err != nil {
		return nil, err
	}
	if v.cold {
		if err := dropCaches(); err != nil {
			return nil, err
		}
	}
	if v.rootless && os.Geteuid() == 0 {
		if err := errors.Join(enterable(w.payload), enterable(path)); err != nil {
			return nil, err
		}
	}
	f.setup = setup{peer: p, path: path, variant: v, args: w.command(v), id: w.name(p)}
	if f.start, err = p.launch(w, f.setup); err != nil {
		return nil, err
	}
	f.observed = sample.Observed{Version: version, Notes: slices.Clone(p.notes)}
	if p.takes == inside {
		return f, nil // isorun's container, which is looked into as isorun's
	}
	if f.start.outside {
		f.observed.Notes = append(f.observed.Notes, "ready when its first bytes came, since its clock is not ours")
	}
	if len(w.config.Exec) > 0 {
		f.observed.Notes = append(f.observed.Notes, "its container was not looked into: it runs a command of yours")
	} else if err := w.look(f); err != nil {
		return nil, err
	}
	f.peak, err = w.weigh(f)
	return f, err
}

// command is what runs in the container.
func (w *world) command(v variant) []string {
	switch {
	case len(w.config.Exec) > 0:
		return w.config.Exec
	case v.base != "" || w.config.Rootfs != "":
		return []string{payloadShown}
	}
	return []string{payloadInside}
}

// look starts the container with a payload that looks around.
func (w *world) look(f *found) error {
	s := f.setup
	s.args, s.id = append(w.command(s.variant), "look"), w.name(s.peer)
	st, err := s.peer.launch(w, s)
	if err != nil {
		return err
	}
	l, err := w.newStarter(&found{setup: s, start: st}, 0)
	if err != nil {
		return err
	}
	defer l.Close()
	l.stamp = false
	_, text, err := l.run()
	if err != nil {
		return err
	}
	seen, err := payload.ParseLook(text)
	if err != nil {
		return fmt.Errorf("look into the container of %s: %w", s.peer.name, err)
	}
	if s.peer.takes == machines {
		f.observed.Made = []string{"kernel of its own"} // all else is that kernel's
		return nil
	}
	saw := seen.Against(w.host)
	f.observed.Made, f.observed.Looked = saw.Own, len(s.variant.wants) > 0
	var unknown []string
	for _, want := range s.variant.wants {
		switch {
		case slices.Contains(saw.Shared, want):
			f.observed.Lacks = append(f.observed.Lacks, want)
		case !slices.Contains(saw.Own, want):
			unknown = append(unknown, want)
		}
	}
	if len(unknown) > 0 {
		f.observed.Notes = append(f.observed.Notes, "cannot be told from inside: "+strings.Join(unknown, ", "))
	}
	if len(s.variant.wants) > 0 {
		for _, own := range saw.Own {
			if !slices.Contains(s.variant.wants, own) {
				f.observed.Adds = append(f.observed.Adds, own)
			}
		}
	}
	return nil
}

// weigh measures the peak of memory of one start. The payload alone is too
// small for the kernel's counter, and another user's start cannot be weighed.
func (w *world) weigh(f *found) (int64, error) {
	if f.setup.peer.takes == programs || f.setup.variant.rootless && os.Geteuid() == 0 {
		return 0, nil
	}
	env, err := w.environ(f.setup.variant, f.start.env)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.setup.peer.bound())
	defer cancel()
	known, err := adopted()
	if err != nil {
		return 0, err
	}
	argv := f.start.argv
	if f.start.takesInput {
		argv = append([]string{"/bin/sh", "-c", `exec "$@" <"$0"`, w.empty.Name()}, argv...)
	}
	peak, err := payload.Weigh(ctx, argv, env)
	if _, oerr := awaitOrphans(known, patience); err == nil {
		err = oerr
	}
	if err != nil {
		err = errors.Join(err, endOrphans(known))
		if f.start.clean != nil {
			err = errors.Join(err, f.start.clean(), removeGroups(f.setup.id))
		}
		return 0, fmt.Errorf("weigh a start of %s: %w", f.setup.peer.name, err)
	}
	return peak, nil
}
