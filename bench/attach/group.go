package attach

import (
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
)

// none stands for a hierarchy where no group is wanted.
const none = "none"

// place is a thread to start children from, and empty groups of one hierarchy.
type place struct {
	*program.Launcher
	groups []*cgroup.Group
	dirs   []string
}

// newPlace makes n groups; what a killed measurement has left is removed first.
func newPlace(hierarchy string, n int) (*place, error) {
	w := &place{Launcher: harness.NewThread()}
	if hierarchy == none {
		return w, nil
	}
	err := w.make(hierarchy, n)
	if err != nil {
		return nil, errors.Join(harness.NotMeasured{Why: err.Error()}, w.close())
	}
	return w, nil
}

func (w *place) make(hierarchy string, n int) error {
	h, err := cgroup.Detect()
	if err != nil {
		return err
	}
	if hierarchy != "v2" && h.Mode() == "v2" {
		return errors.New("control groups of version 1 are not mounted here")
	}
	if _, err := cgroup.Sweep(h, ""); err != nil {
		return fmt.Errorf("remove what a killed measurement has left: %w", err)
	}
	for i := range n {
		p, err := h.Alone(hierarchy, "attach"+strconv.Itoa(i+1))
		if err != nil {
			return err
		}
		g, err := p.Create()
		if err != nil {
			return err
		}
		w.groups, w.dirs = append(w.groups, g), append(w.dirs, g.Dir(hierarchy))
	}
	return nil
}

// close ends the thread, with what it started, and removes the groups.
func (w *place) close() error {
	w.Close()
	var all error
	for _, g := range w.groups {
		all = errors.Join(all, g.Remove())
	}
	w.groups = nil
	return all
}

// whereabouts are ops by which a child reads in which groups it is.
type whereabouts struct {
	text program.Arg
	read program.Ref
}

func newWhereabouts(p *program.Program) whereabouts {
	w := whereabouts{text: program.Buffer(4096)}
	fd := p.Add(program.Open("/proc/self/cgroup", os.O_RDONLY))
	w.read = p.Add(program.Op{Name: "read", Call: unix.SYS_READ, Args: [6]program.Arg{program.Result(fd), w.text, program.Int(4096)}})
	return w
}

// in says whether the child was in the group with that directory.
func (w whereabouts) in(img *program.Image, dir string) error {
	n, _ := img.Result(w.read) // a read that failed, or was not reached, is in no group
	text := string(img.Buffer(w.text)[:max(0, n)])
	for line := range strings.Lines(text) {
		if strings.HasSuffix(strings.TrimSuffix(line, "\n"), "/"+filepath.Base(dir)) {
			return nil
		}
	}
	return fmt.Errorf("the child was not in %q but in %q", dir, text)
}

// sampler takes samples on the place's thread.
type sampler struct {
	place   *place
	one     func() ([]sample.Value, error)
	closing func() error
}

// begin takes a sample that is not counted: what is refused is not measured.
func (s *sampler) begin() (harness.Sampler, error) {
	var err error
	s.place.Do(func() { _, err = s.one() })
	if err != nil {
		return nil, errors.Join(harness.NotMeasured{Why: err.Error()}, s.Close())
	}
	return s, nil
}

// Sample takes samples; each has its pause in it.
func (s *sampler) Sample(n int, emit func([]sample.Value, error)) {
	s.place.Do(func() {
		for range n {
			emit(s.one())
		}
	})
}

// Close ends the processes and removes the groups.
func (s *sampler) Close() error {
	return errors.Join(s.closing(), s.place.close())
}
