package startup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/sample"
	"isoperf/runtime/program"
	"isoperf/workloads/payload"
)

// starter starts one setup again and again: clone3 with shared memory, a
// process group of its own, descriptors, execve, by the engine's loop.
type starter struct {
	w     *world
	setup setup
	start start
	img   *program.Image
	out   pipe // what the container writes
	errs  pipe // what the runtime has to say
	stamp bool // the payload tells when it began
	peak  int64
	// A command of the user's has its own environment, and its output is dropped.
	env    []string // nil: the world's
	silent bool
	offset int // bytes of an unused variable; 0: there is none
	// shared: others start at the same time, so a child that comes up is not
	// known to be of this start.
	shared bool
}

// one is a start: when it began, how long the payload and the end of the
// process took, and what it cost.
type one struct {
	entered      int64 // clone3 entered, CLOCK_MONOTONIC in nanoseconds
	ready, total int64 // nanoseconds from there; ready is 0 without a stamp
	user, system time.Duration
}

// pipe is a pipe whose both ends are ours: what comes is read afterwards.
type pipe struct {
	r, w   *os.File
	memory bool // it is a file in memory, for those who write without an end
}

// pipeSize is room for all that a start may write; what writes more waits for
// a reader that does not come, and is killed in the end.
const pipeSize = 1 << 20

func newPipe() (p pipe, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return p, fmt.Errorf("make a pipe: %w", err)
	}
	// Only as large as an ordinary user may have them; see pipe(7).
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return p, fmt.Errorf("make a pipe: %w", err)
	}
	return pipe{r: os.NewFile(uintptr(fds[0]), "pipe"), w: os.NewFile(uintptr(fds[1]), "pipe")}, nil
}

// read is what has been written since the last read.
func (p pipe) read() ([]byte, error) {
	if p.memory {
		return p.tail()
	}
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(int(p.r.Fd()), buf)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return all, nil
		case err != nil:
			return all, fmt.Errorf("read what the start wrote: %w", err)
		default:
			all = append(all, buf[:n]...)
		}
	}
}

func (p pipe) close() {
	if p.r != nil {
		p.r.Close()
		p.w.Close()
	}
}

// newStarter readies a start. extra is a descriptor that the runtime is to have
// under its own number; 0: none.
func (w *world) newStarter(f *found, extra int) (*starter, error) {
	s := &starter{w: w, setup: f.setup, stamp: len(w.config.Exec) == 0, start: f.start}
	var err error
	if s.out, err = newPipe(); err == nil {
		s.errs, err = newPipe()
	}
	if err == nil {
		s.img, err = s.load(extra)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	s.limit()
	return s, nil
}

// limit bounds each start.
func (s *starter) limit() {
	s.img.Limit(program.Limits{Within: s.setup.peer.bound(), Usage: true, Refused: s.stuck})
}

// stuck says of a start that it hangs and may not be killed.
func (s *starter) stuck(pid int, _ error) {
	if s.w.config.Stuck != nil {
		s.w.config.Stuck(fmt.Errorf("start %s: it does not end: %w", s.setup.peer.name, notOurs(pid)))
	}
}

// load lays the start out.
func (s *starter) load(extra int) (*program.Image, error) {
	v := s.setup.variant
	env := s.env
	if env == nil {
		var err error
		if env, err = s.w.environ(v, s.start.env); err != nil {
			return nil, err
		}
	}
	if s.offset > 0 {
		env = append(slices.Clip(env), offsetVariable+"="+strings.Repeat("x", s.offset))
	}
	p := program.New(program.VM, 0)
	in, out := s.w.null, s.out.w
	if s.silent {
		out = s.w.null
	}
	if s.start.takesInput {
		in = s.w.empty
	}
	p.Stdio(int(in.Fd()), int(out.Fd()), int(s.errs.w.Fd()))
	if extra > 0 {
		p.Inherit(extra)
	}
	// Ctrl-C is for this process. When it is killed, so is the runtime, but not
	// what that has started.
	p.Add(ownGroup())
	if v.rootless && os.Geteuid() == 0 {
		p.Add(program.Setgroups(nil))
		p.Add(program.Setresgid(s.w.gid(v)))
		p.Add(program.Setresuid(s.w.uid(v)))
	}
	p.Add(dieWithUs())
	p.Exec(s.start.argv[0], s.start.argv, env)
	return program.Load(p)
}

// ownGroup makes a process group, as a shell does for each job. A session of its
// own would keep the terminal's signals away as well, but where the scheduler
// groups by sessions (sched(7), the autogroup feature) to make and free one is a
// part of the start that no user has: 0.01 to 0.1 ms here.
func ownGroup() program.Op {
	return program.Op{Name: "process group", Call: unix.SYS_SETPGID, Args: [6]program.Arg{program.Int(0), program.Int(0)}, Text: "setpgid(0, 0)"}
}

// dieWithUs has the kernel kill the process when this one ends. The program
// cannot wait for its launcher, as program.DieWithParent does: Cycle waits for
// its end.
func dieWithUs() program.Op {
	return program.Op{
		Name: "die with parent", Call: unix.SYS_PRCTL, Args: [6]program.Arg{program.Int(unix.PR_SET_PDEATHSIG), program.Int(int(unix.SIGKILL))},
		Text: "prctl(PR_SET_PDEATHSIG, SIGKILL)",
	}
}

// cycle is one start. What it leaves running is waited for, so that the next
// start does not share the machine with it.
func (s *starter) cycle() (one, error) {
	o, _, err := s.run()
	return o, err
}

// run is a start, and what it wrote.
func (s *starter) run() (one, []byte, error) {
	if s.setup.variant.cold {
		if err := dropCaches(); err != nil {
			return one{}, nil, err
		}
	}
	var known []int
	if !s.shared {
		var err error
		if known, err = adopted(); err != nil {
			return one{}, nil, err
		}
	}
	arrival := s.watch()
	stop := s.interruptible()
	t, err := s.img.Cycle()
	stop()
	var op *program.OpError
	if status := s.img.Status(); err != nil && !errors.As(err, &op) && !errors.Is(err, program.ErrBound) && !status.Success() {
		err = fmt.Errorf("it ended with %v", status)
	}
	came := arrival()
	if s.setup.variant.rootless && os.Geteuid() == 0 {
		// Its change of credentials is one of the memory that it shared.
		err = errors.Join(err, unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
	}
	out, rerr := s.out.read()
	said, serr := s.errs.read()
	var left []int
	var lerr error
	if !s.shared && !errors.Is(err, program.ErrBound) { // what was started by one that hung is killed
		left, lerr = awaitOrphans(known, patience)
	}
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s has left %q running for %v", s.setup.peer.name, commandOf(left[0]), patience)
	}
	out = append(came.text, out...)
	if err = errors.Join(err, rerr, serr, lerr); err != nil {
		return one{}, nil, s.failed(known, err, said, out)
	}
	status := s.img.Status()
	o := one{entered: s.img.Entered(), total: t.Reaped, user: status.User, system: status.System}
	if !s.stamp {
		return o, out, nil
	}
	at, err := payload.ParseStamp(out)
	if err != nil {
		return one{}, nil, s.failed(known, err, said, out)
	}
	if s.start.outside {
		at = came.at
	}
	if o.ready = at - o.entered; o.ready <= 0 || o.ready > o.total {
		return one{}, nil, fmt.Errorf("start %s: its payload began %v after the start, which took %v: its clock is not ours", s.setup.peer.name, time.Duration(o.ready), time.Duration(o.total))
	}
	return o, out, nil
}

// grace is how long a start may go on when the run is interrupted.
const grace = 2 * time.Second

// interruptible kills the start that runs some time after the run was
// interrupted, until stop is called.
func (s *starter) interruptible() (stop func()) {
	done := make(chan struct{})
	cancel := context.AfterFunc(s.w.context(), func() {
		select {
		case <-done:
		case <-time.After(grace):
			s.img.Kill()
		}
	})
	return func() { close(done); cancel() }
}

// failed says what the runtime said of a start that failed, and cleans up.
func (s *starter) failed(known []int, err error, said, out []byte) error {
	line := lastLine(said)
	if line == "" && !s.stamp {
		line = lastLine(out)
	}
	if line != "" {
		err = fmt.Errorf("%w: %s", err, line)
	}
	if !s.shared {
		err = errors.Join(err, endOrphans(known))
		// What they wrote until they were dead is not the next one's.
		_, rerr := s.out.read()
		_, serr := s.errs.read()
		err = errors.Join(err, rerr, serr)
	}
	if s.start.clean != nil {
		cerr := s.start.clean()
		if !s.shared {
			cerr = errors.Join(cerr, endOrphans(known)) // of what was to remove it
		}
		cerr = errors.Join(cerr, removeGroups(s.setup.id))
		if s.w.context().Err() != nil {
			s.w.owe(cerr)
		}
		err = errors.Join(err, cerr)
	}
	return fmt.Errorf("start %s: %w", s.setup.peer.name, err)
}

// arrived is when the payload's bytes came, by our clock, and what came with
// them.
type arrived struct {
	at   int64
	text []byte
}

// watch reads what an outside start writes while it runs, and notes when the
// stamp was there. The other starts are not watched: their stamp tells.
func (s *starter) watch() func() arrived {
	if !s.start.outside {
		return func() arrived { return arrived{} }
	}
	done, result := make(chan struct{}), make(chan arrived)
	go func() {
		var a arrived
		fds := []unix.PollFd{{Fd: int32(s.out.r.Fd()), Events: unix.POLLIN}}
		for {
			_, _ = unix.Poll(fds, 50) // a pause; the read tells
			text, err := s.out.read()
			a.text = append(a.text, text...)
			if _, perr := payload.ParseStamp(a.text); a.at == 0 && perr == nil {
				a.at = program.Now()
			}
			select {
			case <-done:
				result <- a
				return
			default:
				if err != nil {
					<-done
					result <- a
					return
				}
			}
		}
	}()
	return func() arrived { close(done); return <-result }
}

// Sample starts n times.
func (s *starter) Sample(n int, emit func([]sample.Value, error)) {
	for range n {
		o, err := s.cycle()
		switch {
		case err == nil:
			emit(o.values(s.peak), nil)
		case s.w.context().Err() != nil:
			return // it was interrupted, and did not fail
		default:
			emit(nil, err)
		}
	}
}

// values are a sample. The last one decides how many there are.
func (o one) values(peak int64) []sample.Value {
	var v []sample.Value
	if o.ready > 0 {
		v = append(v, sample.Value{Unit: "ready-ns", Value: float64(o.ready)})
	}
	v = append(v, sample.Value{Unit: "user-ns", Value: float64(o.user)}, sample.Value{Unit: "sys-ns", Value: float64(o.system)})
	if peak > 0 {
		v = append(v, sample.Value{Unit: "peak-B", Value: float64(peak)})
	}
	return append(v, sample.Value{Unit: "total-ns", Value: float64(o.total)})
}

// Close gives back what newStarter took.
func (s *starter) Close() error {
	s.out.close()
	s.errs.close()
	if s.img != nil {
		s.img.Close()
	}
	return nil
}

// lastLine is the last line of a text that says something, of at most 300
// bytes.
func lastLine(text []byte) string {
	lines := strings.FieldsFunc(string(bytes.ToValidUTF8(text, []byte("?"))), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := len(lines) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(lines[i]); line != "" {
			return line[:min(300, len(line))]
		}
	}
	return ""
}
