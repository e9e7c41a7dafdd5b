// Package startup measures how long a container takes to start and to go, with
// every runtime that is here, and where the time of our own goes.
//
//	peers (a table) ──find──► path, version ─┐
//	variant ──write──► bundle, root ─────────┼─launch──► argv
//	                                         │            │ look: once, bounded: what the payload sees
//	                                         │            ▼
//	                                         └──► clone3, execve by the engine's loop ──► Startup  ready-ns total-ns
//	   the same with each variant, in turns with the usual ──► StartupVariants
//	   the same with isorun's timeline ──────────────────────► StartupSpans   span.…-ns residual-ns
//	   N of them at a time, as fast as they go ──────────────► StartupAtOnce  wall-ns
//	   at intended times, a share of that rate ──────────────► StartupOpen    response-ns late-ns
//
// The events: all times begin when clone3 of the runtime's process is entered.
// ready-ns ends at the first instruction of the payload, which reads the clock
// and writes it to its standard output, the same file in every runtime;
// total-ns ends when the runtime's process was reaped. user-ns and sys-ns are
// the CPU time of that process and of all that it waited for; peak-B is the
// largest resident memory of one of those.
//
// A peer that is missing, broken or refuses is a case that was not measured,
// with its own words; one that hangs is killed, with all that it started. What
// a peer leaves outside of the scratch directory, and was not there before, is
// removed at the end: control groups, directories below /run, an image. When this
// process is killed, a Guard in its parent does what it cannot.
package startup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// Config is what to compare.
type Config struct {
	Runtimes []Choice // none: every one that the table has
	Bundle   string   // a directory with config.json; empty: the usual one
	Rootfs   string   // a directory to be the root; empty: one with nothing but the payload
	Exec     []string // a command instead of the payload; then there is no ready-ns
	Isorun   string   // the path of isorun; empty: beside this program, or in PATH
	Self     string   // the path of this program, for "isoperf run"
	// Context ends a start that runs, with what it started; nil: none does.
	Context context.Context
	// Observe is told what a case's payload saw; nil: nobody is.
	Observe func(sample.Observed) error
	// Timeline is given that of a typical start of our own; nil: nobody is.
	Timeline func(sample.Timeline) error
	// Stuck is told, from another goroutine, of a start that hangs and may not be
	// killed, since it has become another user's: the case that runs does not
	// return before somebody else ends it. nil: nobody is, and it is waited for.
	Stuck func(error)

	// within is how long a start, or the answer to --version, may take; 0: what
	// the table says.
	within time.Duration
}

// Choice is one runtime to compare.
type Choice struct {
	Name string // as the results call it
	Path string // of its binary; empty: found in PATH
	As   string // its entry of the table; empty: by its name, or that of its binary
}

// ParseChoice reads NAME or NAME=PATH. A name that is not in the table needs a
// path; it takes bundles as runc does.
func ParseChoice(text string) (Choice, error) {
	name, path, given := strings.Cut(text, "=")
	switch {
	case strings.Trim(name, nameLetters) != "" || name == "" || given && path == "":
		return Choice{}, fmt.Errorf("%q: it must be NAME or NAME=PATH, and a name is of letters, digits, dots, hyphens and underscores", text)
	case !given && peerNamed(name) == nil:
		return Choice{}, fmt.Errorf("%q is not one of %s; for another one say NAME=PATH", name, strings.Join(Names(), ", "))
	}
	return Choice{Name: name, Path: path}, nil
}

// nameLetters are what a container's name may have, of which a runtime's is a
// part.
const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// Names are those of the table, in its order.
func Names() []string {
	var names []string
	for _, p := range peers() {
		names = append(names, p.name)
	}
	return names
}

// Bench is what the cases of a run share. Close removes what they made.
type Bench struct {
	config Config
	once   sync.Once
	world  *world
	err    error
}

// New prepares nothing yet: the first case that is opened does.
func New(c Config) *Bench { return &Bench{config: c} }

// open makes the world, once.
func (b *Bench) open() (*world, error) {
	b.once.Do(func() { b.world, b.err = newWorld(b.config) })
	return b.world, b.err
}

// Close removes the scratch directory, and ends what runtimes have left.
func (b *Bench) Close() error {
	if b.world == nil {
		return nil
	}
	return b.world.close()
}

// chosen are the peers to compare, with the names and paths of the choices.
func (b *Bench) chosen() []peer {
	var list []peer
	for _, c := range b.config.Runtimes {
		list = append(list, c.peer())
	}
	if len(b.config.Runtimes) == 0 {
		list = peers()
	}
	for i := range list {
		if b.config.within > 0 {
			list[i].within = b.config.within
		}
	}
	return list
}

// peer is the entry of the table that a choice means: by its name, by that of
// its binary, or, for an unknown one, a runtime like runc.
func (c Choice) peer() peer {
	p := peerNamed(cmp.Or(c.As, c.Name))
	if p == nil {
		p = peerNamed(filepath.Base(c.Path))
	}
	if p == nil && c.Path != "" {
		p = peerOf(filepath.Base(c.Path))
	}
	if p == nil {
		p = &peer{takes: bundles, launch: ociRun}
	}
	if p.binary == "" {
		p.binary = p.name
	}
	p.name, p.given = c.Name, c.Path
	return *p
}

// which are the variants that the configuration leaves: a bundle or a command
// of the user's is the only one.
func (b *Bench) which() []variant {
	switch {
	case len(b.config.Exec) > 0:
		return []variant{{name: "command", base: b.config.Bundle}}
	case b.config.Bundle != "":
		return []variant{{name: "own", base: b.config.Bundle}}
	case os.Geteuid() != 0:
		return ordinaryVariants()
	}
	return variants()
}

// Cases are the starts of every runtime: the usual container back to back and,
// in the full extent, with a pause.
func (b *Bench) Cases(e harness.Extent) []harness.Case {
	var cases []harness.Case
	v := b.which()[0]
	for _, p := range b.chosen() {
		cases = append(cases, b.startCase("Startup", p, v, false, e))
	}
	if e.Wide && e.Paced > 0 {
		for _, p := range b.chosen() {
			if p.slow == 0 {
				cases = append(cases, b.startCase("Startup", p, v, true, e))
			}
		}
	}
	return append(cases, b.Spans(e)...)
}

// Spans are where the time of our own start goes.
func (b *Bench) Spans(e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, p := range b.chosen() {
		if p.ours && p.takes == bundles && len(b.config.Exec) == 0 {
			cases = append(cases, b.spansCase(p, b.which()[0], e))
		}
	}
	return cases
}

// Variants are the starts of containers that differ from the usual one, and of
// the usual one beside them: what a variant costs is told by samples that took
// turns, never by those of another run.
func (b *Bench) Variants(e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, v := range b.which() {
		for _, p := range b.chosen() {
			if v.name == usual || slices.Contains(p.variants, v.name) {
				cases = append(cases, b.startCase("StartupVariants", p, v, false, e))
			}
		}
	}
	return cases
}

// find is a chosen peer by the name that the table has for it.
func (b *Bench) find(name string) *peer {
	for _, p := range b.chosen() {
		if p.name == name {
			return &p
		}
	}
	return nil
}

// startCase is one row of a family: a runtime, a variant, a pacing.
func (b *Bench) startCase(family string, p peer, v variant, paced bool, e harness.Extent) harness.Case {
	pacing := "burst"
	if paced {
		pacing = "paced"
	}
	name := fmt.Sprintf("%s/runtime=%s/with=%s/pacing=%s", family, p.name, v.name, pacing)
	c := harness.Case{
		Name: name, Paced: paced, Run: 5, Samples: p.samples(e.Wanted(paced)), Cost: p.cost(), Drops: true,
		Open: func() (harness.Sampler, error) { return b.openStart(name, p, v) },
	}
	if paced {
		c.Run = 1
	}
	if v.cold {
		c.Samples, c.Run = max(6, c.Samples/5), 1
	}
	if p.slow > 0 || v.cold {
		c.Long, c.Run = true, 1
	}
	return c
}

// openStart prepares a row: it finds the peer, looks into its container, weighs
// it, and readies the start.
func (b *Bench) openStart(name string, p peer, v variant) (harness.Sampler, error) {
	w, err := b.open()
	if err != nil {
		return nil, err
	}
	f, err := w.prepare(p, v)
	if err != nil {
		return nil, refused(err)
	}
	seen := f.observed
	seen.Case = name
	if b.config.Observe != nil {
		if err := b.config.Observe(seen); err != nil {
			return nil, err
		}
	}
	if p.takes == inside {
		return newLibrary(w, f)
	}
	s, err := w.newStarter(f, 0)
	if err != nil {
		return nil, refused(err)
	}
	s.peak = f.peak
	return s, nil
}

// refused is the error of a peer that cannot be measured: its own reason.
func refused(err error) error {
	var not harness.NotMeasured
	if errors.As(err, &not) {
		return not
	}
	return harness.NotMeasured{Why: err.Error()}
}
