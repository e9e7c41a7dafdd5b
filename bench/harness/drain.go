package harness

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/idmap"
	"isoperf/runtime/namespace"
	"isoperf/runtime/program"
)

// Quota is a user namespace in which only one namespace of a kind may exist.
// The kernel counts a namespace until its destruction is complete, so the
// moment at which a new one may be made is the moment at which the old one is
// gone. See namespaces(7), /proc/sys/user.
type Quota struct {
	kind   namespace.Namespace
	holder *program.Process
	user   *os.File
}

// NewQuota makes a user namespace for a kind of namespace. A process that
// waits holds it until Close.
func NewQuota(kind namespace.Namespace) (*Quota, error) {
	// The user namespace is made in the stub: an execve inside one that has no
	// map yet would lose the capabilities.
	p := program.New(program.Stub, 0)
	p.DieWithParent()
	p.Add(program.Unshare(unix.CLONE_NEWUSER))
	p.Rearm()
	made := p.Tell("user namespace made")
	mapped := p.Wait("ids mapped")
	fd := p.Add(program.Open("/proc/sys/user/"+kind.Limit, unix.O_WRONLY))
	p.Add(program.Write(program.Result(fd), "1"))
	p.Add(program.Close(program.Result(fd)))
	ready := p.Tell("one " + kind.Name + " namespace allowed")
	p.Add(program.Pause())
	holder, err := program.Start(p)
	if err != nil {
		return nil, fmt.Errorf("start the holder of a user namespace: %w", err)
	}
	q := &Quota{kind: kind, holder: holder}
	if err = holder.Await(made); err == nil {
		if err = idmap.Self(holder.Pid()); err == nil {
			holder.Open(mapped)
			err = holder.Await(ready)
		}
	}
	if err != nil {
		eerr := End(holder)
		return nil, fmt.Errorf("bound %s namespaces in a user namespace: %w", kind.Name, firstError(eerr, err))
	}
	q.user, err = os.Open("/proc/" + strconv.Itoa(holder.Pid()) + "/ns/user")
	if err != nil {
		q.Close()
		return nil, fmt.Errorf("hold the user namespace: %w", err)
	}
	return q, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Enter appends the ops that join the user namespace.
func (q *Quota) Enter(p *program.Program) {
	p.Keep(int(q.user.Fd()))
	p.Add(program.Setns(program.Int(q.user.Fd()), unix.CLONE_NEWUSER))
}

// Poll appends the ops that try to make a namespace of the kind until it may
// exist. The result is the op that ends just before the try that succeeded.
func (q *Quota) Poll(p *program.Program, every time.Duration) program.Ref {
	tick := program.Null()
	if every > 0 {
		tick = program.Sleep(int64(every))
	}
	tick.Name = "tick"
	ref := p.Add(tick)
	try := program.Unshare(q.kind.Flag)
	try.Accept, try.Skip = []unix.Errno{unix.ENOSPC}, -2
	p.Add(try)
	return ref
}

// Close ends the holder; the user namespace goes with it.
func (q *Quota) Close() error {
	var err error
	if q.user != nil {
		err = q.user.Close()
	}
	return firstError(End(q.holder), err)
}

// End kills a process and waits for it.
func End(p *program.Process) error {
	if err := p.Signal(unix.SIGKILL); err != nil && err != os.ErrProcessDone {
		return err
	}
	_, err := p.Wait()
	p.Release()
	return err
}

// Drain waits until all network namespaces that were dropped are destroyed.
// The kernel destroys them in the background, in the order in which they were
// dropped, so it is enough to wait for one sentinel that is dropped last.
type Drain struct {
	quota    *Quota
	image    *program.Image
	ready    program.Tell
	sentinel *os.File
}

// patience is how long a backlog may take before it is an error.
const patience = 30 * time.Second

// NewDrain prepares a drain.
func NewDrain() (*Drain, error) {
	net, _ := namespace.ByName("net")
	q, err := NewQuota(net)
	if err != nil {
		return nil, err
	}
	d := &Drain{quota: q}
	p := program.New(program.Stub, 0)
	p.DieWithParent()
	q.Enter(p)
	p.Rearm()
	q.Poll(p, 200*time.Microsecond)
	d.ready = p.Tell("a network namespace may exist")
	p.Add(program.Pause())
	if d.image, err = program.Load(p); err != nil {
		q.Close()
		return nil, err
	}
	if err := d.Wait(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Wait returns when everything that was dropped before is gone. The new
// sentinel stays until the next call, so nothing is being destroyed then.
func (d *Drain) Wait() error {
	if d.sentinel != nil {
		if err := d.sentinel.Close(); err != nil {
			return fmt.Errorf("drop the sentinel: %w", err)
		}
		d.sentinel = nil
	}
	proc, err := d.image.Start()
	if err != nil {
		return fmt.Errorf("start the drain: %w", err)
	}
	timer := time.AfterFunc(patience, func() { proc.Signal(unix.SIGKILL) })
	defer timer.Stop()
	if err := proc.Await(d.ready); err != nil {
		_, werr := proc.Wait()
		return fmt.Errorf("drain network namespaces: %w (is something else creating them?)", firstError(werr, err))
	}
	d.sentinel, err = os.Open("/proc/" + strconv.Itoa(proc.Pid()) + "/ns/net")
	return firstError(err, End(proc))
}

// Close drops the sentinel and the user namespace.
func (d *Drain) Close() error {
	var err error
	if d.sentinel != nil {
		err = d.sentinel.Close()
	}
	d.image.Close()
	return firstError(err, d.quota.Close())
}
