package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"isoperf/bench/ab"
	"isoperf/bench/clone"
	"isoperf/bench/control"
	"isoperf/bench/environment"
	"isoperf/bench/sample"
	"isoperf/bench/startup"
	"isoperf/reports/compare"
	"isoperf/reports/sequential"
	"isoperf/runtime/program"
)

func (c *cli) ab() *cobra.Command {
	var o abFlags
	cmd := &cobra.Command{
		Use:   "ab --base CMD|BIN --head CMD|BIN [PATTERN…]",
		Short: "Measure two builds, runtimes or commands in turns: is head slower?",
		Long:  abLong, Example: abExample,
		RunE: func(cmd *cobra.Command, args []string) error { return c.runAB(args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.base, "base", "", "what is compared with: `CMD|BIN`")
	f.StringVar(&o.head, "head", "", "what may be slower: `CMD|BIN`")
	f.DurationVarP(&o.time, "time", "t", 3*time.Minute, "take this `TIME` at most")
	f.StringVarP(&o.out, "out", "o", "", "a `DIR` for base.txt and head.txt (default ./isoperf-ab-UTC)")
	f.IntVarP(&o.samples, "samples", "n", 10, "builds: `N` samples of each case in a visit")
	f.StringVarP(&o.bundle, "bundle", "b", "", "runtimes: the container of this OCI bundle, a `DIR`")
	f.StringVar(&o.rootfs, "rootfs", "", "runtimes: a container with this `DIR` as its root")
	f.StringVar(&o.exec, "exec", "", "runtimes: run `CMD` in it, which must be there")
	o.judging(f)
	return cmd
}

// abRun is what a run of ab has made.
type abRun struct {
	sides   [2]side
	base    ab.Side
	head    ab.Side
	starts  *startup.Bench // nil: of builds
	builds  [2]*ab.Build
	seen    [2]sample.Observed
	groups  []string
	layout  *ab.Layout // of the programs
	writers [2]*sample.Writer
	closers []func() error
	seed    uint64
}

func (r *abRun) close() error {
	var err error
	for i := range r.closers {
		err = errors.Join(err, r.closers[len(r.closers)-1-i]())
	}
	r.closers = nil
	return err
}

func (c *cli) runAB(patterns []string, o abFlags) (err error) {
	r := &abRun{seed: rand.Uint64()}
	if err := o.choices(); err != nil {
		return err
	}
	if err := distinctOutputs(o.outputs(nil), nil); err != nil {
		return err
	}
	switch {
	case o.time <= 0:
		return usage("--time %v: it must be positive", o.time)
	case o.samples < 1:
		return usage("--samples %d: it must be at least 1", o.samples)
	}
	floor, err := parsePercent(o.floor)
	if err != nil {
		return usage("--floor: %v", err)
	}
	for i, text := range []string{o.base, o.head} {
		if r.sides[i], err = parseSide([]string{"base", "head"}[i], text, patterns, startup.Names()); err != nil {
			return err
		}
	}
	if a, b := r.sides[0].kind, r.sides[1].kind; a != b {
		return usage("--base %q and --head %q are not of one kind: %s and %s", o.base, o.head, a, b)
	}
	env, err := environment.Read("/")
	if err != nil {
		return cannot(fmt.Errorf("read the machine's fingerprint: %w", err))
	}
	if done, err := c.abSurroundings(r.sides[0].kind); done || err != nil {
		return err
	}
	defer func() {
		if cerr := r.close(); cerr != nil && err == nil {
			err = cannot(cerr)
		}
	}()
	if err := c.abOpen(r, patterns, o); err != nil {
		return err
	}
	c.abLayout(r)
	if err := ab.Try(c.ctx, r.base, r.head, len(r.groups)); err != nil {
		if c.ctx.Err() != nil {
			return status{code: 130}
		}
		return cannot(err)
	}
	dir, err := r.create(o, env, patterns)
	if err != nil {
		return err
	}
	return c.abJudge(r, o, floor, dir)
}

// abSurroundings brings the run where starts are measured, as bench does. Builds
// of isoperf do it themselves.
func (c *cli) abSurroundings(k kind) (done bool, err error) {
	switch k {
	case ofBuilds:
		return false, nil
	case ofCommands:
		return c.guarded(false)
	}
	return c.surroundings([]chosen{{family: "startup"}})
}

// abOpen readies the sides.
func (c *cli) abOpen(r *abRun, patterns []string, o abFlags) error {
	if r.sides[0].kind == ofBuilds {
		return r.openBuilds(patterns, o)
	}
	config, err := benchFlags{bundle: o.bundle, rootfs: o.rootfs, exec: o.exec}.startup(nil)
	if err != nil {
		return err
	}
	config.Context = c.ctx
	config.Stuck = func(err error) {
		for _, w := range r.writers {
			if w != nil {
				c.stuck(w, err)
			}
		}
		fmt.Fprintf(c.stderr, "isoperf: %v\n", err)
		os.Exit(exitUsage)
	}
	for i, name := range []string{"base", "head"} {
		s := r.sides[i]
		config.Runtimes = append(config.Runtimes, startup.Choice{Name: name, Path: s.path, As: s.name})
	}
	r.starts = startup.New(config)
	r.closers = append(r.closers, r.starts.Close)
	if r.sides[0].kind == ofCommands {
		return r.openCommands(o)
	}
	return r.openRuntimes()
}

// abLayout opens the programs of both sides for being laid out alike. One that
// cannot be read is measured as it lies, and that is said.
func (c *cli) abLayout(r *abRun) {
	var paths []string
	for _, side := range []ab.Side{r.base, r.head} {
		switch s := side.(type) {
		case *ab.Starts:
			paths = append(paths, s.Program())
		case *ab.Build:
			paths = append(paths, s.Path)
		}
	}
	var err error
	if r.layout, err = ab.NewLayout(paths...); err != nil {
		fmt.Fprintf(c.stderr, "isoperf: warning: %v\n  (a difference of some percent may be of how it lies there)\n", err)
	}
	r.closers = append(r.closers, r.layout.Close)
}

func (r *abRun) openRuntimes() error {
	var sides [2]*ab.Starts
	for i, name := range []string{"base", "head"} {
		s, seen, err := ab.NewStarts(r.starts, name)
		if err != nil {
			return cannot(fmt.Errorf("%s: %w", name, err))
		}
		r.closers = append(r.closers, s.Close)
		sides[i], r.seen[i] = s, seen
	}
	middle := ""
	if r.sides[0].name == r.sides[1].name {
		middle = "/runtime=" + r.sides[0].name
	}
	for i, s := range sides {
		rest := fmt.Sprintf("%s/with=%s/pacing=burst", middle, s.With())
		s.Case, s.Spans = "Startup"+rest, "StartupSpans"+rest
		r.seen[i].Case = s.Case
	}
	r.base, r.head, r.groups = sides[0], sides[1], []string{sides[0].Case}
	return nil
}

func (r *abRun) openCommands(o abFlags) error {
	name := "Command"
	if a, b := filepath.Base(r.sides[0].argv[0]), filepath.Base(r.sides[1].argv[0]); a == b {
		name += "/name=" + wordOf(a)
	}
	var sides [2]*ab.Starts
	for i, s := range r.sides {
		one, err := r.starts.Command(s.argv, max(longStart, o.time))
		if err != nil {
			return cannot(fmt.Errorf("%s: %w", []string{"base", "head"}[i], err))
		}
		sides[i] = ab.NewCommand(name, one)
		r.closers = append(r.closers, sides[i].Close)
		r.seen[i] = sample.Observed{Case: name, Version: s.text}
	}
	r.base, r.head, r.groups = sides[0], sides[1], []string{name}
	return nil
}

// wordOf is a text as a value in a case's name.
func wordOf(text string) string {
	word := []rune(text)
	for i, r := range word {
		if r <= ' ' || r == '/' || r == '=' {
			word[i] = '-'
		}
	}
	return string(word)
}

func (r *abRun) openBuilds(patterns []string, o abFlags) error {
	dir, err := os.MkdirTemp("", "isoperf-ab-")
	if err != nil {
		return cannot(fmt.Errorf("make a directory for the visits' files: %w", err))
	}
	r.closers = append(r.closers, func() error { return os.RemoveAll(dir) })
	for i, s := range r.sides {
		own := filepath.Join(dir, []string{"base", "head"}[i])
		if err := os.Mkdir(own, 0o700); err != nil {
			return cannot(fmt.Errorf("make a directory for the visits' files: %w", err))
		}
		r.builds[i] = &ab.Build{Path: s.path, Patterns: patterns, Samples: o.samples, Dir: own}
	}
	r.base, r.head, r.groups = r.builds[0], r.builds[1], patterns
	return nil
}

// create makes the two files, in a directory that may be there.
func (r *abRun) create(o abFlags, env environment.Environment, patterns []string) (dir string, err error) {
	now := time.Now().UTC()
	dir = o.out
	if dir == "" {
		dir = "./isoperf-ab-" + now.Format("20060102T150405Z")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", cannot(fmt.Errorf("make the directory %q: %w", dir, err))
	}
	env.Start = now.Format(time.RFC3339)
	env.SetBuild(buildVersion, buildCommit)
	for i, name := range []string{"base", "head"} {
		config, better := env.Config(), units()
		if b := r.builds[i]; b != nil {
			config, better = b.Config, nil
			for unit, which := range b.Better {
				better = append(better, sample.Unit{Name: unit, Better: which})
			}
		}
		path := filepath.Join(dir, name+".txt")
		w, err := sample.Create(path, sample.Header{Config: config, Units: better, Fingerprint: struct {
			fingerprint
			Side string `json:"side"`
			Seed uint64 `json:"seed"` // of the order
		}{fingerprint{env, program.ClockSource(), patterns, clone.TimeNamespace(), os.Getenv(insideMounts) != ""}, r.sides[i].text, r.seed}})
		if err != nil {
			return "", cannot(fmt.Errorf("%w (choose another directory with --out)", err))
		}
		r.writers[i] = w
		r.closers = append(r.closers, w.Close)
		if r.seen[i].Case != "" {
			if err := w.Observed(r.seen[i]); err != nil {
				return "", cannot(err)
			}
		}
	}
	return dir, giveToUser(dir)
}

// abJudge measures, ends the files, and prints what is said of them.
func (c *cli) abJudge(r *abRun, o abFlags, floor float64, dir string) error {
	higher := map[string]bool{}
	for _, b := range r.builds {
		if b != nil {
			for unit, better := range b.Better {
				higher[unit] = higher[unit] || better == "higher"
			}
		}
	}
	judge := sequential.New(floor, func(name string) bool { return higher[unitOf(name)] })
	options := ab.Options{Groups: r.groups, Time: o.time, Seed: r.seed, Layout: r.layout, Progress: c.abProgress}
	if r.starts != nil {
		options.Controls = control.Cases(1)
	}
	fmt.Fprintf(c.stderr, "base and head in turns, %v at most; samples go to %s\n", o.time, dir)
	tally, err := ab.Run(c.ctx, r.base, r.head, [2]ab.Recorder{r.writers[0], r.writers[1]}, judge, options)
	c.clearProgress()
	found := judge.Findings()
	files, ferr := r.end(tally, found)
	if err = errors.Join(err, ferr, r.close()); err != nil {
		return cannot(err)
	}
	if len(found) == 0 {
		if tally.Why == "interrupted" {
			return status{code: 130}
		}
		return cannot(errors.New("no case was measured with both sides"))
	}
	columns, err := compare.ByFile(files)
	if err != nil {
		return cannot(err)
	}
	check := compare.Check{}
	check.Alarms, check.Draws = judge.Alarms(compare.Draws)
	result := compare.Rounds(columns[0], columns[1], found, check, compare.Options{Floor: floor})
	printing := compare.Printing{Verbose: o.verbose, Width: width(c.stdout), Next: fmt.Sprintf("isoperf report %s %s --dir DIR", files[0].Path, files[1].Path)}
	if result.Verdict == compare.CannotTell {
		printing.Next = fmt.Sprintf("more time (--time %v), a quieter machine, or a higher --floor", 3*o.time)
	}
	silent, err := c.writeCompared([]compare.Comparison{result}, o.compareFlags)
	if err == nil && !silent {
		err = compare.Write(c.stdout, result, printing)
	}
	if err != nil {
		return cannot(err)
	}
	if tally.Why == "interrupted" {
		return status{code: 130}
	}
	c.warn(o.gate, result.Verdict)
	if code := o.status(result.Verdict); code != exitDone {
		return status{code: code}
	}
	return nil
}

// end writes the noise and the end of both files, and reads them.
func (r *abRun) end(tally ab.Tally, found []sequential.Finding) (files []*sample.File, err error) {
	for _, w := range r.writers {
		for _, f := range found {
			if reach := f.Reach(); math.IsInf(reach, 0) || math.IsNaN(reach) {
				continue // too few rounds: nothing is known
			}
			name, unit := caseOf(f.Case), unitOf(f.Case)
			err = errors.Join(err, w.Noise(sample.Noise{Case: name, Unit: unit, Ratio: f.Reach(), Rounds: f.Band.Rounds}))
		}
		why := tally.Why
		if why == "the time was up" { // which is how a comparison ends that cannot tell
			why = "done"
		}
		err = errors.Join(err, w.End(sample.Ending{Why: why}))
	}
	if err != nil || len(found) == 0 {
		return nil, err
	}
	for _, w := range r.writers {
		f, err := sample.ReadFile(w.Path())
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// abProgress shows where the run is: one line on a terminal.
func (c *cli) abProgress(s ab.State) {
	if !terminal(c.stderr) {
		return
	}
	line := fmt.Sprintf("%3.0f %% of %v  %s, round %d", 100*s.Elapsed.Seconds()/s.Most.Seconds(), s.Most, s.Phase, s.Rounds+1)
	fmt.Fprintf(c.stderr, "\r\033[K%.*s", width(c.stderr)-1, line)
}
