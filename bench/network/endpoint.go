package network

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/workloads/load"
	"isoperf/workloads/traffic"
)

// patience is how long an end may take to get ready, or to stop.
const patience = 10 * time.Second

// endpoint is a load at one end of a path.
type endpoint struct {
	command
	spec  load.Spec
	board *load.Board
}

// start starts one end in a place. A listener is ready to be dialled, any other
// is connected, or about to, when it says so on its board.
func (w *world) start(at *place, s load.Spec) (*endpoint, error) {
	e := &endpoint{command: command{place: at}, spec: s}
	if err := e.load(w.host); err != nil {
		return nil, errors.Join(fmt.Errorf("start %q in the namespace of the %s: %w", strings.Join(s.Args(), " "), at.name, err), e.close())
	}
	return e, nil
}

func (e *endpoint) load(host *place) error {
	board, file, err := load.NewBoard()
	if err != nil {
		return err
	}
	defer file.Close()
	e.board = board
	self, err := os.Open("/proc/self/exe") // by the child's own link it would be the stub
	if err != nil {
		return fmt.Errorf("open this program: %w", err)
	}
	defer self.Close()
	return e.exec(host, self, append([]string{"isoperf"}, e.spec.Args()...), load.Env(int(file.Fd())), int(file.Fd()))
}

// await waits for something of the board.
func (e *endpoint) await(what string, done func(*load.Board) bool) error {
	for begin := time.Now(); !done(e.board); time.Sleep(100 * time.Microsecond) {
		if e.gone() {
			return fmt.Errorf("%s: %w", what, e.failure())
		}
		if time.Since(begin) > patience {
			return fmt.Errorf("%s: it does not within %v", what, patience)
		}
	}
	return nil
}

// port is what a listener listens on.
func (e *endpoint) port() (int, error) {
	err := e.await("wait for the listener's port", func(b *load.Board) bool { return b.Phase.Load() != 0 })
	return int(e.board.Phase.Load()), err
}

// ready waits until all streams of an end are there.
func (e *endpoint) ready() error {
	return e.await("wait until the "+e.place.name+"'s end is connected", func(b *load.Board) bool {
		return b.Ready.Load() >= uint32(max(1, e.spec.Threads))
	})
}

// stop has an end stop, and returns its report.
func (e *endpoint) stop() (traffic.Report, error) {
	e.board.Stop()
	timer := time.AfterFunc(patience, func() { _ = e.proc.Signal(unix.SIGKILL) }) // it may have ended
	defer timer.Stop()
	status, err := e.wait()
	if err == nil && (status.Signal != 0 || status.Code != 0) {
		err = fmt.Errorf("the %s's end ended with %v: %s", e.place.name, status, strings.TrimSpace(e.errs.String()))
	}
	if err != nil {
		return traffic.Report{}, err
	}
	return traffic.ParseReport(e.out.String())
}

// close kills an end that still runs, and gives its board back.
func (e *endpoint) close() error {
	err := e.command.close()
	if e.board != nil {
		err = errors.Join(err, e.board.Close())
		e.board = nil
	}
	return err
}

// cpu is the CPU time of a process, by its own clock; see clock_getcpuclockid(3).
func cpu(pid int) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}
