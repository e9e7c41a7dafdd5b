package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
	"isoperf/workloads/load"
)

// version2 is the hierarchy of that version, beside version 1's, which are named
// by a controller.
const version2 = "v2"

// opStage is a group in one hierarchy in which an operation is measured, with so
// many groups beside the one that it is done to, and above.
type opStage struct {
	*ground
	hierarchy string
	where     *cgroup.Group // in which groups are made
	dir       string        // of it
	bare      bool          // version 2, and its controllers are version 1's
	busy      *worker       // who is moved
	homes     [2]string     // from where to where
}

// opScene is what an operation needs around it.
type opScene struct {
	siblings int
	depth    int // of groups below this process's; 0: one
	moved    int // threads of a process that is moved; 0: there is none
}

// newOpStage makes the groups. Where that cannot be, the error says why.
func newOpStage(ctx context.Context, hierarchy string, s opScene) (*opStage, error) {
	g, err := newGround(ctx)
	if err != nil {
		return nil, err
	}
	o := &opStage{ground: g, hierarchy: hierarchy}
	if err := o.build(s); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return o, nil
}

func (o *opStage) build(s opScene) error {
	if err := o.base(); err != nil {
		return err
	}
	for range s.depth - 1 {
		next, err := o.child(o.where, "level", nil)
		if err != nil {
			return err
		}
		if err := o.into(next); err != nil {
			return err
		}
	}
	if s.moved > 0 {
		if err := o.population(s.moved); err != nil {
			return err
		}
	}
	for i := range s.siblings {
		if err := unix.Mkdir(filepath.Join(o.dir, "sibling"+strconv.Itoa(i)), 0o755); err != nil {
			return fmt.Errorf("make %d groups beside each other in %q: %w", s.siblings, o.dir, err)
		}
	}
	return nil
}

// base is the uppermost group, in one hierarchy alone.
func (o *opStage) base() error {
	if o.hierarchy == version2 && o.host.Mode() == "v2" {
		made, err := o.group("ops", nil, "cpu", "memory", "pids")
		if err != nil {
			return err
		}
		return o.into(made)
	}
	if o.hierarchy != version2 && o.host.Mode() == "v2" {
		return harness.NotMeasured{Why: "control groups of version 1 are not mounted here"}
	}
	plan, err := o.host.Alone(o.hierarchy, "ops")
	if err != nil {
		return harness.NotMeasured{Why: err.Error()}
	}
	made, err := plan.Create()
	if err != nil {
		return harness.NotMeasured{Why: err.Error()}
	}
	o.groups, o.bare = append(o.groups, made), o.hierarchy == version2
	return o.into(made)
}

// into goes on in a group. In version 2 its children are given controllers.
func (o *opStage) into(g *cgroup.Group) error {
	o.where, o.dir = g, g.Dir(o.hierarchy)
	if o.hierarchy != version2 || o.bare {
		return nil
	}
	const wanted = "+cpu +memory +pids"
	if err := os.WriteFile(o.dir+"/cgroup.subtree_control", []byte(wanted), 0); err != nil {
		return harness.NotMeasured{Why: fmt.Sprintf("the children of a group cannot have controllers: write %q to cgroup.subtree_control: %v; delegate them", wanted, err)}
	}
	return nil
}

// population is two groups, and a process in the first.
func (o *opStage) population(threads int) error {
	for i := range o.homes {
		made, err := o.child(o.where, "home"+strconv.Itoa(i), nil)
		if err != nil {
			return err
		}
		o.homes[i] = made.Dir(o.hierarchy)
		if i > 0 {
			continue
		}
		if o.busy, err = o.start(made, load.Spec{Kind: "idle", Threads: threads}); err != nil {
			return err
		}
		o.busy.board.Go()
	}
	return nil
}

// opPlan is a program, and which stretch of it is timed.
type opPlan struct {
	*program.Program
	from, to program.Ref
}

func newOpPlan() *opPlan { return &opPlan{Program: program.New(program.Stub, 0)} }

// timed is an operation that is one call.
func (p *opPlan) timed(op program.Op) {
	p.from = p.Add(program.Null())
	p.to = p.Add(op)
}

// wholly is an operation on a file: opened, used, closed.
func (p *opPlan) wholly(path string, flags int, use func(fd program.Arg) program.Op) {
	p.from = p.Add(program.Null())
	fd := program.Result(p.Add(program.Open(path, flags)))
	p.Add(use(fd))
	p.to = p.Add(program.Close(fd))
}

func rmdir(path string) program.Op {
	return program.Op{Name: "rmdir " + path, Call: unix.SYS_UNLINKAT, Args: [6]program.Arg{program.Cwd(), program.String(path), program.Int(unix.AT_REMOVEDIR)}}
}

// opSampler takes samples on the ground's thread: its programs in turns.
type opSampler struct {
	stage  *opStage
	paced  bool
	plans  []*opPlan
	images []*program.Image
	next   int
	check  func(turn int) error // behind each; nil: what was done shows by itself
}

// opening prepares an operation; the plans are done in turns.
func (o *opStage) opening(paced bool, check func(int) error, plans ...*opPlan) (harness.Sampler, error) {
	s := &opSampler{stage: o, paced: paced, plans: plans, check: check}
	for _, p := range plans {
		p.Add(program.Exit(0))
		img, err := program.Load(p.Program)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.images = append(s.images, img)
	}
	var err error
	o.launcher.Do(func() {
		for range plans {
			if _, err = s.one(); err != nil {
				return
			}
		}
	})
	if err != nil {
		return nil, errors.Join(harness.NotMeasured{Why: err.Error()}, s.Close())
	}
	return s, nil
}

func (s *opSampler) one() ([]sample.Value, error) {
	i := s.next
	s.next = (i + 1) % len(s.images)
	if _, err := s.images[i].Cycle(); err != nil {
		return nil, err
	}
	took := float64(s.images[i].Between(s.plans[i].from, s.plans[i].to))
	if s.check != nil {
		if err := s.check(i); err != nil {
			return nil, err
		}
	}
	return []sample.Value{{Unit: "op-ns", Value: took}}, nil
}

// Sample implements harness.Sampler. Waking the thread is work, which settles
// before a burst.
func (s *opSampler) Sample(n int, emit func([]sample.Value, error)) {
	s.stage.launcher.Do(func() {
		if !s.paced {
			harness.Rest(harness.Settle)
			for range harness.WarmUp {
				_, _ = s.one() // a failure will show again
			}
		}
		for range n {
			emit(s.one())
		}
	})
}

// Close implements harness.Sampler.
func (s *opSampler) Close() error {
	for _, img := range s.images {
		img.Close()
	}
	return s.stage.close()
}

// isIn looks for a process in a group.
func isIn(pid int, dir string) error {
	text, err := os.ReadFile(dir + "/cgroup.procs")
	if err != nil {
		return fmt.Errorf("look where process %d is: %w", pid, err)
	}
	for word := range strings.FieldsSeq(string(text)) {
		if word == strconv.Itoa(pid) {
			return nil
		}
	}
	return fmt.Errorf("process %d is not in %q", pid, dir)
}
