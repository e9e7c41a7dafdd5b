package limits

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/runtime/program"
)

// What operations on control groups cost. Each is done by a child that is no
// member of the groups, and op-ns is from the call entered to the call returned:
//
//	create       mkdir
//	remove       rmdir of an empty group
//	configure-F  open F, write a limit that is another than before, close
//	read-F       open F, read, close
//	migrate      write a process's id to cgroup.procs (its file is open)
//	attach-…     the same, alone, with favordynmods and without; see favorActs
//
// The files have version 2's names; in version 1 they are its own of the same
// meaning. How a process is put into a group when it is born, and how that depends
// on the pause before, is measured by bench/attach.
//
// One operation concerns one hierarchy: of version 1 each has its own groups, and
// a container pays in each; version 2 has one with all controllers. On a machine
// where version 1 has the controllers, version 2's groups have none.

// opAct is an operation.
type opAct struct {
	name        string
	hierarchies []string // that have it
	moved       int      // threads of the process that it moves
	paced       bool     // it is only done alone
	open        func(o *opStage, paced bool) (harness.Sampler, error)
}

// opFile is what a file of version 2 is called in a hierarchy.
func opFile(name, hierarchy string) string {
	if hierarchy == version2 {
		return name
	}
	if old := map[string]string{"cpu.max": "cpu.cfs_quota_us", "memory.max": "memory.limit_in_bytes"}[name]; old != "" {
		return old
	}
	return name
}

// opActs are the rows of the family CgroupOp.
func opActs() []opAct {
	all := []string{"cpu", "memory", "pids", version2}
	values := func(name string) (hierarchies []string, first, second string) {
		switch name {
		case "cpu.max":
			return []string{"cpu", version2}, "50000", "20000"
		case "memory.max":
			return []string{"memory", version2}, "1073741824", "2147483648"
		}
		return []string{"pids", version2}, "1000", "2000"
	}
	list := []opAct{
		{name: "op=create", hierarchies: all, open: openCreate},
		{name: "op=remove", hierarchies: all, open: openRemove},
	}
	for _, name := range []string{"cpu.max", "memory.max", "pids.max"} {
		where, first, second := values(name)
		list = append(list, opAct{name: "op=configure-" + name, hierarchies: where, open: func(o *opStage, paced bool) (harness.Sampler, error) {
			return openConfigure(o, name, first, second, paced)
		}})
	}
	for _, name := range []string{"cpu.stat", "memory.stat"} {
		list = append(list, opAct{name: "op=read-" + name, hierarchies: []string{strings.TrimSuffix(name, ".stat"), version2}, open: func(o *opStage, paced bool) (harness.Sampler, error) {
			return openRead(o, name, paced)
		}})
	}
	for _, threads := range []int{1, 100} {
		list = append(list, opAct{name: fmt.Sprintf("op=migrate/threads=%d", threads), hierarchies: all, moved: threads, open: openMigrate})
	}
	return list
}

// CgroupOps are the operations, back to back and alone.
func (b *Bench) CgroupOps(e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, paced := range []bool{false, true} {
		for _, a := range append(opActs(), b.favorActs()...) {
			if a.paced && !paced {
				continue
			}
			for _, h := range a.hierarchies {
				pacing, run := "burst", 20
				if paced {
					pacing, run = "paced", 0
				}
				cases = append(cases, harness.Case{
					Name:    fmt.Sprintf("CgroupOp/%s/hierarchy=%s/pacing=%s", a.name, h, pacing),
					Paced:   paced,
					Samples: e.Wanted(paced),
					Run:     run,
					Ballast: true,
					Cost:    time.Millisecond,
					Open: func() (harness.Sampler, error) {
						return openOp(b.Context, a, h, opScene{moved: a.moved}, paced)
					},
				})
			}
		}
	}
	return cases
}

// openOp makes what is around an operation, and prepares it.
func openOp(ctx context.Context, a opAct, hierarchy string, s opScene, paced bool) (harness.Sampler, error) {
	o, err := newOpStage(ctx, hierarchy, s)
	if err != nil {
		return nil, err
	}
	return a.open(o, paced)
}

func openCreate(o *opStage, paced bool) (harness.Sampler, error) {
	p, dir := newOpPlan(), o.dir+"/new"
	p.timed(program.Mkdir(dir, 0o755))
	p.Add(rmdir(dir))
	return o.opening(paced, nil, p)
}

func openRemove(o *opStage, paced bool) (harness.Sampler, error) {
	p, dir := newOpPlan(), o.dir+"/new"
	p.Add(program.Mkdir(dir, 0o755))
	p.timed(rmdir(dir))
	return o.opening(paced, nil, p)
}

// openConfigure writes two limits in turns, into a group of its own.
func openConfigure(o *opStage, name, first, second string, paced bool) (harness.Sampler, error) {
	if o.bare {
		return nil, o.failed(errBare)
	}
	made, err := o.child(o.where, "limited", nil)
	if err != nil {
		return nil, o.failed(err)
	}
	path := made.Dir(o.hierarchy) + "/" + opFile(name, o.hierarchy)
	values := []string{first, second}
	var plans []*opPlan
	for _, v := range values {
		p := newOpPlan()
		p.wholly(path, unix.O_WRONLY, func(fd program.Arg) program.Op { return program.Write(fd, v) })
		plans = append(plans, p)
	}
	return o.opening(paced, func(turn int) error {
		got, err := readLine(path)
		if got, _, _ = strings.Cut(got, " "); err == nil && got != values[turn] {
			err = fmt.Errorf("write %q to %q: it is %q", values[turn], path, got)
		}
		return err
	}, plans...)
}

// errBare says why a group has no file of a controller.
var errBare = harness.NotMeasured{Why: "version 2 has no controllers here: they are version 1's"}

// failed ends a stage on which nothing can be measured.
func (o *opStage) failed(err error) error {
	if cerr := o.close(); cerr != nil {
		return fmt.Errorf("%w; and then: %w", err, cerr)
	}
	return err
}

func openRead(o *opStage, name string, paced bool) (harness.Sampler, error) {
	if o.bare && name != "cpu.stat" {
		return nil, o.failed(errBare)
	}
	made, err := o.child(o.where, "read", nil)
	if err != nil {
		return nil, o.failed(err)
	}
	p := newOpPlan()
	text := program.Buffer(16 << 10)
	p.wholly(made.Dir(o.hierarchy)+"/"+name, unix.O_RDONLY, func(fd program.Arg) program.Op {
		return program.Op{Name: "read", Call: unix.SYS_READ, Args: [6]program.Arg{fd, text, program.Int(16 << 10)}}
	})
	return o.opening(paced, nil, p)
}

// openMigrate moves the process there and back.
func openMigrate(o *opStage, paced bool) (harness.Sampler, error) {
	pid := o.busy.proc.Pid()
	var plans []*opPlan
	for _, to := range []string{o.homes[1], o.homes[0]} {
		p := newOpPlan()
		fd := program.Result(p.Add(program.Open(to+"/cgroup.procs", unix.O_WRONLY)))
		p.timed(program.Write(fd, fmt.Sprint(pid)))
		plans = append(plans, p)
	}
	return o.opening(paced, func(turn int) error { return isIn(pid, o.homes[1-turn]) }, plans...)
}

// sweepActs are the operations that are swept.
func sweepActs() []opAct {
	return []opAct{
		{name: "op=create", open: openCreate},
		{name: "op=remove", open: openRemove},
		{name: "op=read-memory.stat", open: func(o *opStage, paced bool) (harness.Sampler, error) { return openRead(o, "memory.stat", paced) }},
		{name: "op=migrate", moved: 1, open: openMigrate},
	}
}

// Siblings are operations with other groups beside.
func (b *Bench) Siblings(e harness.Extent) []harness.Case {
	return b.sweepOps("SweepSiblings/siblings", []int{0, 10, 30, 100, 300, 1000}, e, func(n int) opScene { return opScene{siblings: n, depth: 1} })
}

// Depths are operations below other groups.
func (b *Bench) Depths(e harness.Extent) []harness.Case {
	return b.sweepOps("SweepDepth/depth", []int{1, 2, 4, 6, 8, 10}, e, func(n int) opScene { return opScene{depth: n} })
}

func (b *Bench) sweepOps(name string, steps []int, e harness.Extent, scene func(int) opScene) []harness.Case {
	var cases []harness.Case
	for _, h := range []string{"memory", version2} {
		for _, a := range sweepActs() {
			for _, n := range steps {
				s := scene(n)
				s.moved = a.moved
				cases = append(cases, harness.Case{
					Name:    fmt.Sprintf("%s=%d/%s/hierarchy=%s", name, n, a.name, h),
					Samples: e.Burst, Run: 20, Ballast: true,
					Cost: 3*time.Millisecond + time.Duration(s.siblings)*20*time.Microsecond,
					Open: func() (harness.Sampler, error) { return openOp(b.Context, a, h, s, false) },
				})
			}
		}
	}
	return cases
}
