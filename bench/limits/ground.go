package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/cgroup/systemd"
	"isoperf/runtime/program"
	"isoperf/workloads/load"
)

// ground is where groups are made: this process's place in each hierarchy or,
// where systemd manages them, a scope that it has delegated.
type ground struct {
	host     *cgroup.Host
	parent   string
	launcher *program.Launcher
	groups   []*cgroup.Group
	workers  []*worker
	closers  []func() error
}

// onClose has close call f, the last one first, after loads and groups are gone.
func (g *ground) onClose(f func() error) { g.closers = append(g.closers, f) }

// newGround removes what a killed measurement has left, and readies a thread to
// start loads from. Where no groups can be made, the error says why.
func newGround(ctx context.Context) (*ground, error) {
	h, err := cgroup.Detect()
	if err != nil {
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	if _, err := cgroup.Sweep(h, ""); err != nil {
		return nil, fmt.Errorf("remove what a killed measurement has left: %w", err)
	}
	g := &ground{host: h}
	if h.Mode() == "v2" && systemd.Manages() {
		if err := g.scope(ctx); err != nil {
			return nil, errors.Join(harness.NotMeasured{Why: err.Error()}, g.close())
		}
	}
	g.launcher = harness.NewThread()
	return g, nil
}

// delegate asks systemd for a scope. A process of ours holds it, and waits there
// in a group of its own, since a group whose children have controllers can have
// no processes itself.
func (g *ground) delegate(ctx context.Context) error {
	p := program.New(program.Stub, 0)
	p.DieWithParent()
	p.Confirm()
	p.Add(program.Pause())
	launcher := harness.NewThread()
	holder, err := launcher.Start(p)
	if err != nil {
		launcher.Close()
		return fmt.Errorf("start the holder of a scope: %w", err)
	}
	end := func() error {
		err := harness.End(holder)
		launcher.Close()
		return err
	}
	dir, stop, err := cgroup.Delegate(ctx, fmt.Sprintf("isoperf-limits-%d", os.Getpid()), holder.Pid())
	if err != nil {
		return errors.Join(fmt.Errorf("ask systemd for a scope: %w", err), end())
	}
	g.onClose(func() error { return errors.Join(end(), stop()) })
	// The scope's processes go into a leaf, so that others can have controllers.
	leaf := dir + "/holder"
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return fmt.Errorf("make the holder's group: %w", err)
	}
	if err := os.WriteFile(leaf+"/cgroup.procs", fmt.Appendln(nil, holder.Pid()), 0); err != nil {
		return fmt.Errorf("move the holder into its group: %w", err)
	}
	g.parent = dir
	return nil
}

// group makes a group with limits, and in the hierarchies of other controllers,
// by version 1's names. Every group can be frozen, killed and counted.
func (g *ground) group(id string, r *specs.LinuxResources, also ...string) (*cgroup.Group, error) {
	plan, err := g.host.Plan(cgroup.Options{ID: id, Resources: r, Parent: g.parent, Always: true, Also: also})
	if err != nil {
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	made, err := plan.Create()
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS) {
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	if err != nil {
		return nil, err
	}
	g.groups = append(g.groups, made)
	return made, nil
}

// child makes a group below another.
func (g *ground) child(of *cgroup.Group, id string, r *specs.LinuxResources) (*cgroup.Group, error) {
	made, err := of.Child(id, r)
	if err == nil {
		g.groups = append(g.groups, made)
	}
	return made, err
}

// close ends the loads, removes the groups, the last first, and gives the
// thread back.
func (g *ground) close() error {
	var all error
	for _, w := range g.workers {
		all = errors.Join(all, w.close())
	}
	for _, made := range slices.Backward(g.groups) {
		all = errors.Join(all, made.Kill(), made.Remove())
	}
	g.groups, g.workers = nil, nil
	if g.launcher != nil {
		g.launcher.Close()
	}
	for _, f := range slices.Backward(g.closers) {
		all = errors.Join(all, f())
	}
	g.closers = nil
	return all
}

// worker is a load in a group.
type worker struct {
	spec  load.Spec
	group *cgroup.Group // nil: in the launcher's
	board *load.Board   // nil: it is not a load of ours
	proc  *program.Process
	hogs  []int // processes of its own that do its work, of one that is not ours
	quiet bool  // what it says of itself is not for the user
	ended bool
}

// start starts a load in a group; it waits, ready, for its board's Go. In none:
// where this process is.
func (g *ground) start(in *cgroup.Group, s load.Spec) (w *worker, err error) {
	board, file, err := load.NewBoard()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	w = &worker{spec: s, group: in, board: board, ended: true}
	// By the child's own link it would be the stub.
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open this program: %w", err), board.Close())
	}
	defer self.Close()
	err = g.exec(w, in, self, append([]string{"isoperf"}, s.Args()...), load.Env(int(file.Fd())), int(file.Fd()))
	if err == nil {
		err = w.awaitReady(max(1, s.Threads))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start load %q: %w", strings.Join(s.Args(), " "), err), w.close())
	}
	g.workers = append(g.workers, w)
	return w, nil
}

// exec has the worker be a file, executed in a group; it has its inputs and
// outputs, but for errors, from nowhere, and the descriptors that it is given.
func (g *ground) exec(w *worker, in *cgroup.Group, file *os.File, argv, env []string, inherit ...int) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer null.Close()
	p := program.New(program.Stub, 0)
	if in != nil {
		p.Cgroup = in.FD()
	}
	fault := 2
	if w.quiet { // such as that a process of its own was killed, which was to be
		fault = int(null.Fd())
	}
	p.Stdio(int(null.Fd()), int(null.Fd()), fault)
	for _, fd := range inherit {
		p.Inherit(fd)
	}
	p.Keep(int(file.Fd()))
	p.DieWithParent()
	if w.board != nil {
		// Where huge pages are for everybody, Go's runtime gets some, 6 to 10 MiB
		// before the load has touched anything and not the same in two processes:
		// a load of half of a small limit was killed, or what held less than the
		// load. The refusal outlives execve; Linux 3.15.
		p.Add(program.Prctl("no huge pages", unix.PR_SET_THP_DISABLE, program.Int(1)))
	}
	alone := p.Tell("on its own")
	gate := p.Wait("limits are in force")
	p.ExecAt(program.Int(file.Fd()), argv, env)
	launch := func() (err error) { w.proc, err = program.Start(p); return err }
	g.launcher.Do(func() {
		if in == nil {
			err = launch()
			return
		}
		in.Ready = func() error { return w.proc.Await(alone) }
		err = in.Within(launch)
	})
	w.ended = w.proc == nil
	if err != nil {
		return err
	}
	w.proc.Open(gate)
	return w.proc.WaitExec()
}
