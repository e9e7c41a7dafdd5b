package hook

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/jsontext"
	"isoperf/runtime/spec"
)

// Status is where the container is in its life when a hook runs.
type Status string

// The statuses that hooks see: the first of prestart, createRuntime and
// createContainer, the second of startContainer, and so on.
const (
	Creating Status = "creating"
	Created  Status = "created"
	Running  Status = "running"
	Stopped  Status = "stopped"
)

// State is what a hook is told; pid is that of the first process as the hook sees
// it, 0: there is none.
func State(c *spec.Container, status Status, pid int) []byte {
	w := jsontext.Writer{}
	w.Open('{')
	for _, f := range []struct{ name, value string }{
		{"ociVersion", cmp.Or(c.Version, specs.Version)}, {"id", c.ID}, {"status", string(status)},
	} {
		w.Name(f.name)
		w.String(f.value)
	}
	if pid != 0 {
		w.Name("pid")
		w.Int(int64(pid))
	}
	w.Name("bundle")
	w.String(c.Bundle)
	if len(c.Annotations) > 0 {
		names := make([]string, 0, len(c.Annotations))
		for name := range c.Annotations {
			names = append(names, name)
		}
		slices.Sort(names)
		w.Name("annotations")
		w.Open('{')
		for _, name := range names {
			w.Name(name)
			w.String(c.Annotations[name])
		}
		w.Close('}')
	}
	w.Close('}')
	return w.Text
}

// Input is a state in memory that hooks read: each from a descriptor of its own,
// since they have places of their own in it.
type Input struct {
	file    *os.File
	readers []*os.File
}

// NewInput makes n descriptors of a state that is not known yet. Close gives them
// back.
func NewInput(n int) (*Input, error) {
	fd, err := unix.MemfdCreate("state", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make the state for hooks: %w", err)
	}
	in := &Input{file: os.NewFile(uintptr(fd), "state")}
	for range n {
		r, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil {
			in.Close()
			return nil, fmt.Errorf("open the state for hooks: %w; mount /proc", err)
		}
		in.readers = append(in.readers, r)
	}
	return in, nil
}

// FDs are the descriptors.
func (in *Input) FDs() (list []int) {
	for _, r := range in.readers {
		list = append(list, int(r.Fd()))
	}
	return list
}

// Write writes the state, once. Nobody can change it afterwards.
func (in *Input) Write(state []byte) error {
	_, err := in.file.Write(state)
	if err == nil {
		_, err = unix.FcntlInt(in.file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		return fmt.Errorf("write the state for hooks: %w", err)
	}
	return nil
}

// Close gives the descriptors back.
func (in *Input) Close() {
	if in == nil {
		return
	}
	for _, f := range append(in.readers, in.file) {
		f.Close()
	}
	in.readers = nil
}
