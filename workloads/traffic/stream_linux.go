package traffic

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/workloads/load"
)

// Kinds are the loads of this package, for load.Main.
func Kinds() []load.Kind {
	return []load.Kind{
		{Name: Send, Run: streams},
		{Name: Receive, Run: streams},
		{Name: Ask, Run: ask},
		{Name: Answer, Run: answer},
		{Name: Connect, Run: connect},
		{Name: SendUDP, Run: sendUDP},
		{Name: ReceiveUDP, Run: receiveUDP},
	}
}

// block is how many bytes an ordinary application moves at once; iperf3 does.
const block = 128 << 10

const (
	cpuEvery  = int64(time.Millisecond)      // how often a thread writes down its CPU time
	stepEvery = int64(10 * time.Millisecond) // and how much it moved meanwhile, as a load.Step
)

// grace is how long a stream that the other end ended waits for being told to end
// as well: both are told one after the other.
const grace = time.Second

// traffic is one end, while it runs.
type traffic struct {
	spec    load.Spec
	options Options
	at      netip.AddrPort
	board   *load.Board
	report  Report
}

// newTraffic reads a Spec.
func newTraffic(s load.Spec, b *load.Board, size int64) (*traffic, error) {
	o, err := ParseOptions(s.Extra)
	if err != nil {
		return nil, err
	}
	at, err := address(s.Path)
	if err != nil {
		return nil, err
	}
	if s.Step == 0 {
		s.Step = size
	}
	if s.Threads == 0 {
		s.Threads = 1
	}
	m, err := method(s.Kind, o.Method)
	if err != nil {
		return nil, err
	}
	return &traffic{spec: s, options: o, at: at, board: b, report: Report{
		Kind: s.Kind, Method: m, Block: int(s.Step), Options: s.Extra, Streams: make([]Stream, s.Threads),
	}}, nil
}

// each runs f on every thread, and writes the report. A thread that fails has the
// others end.
func (t *traffic) each(f func(thread int) error) error {
	err := load.Threads(t.spec.Threads, t.board, func(i int) error {
		err := f(i)
		if errors.Is(err, errOver) {
			return nil
		}
		if err != nil {
			t.report.Streams[i].End = Failed
			if errno, ok := errors.AsType[unix.Errno](err); ok {
				t.board.Slots[i].Errno.Store(uint32(errno))
			}
			t.board.Stop()
		}
		return err
	})
	if err != nil {
		t.report.Error = err.Error()
	}
	_, wrote := fmt.Fprintln(os.Stdout, t.report)
	return errors.Join(err, wrote)
}

// streams are both ends of a bulk transfer. Each moves Step bytes at once, and
// ends when it is told to, after Bytes (0: never), or when the other end closes.
// How much it moved in each 10 ms is noted as a load.Step, Value bytes.
func streams(s load.Spec, b *load.Board) error {
	t, err := newTraffic(s, b, block)
	if err != nil {
		return err
	}
	listener := -1
	if t.options.Listen {
		if listener, err = listen(t.at, t.options, b); err != nil {
			return err
		}
	}
	var accepted atomic.Int32
	return t.each(func(i int) error {
		var fd int
		var err error
		if listener >= 0 {
			fd, err = accept(listener, b)
			if int(accepted.Add(1)) == t.spec.Threads {
				unix.Close(listener) // one more would wait there for ever
			}
		} else {
			fd, err = dial(t.at, unix.SOCK_STREAM, t.options, b)
		}
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := t.greet(fd, listener < 0); err != nil {
			return err
		}
		return t.stream(i, fd)
	})
}

// greet has the end that connected send one byte, which the other reads before
// it is ready: a translator may answer for an end that it has not reached yet, and
// pasta reaches it only when it has something to pass on.
func (t *traffic) greet(fd int, first bool) error {
	for !t.board.Over() {
		var n int
		var err error
		if first {
			n, err = unix.Write(fd, []byte{'\n'})
		} else if n, err = unix.Read(fd, make([]byte, 1)); n == 0 && err == nil {
			return errors.New("greet the other end: it closed the connection at once; is the path right?")
		}
		if n == 1 {
			return nil
		}
		if err != unix.EAGAIN && err != unix.EINTR {
			return fmt.Errorf("greet the other end: %w", err)
		}
	}
	return errOver
}

// stream moves data by one connection.
func (t *traffic) stream(i, fd int) error {
	s := &t.report.Streams[i]
	if err := s.describe(fd); err != nil {
		return err
	}
	m, err := newMover(t.spec.Kind, t.report.Method, fd, t.report.Block)
	if err != nil {
		return err
	}
	defer m.close()
	if t.spec.Kind == Receive {
		if m.call, err = patient(fd, t.report.Block, t.options.Window, m.call); err != nil {
			return err
		}
	}
	t.board.AwaitGo()
	errno := t.pump(i, m.call)
	if m.after != nil {
		m.after(s)
	}
	if err := s.describe(fd); err != nil {
		return err
	}
	switch {
	case errno != 0 && !t.overSoon():
		return fmt.Errorf("%s by %s, %s to %s, after %d bytes: %w; did the other end fail?", t.spec.Kind, t.report.Method, s.Local, s.Remote, s.Bytes, errno)
	case errno != 0:
		s.End = Stopped
	case s.End == Done && t.spec.Kind == Send:
		return t.finish(fd)
	}
	return abort(fd)
}

// pump moves data until there is a reason to end, which it says.
func (t *traffic) pump(i int, call move) unix.Errno {
	b, s, slot := t.board, &t.report.Streams[i], &t.board.Slots[i]
	c := load.NewClock()
	from, noted, used := c.Now(), int64(0), int64(0)
	defer func() {
		slot.CPU.Store(load.ThreadCPU())
		if s.Bytes > noted {
			b.Note(load.Event{From: from, To: slot.At.Load(), Value: s.Bytes - noted, Thread: int32(i), Kind: load.Step})
		}
	}()
	for s.End = Stopped; !b.Over(); {
		n, errno := call()
		if errno == unix.EAGAIN || errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		if n == 0 {
			s.End = Closed
			return 0
		}
		now := c.Now()
		s.Bytes += int64(n)
		s.Calls++
		slot.Count.Store(s.Bytes)
		slot.At.Store(now)
		slot.Loops.Store(uint64(s.Calls))
		if now-used >= cpuEvery {
			slot.CPU.Store(load.ThreadCPU())
			used = now
		}
		if now-from >= stepEvery {
			b.Note(load.Event{From: from, To: now, Value: s.Bytes - noted, Thread: int32(i), Kind: load.Step})
			from, noted = now, s.Bytes
		}
		if t.spec.Bytes > 0 && s.Bytes >= t.spec.Bytes {
			s.End = Done
			return 0
		}
	}
	return 0
}

// overSoon waits for being told to end, for grace.
func (t *traffic) overSoon() bool {
	for end := load.Monotonic() + int64(grace); !t.board.Over(); {
		if load.Monotonic() > end {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// finish ends a stream that has sent all that it was to: the other end is to read
// all of it, and then closes.
func (t *traffic) finish(fd int) error {
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		return fmt.Errorf("end a stream: %w", err)
	}
	for !t.board.Over() {
		if _, err := unix.Read(fd, make([]byte, 1)); err != unix.EAGAIN && err != unix.EINTR {
			return nil
		}
	}
	return nil
}
