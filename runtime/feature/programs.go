package feature

import (
	"context"
	"errors"
	"sync"
	"time"
)

// program is a peer that is measured beside isorun, or a tool that a
// measurement calls.
type program struct {
	name string
	peer bool   // starts containers
	get  string // how to get it
}

// programs is the table. Package names are Debian's.
func programs() []program {
	return []program{
		{"runc", true, "apt install runc"},
		{"crun", true, "apt install crun"},
		{"youki", true, "github.com/youki-dev/youki"},
		{"runsc", true, "gvisor.dev/docs"},
		{"bwrap", true, "apt install bubblewrap"},
		{"podman", true, "apt install podman"},
		{"docker", true, "apt install docker.io"},
		{"containerd", true, "apt install containerd"},
		{"systemd-nspawn", true, "apt install systemd-container"},
		{"lxc-start", true, "apt install lxc"},
		{"firejail", true, "apt install firejail"},
		{"unshare", true, "apt install util-linux"},
		{"qemu-system-x86_64", false, "apt install qemu-system-x86"},
		{"slirp4netns", false, "apt install slirp4netns"},
		{"pasta", false, "apt install passt"},
		{"iperf3", false, "apt install iperf3"},
		{"hyperfine", false, "apt install hyperfine"},
		{"stress", false, "apt install stress"},
		{"stress-ng", false, "apt install stress-ng"},
	}
}

const (
	programTimeout = 2 * time.Second
	programsAtOnce = 4
)

// Programs asks every program of the table for its version.
func (h *Host) Programs(ctx context.Context) []Result {
	table := programs()
	results := make([]Result, len(table))
	var wait sync.WaitGroup
	turn := make(chan struct{}, programsAtOnce)
	for i, p := range table {
		turn <- struct{}{}
		wait.Go(func() {
			defer func() { <-turn }()
			results[i] = h.program(ctx, p)
		})
	}
	wait.Wait()
	return results
}

func (h *Host) program(ctx context.Context, prog program) Result {
	p := probe{groupPrograms, prog.name}
	path, err := h.LookPath(prog.name)
	if err != nil {
		return p.notHere("not on PATH", prog.get).with(err)
	}
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	line, err := h.Version(ctx, path)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return unusable(p, path+" --version did not answer within "+programTimeout.String(), prog, err)
	case err != nil && line != "":
		return unusable(p, path+" --version: "+err.Error()+": "+line, prog, err)
	case err != nil:
		return unusable(p, path+" --version: "+err.Error(), prog, err)
	}
	return p.have(line)
}

// unusable is a program that is there and does not say its version: whether
// it works is not known.
func unusable(p probe, why string, prog program, err error) Result {
	r := p.failed(err)
	r.Why = why
	r.Fix = "run it by hand; to reinstall: " + prog.get
	return r
}
