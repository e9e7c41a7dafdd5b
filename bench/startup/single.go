package startup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// Single is the usual start of one runtime, or that of a command, for those who
// time it otherwise than in a case.
type Single struct {
	Program   string // the path of the runtime, or of the command
	Argv, Env []string
	With      string // the variant's name; empty: it is a command
	Observed  sample.Observed
	starter   *starter
}

// Single readies the usual start of a runtime; Close ends it.
func (b *Bench) Single(name string) (*Single, error) {
	p := b.find(name)
	if p == nil {
		return nil, errors.New(name + " is not in the table")
	}
	if p.takes == inside {
		return nil, fmt.Errorf("start %s: it is a part of this program, and no process of its own", name)
	}
	w, err := b.open()
	if err != nil {
		return nil, err
	}
	v := b.which()[0]
	f, err := w.tried(*p, v)
	if err != nil {
		return nil, err
	}
	env, err := w.environ(v, f.start.env)
	if err != nil {
		return nil, err
	}
	st, err := w.newStarter(f, 0)
	if err != nil {
		return nil, err
	}
	st.peak = f.peak
	return &Single{f.setup.path, f.start.argv, env, v.name, f.observed, st}, nil
}

// Command readies the start of any command: a whole process, from before clone3
// to its end, with the environment and the working directory of this one, no
// input, and output that is dropped. within bounds a start.
func (b *Bench) Command(argv []string, within time.Duration) (*Single, error) {
	w, err := b.open()
	if err != nil {
		return nil, err
	}
	path, err := exec.LookPath(argv[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, fmt.Errorf("find the program %q: %w", argv[0], err)
	}
	p := peer{name: filepath.Base(path), takes: programs, within: within}
	st := &starter{
		w: w, setup: setup{peer: p, path: path, id: w.name(p)}, start: start{argv: append([]string{path}, argv[1:]...)},
		env: os.Environ(), silent: true,
	}
	if st.out, err = newPipe(); err == nil {
		st.errs, err = newMemory()
	}
	if err == nil {
		st.img, err = st.load(0)
	}
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	st.limit()
	return &Single{Program: path, Argv: st.start.argv, Env: st.env, starter: st}, nil
}

// Total is total-ns of one start.
func (s *Single) Total() (time.Duration, error) {
	o, err := s.starter.cycle()
	return time.Duration(o.total), err
}

// offsetVariable has no meaning for anybody: its length moves what stands behind
// it on the stack of a new process.
const offsetVariable = "ISOPERF_OFFSET"

// Start is one start, with an unused variable of so many bytes in the environment:
// where the stack begins changes how fast the same program is (T. Mytkowicz et al.,
// Producing wrong data without doing anything obviously wrong!, 2009), so it is
// not to be the same in all samples of one side.
func (s *Single) Start(offset int) ([]sample.Value, error) {
	st := s.starter
	st.offset = offset
	img, err := st.load(0)
	if err != nil {
		return nil, err
	}
	st.img.Close()
	st.img = img
	st.limit()
	o, err := st.cycle()
	if err != nil {
		return nil, err
	}
	return o.values(st.peak), nil
}

// Close gives back what the start took.
func (s *Single) Close() error { return s.starter.Close() }

// Phases measures where the time of a start goes; nil: the runtime does not tell.
func (b *Bench) Phases(name string) (harness.Sampler, error) {
	p := b.find(name)
	if p == nil || !p.ours || p.takes != bundles || len(b.config.Exec) > 0 {
		return nil, nil
	}
	return b.openSpans(*p, b.which()[0])
}

// newMemory is a file in memory, to which each process appends.
func newMemory() (p pipe, err error) {
	fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		return p, fmt.Errorf("make a file in memory: %w", err)
	}
	p = pipe{w: os.NewFile(uintptr(fd), "output"), memory: true}
	_, err = unix.FcntlInt(p.w.Fd(), unix.F_SETFL, unix.O_APPEND)
	if err == nil {
		p.r, err = os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	}
	if err != nil {
		p.w.Close()
		return pipe{}, fmt.Errorf("make a file in memory: %w", err)
	}
	return p, nil
}

// tail is the end of what has been written to a file in memory, which is emptied.
func (p pipe) tail() ([]byte, error) {
	info, err := p.r.Stat()
	if err != nil {
		return nil, fmt.Errorf("read what the start wrote: %w", err)
	}
	if info.Size() == 0 {
		return nil, nil
	}
	text := make([]byte, min(info.Size(), 4096))
	n, err := p.r.ReadAt(text, info.Size()-int64(len(text)))
	if n < len(text) {
		return nil, fmt.Errorf("read what the start wrote: %w", err)
	}
	if err := p.w.Truncate(0); err != nil {
		return nil, fmt.Errorf("empty what the start wrote: %w", err)
	}
	return text, nil
}
