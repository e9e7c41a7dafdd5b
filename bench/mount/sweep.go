package mount

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// slow is how a run begins on a stage that was made for it.
func slow() rest { return rest{settle: harness.Settle} }

// Tables are the calls with mounts already in the namespace.
func Tables(e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, a := range []act{
		{name: "bind", build: func(p *plan) { bindOn(p, target) }},
		{name: "tmpfs", build: fresh("tmpfs", tmpfsData, covered)},
		{name: "umount", build: unmount(0)},
		{name: "make-rprivate", scene: scene{shared: true}, build: makePrivate},
		{name: "pivot_root", build: pivotRoot},
	} {
		for _, mounts := range []int{10, 20, 50, 100, 200, 500, 1000, 2000} {
			cases = append(cases, harness.Case{
				Name:    fmt.Sprintf("SweepMountTable/op=%s/mounts=%d", a.name, mounts),
				Samples: e.Burst, Run: 20, Ballast: true,
				Cost: time.Millisecond + time.Duration(mounts)*3*time.Microsecond,
				Open: func() (harness.Sampler, error) { return open(a, mounts, slow()) },
			})
		}
	}
	return cases
}

// Namespaces are a bind, and the making of another mount namespace, with mount
// namespaces that are alive, each a copy of the stage's.
func Namespaces(e harness.Extent) []harness.Case {
	var cases []harness.Case
	bind := func(g *stage) (harness.Sampler, error) {
		return openOn(g, act{build: func(p *plan) { bindOn(p, target) }}, slow())
	}
	for _, op := range []struct {
		name string
		open func(*stage) (harness.Sampler, error)
	}{{"clone-mnt", openClone}, {"bind", bind}} {
		for _, live := range []int{0, 10, 50, 100, 200, 500} {
			cases = append(cases, harness.Case{
				Name:    fmt.Sprintf("SweepMountns/live=%d/op=%s", live, op.name),
				Samples: e.Burst, Run: 20, Ballast: true,
				Cost: time.Millisecond + time.Duration(live)*20*time.Microsecond,
				Open: func() (harness.Sampler, error) { return openHeld(usual, scene{}, live, op.open) },
			})
		}
	}
	return cases
}

// openHeld opens on a stage beside which so many copies of it are held.
func openHeld(mounts int, s scene, held int, f func(*stage) (harness.Sampler, error)) (harness.Sampler, error) {
	g, err := newStage(mounts, s)
	if err == nil {
		if err = g.hold(held); err != nil {
			g.close()
		}
	}
	if err != nil {
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	return f(g)
}

// openClone is "clone a mount namespace; exit" in mode vm; op-ns is from clone3
// entered to returned.
func openClone(g *stage) (harness.Sampler, error) {
	p := program.New(program.VM, unix.CLONE_NEWNS)
	p.Add(program.Exit(0))
	img, err := program.Load(p)
	if err != nil {
		g.close()
		return nil, err
	}
	return begin(&sampler{g, img, slow(), func(t program.Times) []sample.Value {
		return []sample.Value{{Unit: "op-ns", Value: float64(t.Returned)}}
	}})
}

// Peers are a bind below a mount with so many peers, which all get it, and one
// below a private mount beside as many namespaces. umount-ns takes the bind away
// again, lazily, from all of them.
func Peers(e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, propagation := range []string{"private", "shared"} {
		for _, peers := range []int{0, 1, 3, 10, 30, 100} {
			cases = append(cases, harness.Case{
				Name:    fmt.Sprintf("SweepPeers/propagation=%s/peers=%d", propagation, peers),
				Samples: e.Burst, Run: 20, Ballast: true,
				Cost: time.Millisecond + time.Duration(peers)*20*time.Microsecond,
				Open: func() (harness.Sampler, error) { return openPeers(peers, propagation == "shared") },
			})
		}
	}
	return cases
}

// openPeers: the child's copy of the mount has the stage's as a peer, so one
// less is held; without any it leaves them first, as the private one does.
func openPeers(peers int, shared bool) (harness.Sampler, error) {
	a := act{build: func(p *plan) {
		if peers == 0 || !shared {
			p.Add(program.Mount("", mounted, "", unix.MS_PRIVATE, ""))
		}
		if peers == 0 && shared {
			p.Add(program.Mount("", mounted, "", unix.MS_SHARED, ""))
		}
		bindOn(p, mounted+target)
		whole := p.spans[0]
		from := p.start()
		gone := p.Add(program.Umount(mounted+target, unix.MNT_DETACH))
		there(mounted + target + "/under")(p)
		p.spans = []span{{"umount-ns", from, gone}, whole}
	}}
	return openHeld(usual, scene{peers: true}, max(0, peers-1), func(g *stage) (harness.Sampler, error) { return openOn(g, a, slow()) })
}

// each is how many mounts a child of a creator makes.
const each = 32

// Mounters are several creators at once, each with a mount namespace of its
// own, whose children make 32 mounts each. op-ns is one of those; wall-ns the time
// from the first creator's start to the last one's end, divided by all mounts:
// it has the births and ends of the children in it, which take the mounts down.
func Mounters(e harness.Extent) []harness.Case {
	const run = 20
	var cases []harness.Case
	for _, name := range []string{"tmpfs", "bind"} {
		op := func(at string) program.Op { return program.Mount("tmpfs", at, "tmpfs", 0, tmpfsData) }
		if name == "bind" {
			op = func(at string) program.Op { return program.Mount(source, at, "", unix.MS_BIND, "") }
		}
		for _, n := range creators(2 * runtime.NumCPU()) {
			cases = append(cases, harness.Case{
				Name:    fmt.Sprintf("SweepMounters/op=%s/n=%d", name, n),
				Samples: max(e.Burst, harness.CrowdRuns*run*n), Run: run, Ballast: true, Cost: 3 * time.Millisecond,
				Open: func() (harness.Sampler, error) { return openMounters(op, n) },
			})
		}
	}
	return cases
}

// creators are 1, 2, 3, 4, 6, 8, 12, … up to last.
func creators(last int) []int {
	var list []int
	for step, n := 1, 1; n < last; n += step {
		list = append(list, n)
		if n == 4*step {
			step *= 2
		}
	}
	return append(list, last)
}

// mounters is a sampler for each creator.
type mounters []*sampler

func openMounters(op func(at string) program.Op, n int) (harness.Sampler, error) {
	var m mounters
	a := act{scene: scene{layers: each}, build: func(p *plan) {
		from := p.start()
		last := from
		for i := range each {
			last = p.Add(op(fmt.Sprintf("%s/%d", layers, i+1)))
		}
		p.spans = []span{{"op-ns", from, last}}
	}}
	for range n {
		s, err := open(a, usual, rest{})
		if err != nil {
			m.Close()
			return nil, err
		}
		m = append(m, s.(*sampler))
	}
	return m, nil
}

// Sample lets every creator start n children, all from one moment on.
func (m mounters) Sample(n int, emit func([]sample.Value, error)) {
	type result struct {
		took        []float64
		first, last int64
		err         error
	}
	results := make([]result, len(m))
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(len(m))
	for i, s := range m {
		r := &results[i]
		done.Go(func() {
			s.stage.Do(func() {
				ready.Done()
				<-start
				r.first = program.Now()
				for range n {
					values, err := s.one()
					if err != nil {
						r.err = err
						break
					}
					r.took = append(r.took, values[0].Value/each)
				}
				r.last = program.Now()
			})
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	made, first, last := 0, results[0].first, results[0].last
	for _, r := range results {
		made += each * len(r.took)
		first, last = min(first, r.first), max(last, r.last)
	}
	wall := float64(last-first) / float64(max(1, made))
	told := false // the wall time is one of the run, not of each child
	for _, r := range results {
		for _, took := range r.took {
			values := []sample.Value{{Unit: "op-ns", Value: took}}
			if !told {
				told, values = true, append([]sample.Value{{Unit: "wall-ns", Value: wall}}, values...)
			}
			emit(values, nil)
		}
		if r.err != nil {
			emit(nil, r.err)
		}
	}
}

// Close ends the creators.
func (m mounters) Close() error {
	var err error
	for _, s := range m {
		if cerr := s.Close(); err == nil {
			err = cerr
		}
	}
	return err
}
