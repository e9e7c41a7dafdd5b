package network

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// word is the first argument of a program that is to be a host.
const word = "network-host"

// outcome is what a host says of one sample, or of having made its world.
type outcome struct {
	Values      []sample.Value  `json:"values,omitempty"`
	Checked     *sample.Checked `json:"checked,omitempty"`
	Series      []sample.Series `json:"series,omitempty"`
	Foreign     *Foreign        `json:"foreign,omitempty"`
	Failed      string          `json:"failed,omitempty"`       // why there is no number
	NotMeasured string          `json:"not_measured,omitempty"` // why there can be none here
}

func (o outcome) err() error {
	switch {
	case o.NotMeasured != "":
		return harness.NotMeasured{Why: o.NotMeasured}
	case o.Failed != "":
		return errors.New(o.Failed)
	}
	return nil
}

// stage is the process that is the host, seen from the one that measures.
type stage struct {
	thread *program.Launcher // that started it: the host dies when that thread ends
	cmd    *exec.Cmd
	pipe   *os.File // its requests and answers
	in     *json.Decoder
	out    *json.Encoder
	said   *bytes.Buffer
	ended  bool
	bounds time.Duration // how long an answer may take
}

// slack is how long a host may take beside its window: to make its world, to
// start its ends, to warm up, and to end them.
const slack = 60 * time.Second

// newStage starts a host for a cell and has it make its world.
func newStage(c Cell) (*stage, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "host"), os.NewFile(uintptr(pair[1]), "host")
	defer theirs.Close()
	s := &stage{pipe: ours, in: json.NewDecoder(ours), out: json.NewEncoder(ours), said: &bytes.Buffer{}, bounds: slack + c.Window}
	s.cmd = exec.Command("/proc/self/exe", word)
	s.cmd.ExtraFiles = []*os.File{theirs}
	s.cmd.Stdout, s.cmd.Stderr = s.said, s.said
	s.cmd.WaitDelay = time.Second
	s.cmd.SysProcAttr = attributes(c)
	s.thread = program.NewLauncher()
	s.thread.Do(func() { err = s.cmd.Start() })
	if err != nil {
		s.thread.Close()
		ours.Close()
		err = fmt.Errorf("start a host of its own in new namespaces: %w", err)
		if os.Geteuid() != 0 {
			return nil, harness.NotMeasured{Why: err.Error() + "; user namespaces may be off for ordinary users (isoperf doctor)"}
		}
		return nil, err
	}
	o, err := s.ask(c)
	if err == nil {
		err = o.err()
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// attributes are the namespaces of a host. The path loopback is in the machine's
// own network.
func attributes(c Cell) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	a.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID
	if c.Path != loopbackPath {
		a.Cloneflags |= syscall.CLONE_NEWNET
	}
	if os.Geteuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return a
}

// ask has the host do what a cell says: first to make its world, then a sample
// each time.
func (s *stage) ask(c Cell) (outcome, error) {
	if err := s.pipe.SetDeadline(time.Now().Add(s.bounds)); err != nil {
		return outcome{}, fmt.Errorf("bound a host's answer: %w", err)
	}
	var o outcome
	err := s.out.Encode(c)
	if err == nil {
		err = s.in.Decode(&o)
	}
	if err == nil {
		return o, nil
	}
	err = errors.Join(err, s.close())
	if said := strings.TrimSpace(s.said.String()); said != "" {
		err = fmt.Errorf("%w; it said: %s", err, said)
	}
	return o, fmt.Errorf("wait for the host of path %q: %w", c.Path, err)
}

// close ends the host, and with it every process and namespace that it made.
func (s *stage) close() error {
	if s.ended {
		return nil
	}
	s.ended = true
	err := s.pipe.Close()
	if kerr := s.cmd.Process.Kill(); kerr != nil && !errors.Is(kerr, os.ErrProcessDone) {
		err = errors.Join(err, fmt.Errorf("end a host: %w", kerr))
	}
	var exit *exec.ExitError
	if werr := s.cmd.Wait(); werr != nil && !errors.As(werr, &exit) && !errors.Is(werr, exec.ErrWaitDelay) {
		err = errors.Join(err, fmt.Errorf("wait for a host: %w", werr))
	}
	s.thread.Close()
	return err
}

// newCase is a case whose world is made for each visit.
func (b *Bench) newCase(c Cell, samples int, cost time.Duration) harness.Case {
	return harness.Case{
		Name: c.Name(), Samples: samples, Run: 1, Ballast: true, Long: true, Cost: cost,
		Open: func() (harness.Sampler, error) {
			if err := b.Context.Err(); err != nil {
				return nil, err
			}
			s, err := newStage(c)
			if err != nil {
				return nil, err
			}
			return &sampler{b, s, c}, nil
		},
	}
}

// sampler is one measurement after another in the same world.
type sampler struct {
	bench *Bench
	stage *stage
	cell  Cell
}

// Sample implements harness.Sampler.
func (s *sampler) Sample(n int, emit func([]sample.Value, error)) {
	for range n {
		stop := make(chan struct{})
		go func() { // an interrupted run does not wait for a window's end
			select {
			case <-s.bench.Context.Done():
				_ = s.stage.pipe.SetDeadline(time.Unix(1, 0)) // closed: then nobody waits
			case <-stop:
			}
		}()
		o, err := s.stage.ask(s.cell)
		close(stop)
		if s.bench.Context.Err() != nil {
			return // it was interrupted, and did not fail
		}
		if err == nil {
			err = errors.Join(o.err(), s.bench.record(s.cell.Name(), o))
		}
		emit(o.Values, err)
		if s.stage.ended {
			return
		}
	}
}

// Close implements harness.Sampler.
func (s *sampler) Close() error { return s.stage.close() }
