package startup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"isoperf/bench/harness"
)

// kind is what a peer starts.
type kind int

const (
	bundles  kind = iota // an OCI bundle
	roots                // a command in a directory
	programs             // a program, without a container
	machines             // a kernel
	inside               // a container, by this very process
)

// peer is an entry of the table: a way to start the payload.
type peer struct {
	name     string // as results call it
	binary   string // looked up in PATH; empty: name
	given    string // the path that was asked for; empty: none was
	about    string
	takes    kind
	variants []string // that it can make beside the usual one
	ours     bool     // it keeps no state, and needs no cleaning up
	slow     int      // so much fewer samples; 0: it is as quick as the others
	within   time.Duration
	version  func(path string) (string, error) // nil: the first line of --version
	// locate finds what is started; nil: binary in PATH.
	locate func(w *world) (string, error)
	// before readies what the peer needs, and has close remove what it leaves;
	// it runs before the peer does, even for its version. nil: there is nothing.
	before func(w *world, p *peer, path string) error
	// launch says how the container of a setup is started.
	launch func(w *world, s setup) (start, error)
	notes  []string
}

// setup is a container to be started.
type setup struct {
	peer    peer
	path    string // of the runtime's binary
	variant variant
	args    []string // the payload and its arguments
	id      string   // the container's name
}

// start is how it is started.
type start struct {
	argv []string
	env  []string // beside the world's
	// outside: the payload's clock is not ours; it is ready when its bytes come.
	outside bool
	// takesInput: it makes its standard input the container's own, by changing
	// its owner, which must not be that of the machine's /dev/null.
	takesInput bool
	// clean removes what a start that failed has left; nil: it leaves nothing.
	clean func() error
}

// peerNamed is a copy of the entry of that name; nil: there is none.
func peerNamed(name string) *peer {
	for _, p := range peers() {
		if p.name == name {
			return &p
		}
	}
	return nil
}

// peerOf is a copy of the first entry that is started by that binary; nil: there
// is none.
func peerOf(binary string) *peer {
	for _, p := range peers() {
		if p.binary != "" && p.binary == binary {
			return &p
		}
	}
	return nil
}

func (p *peer) samples(wanted int) int {
	if p.slow > 0 && wanted > 0 {
		return max(3, wanted/p.slow)
	}
	return wanted
}

// cost is a guess, for the estimate of how long a run takes.
func (p *peer) cost() time.Duration {
	switch {
	case p.takes == machines:
		return 8 * time.Second
	case p.slow > 0:
		return 300 * time.Millisecond
	}
	return 12 * time.Millisecond
}

// bound is how long a start may take before it counts as hung.
func (p *peer) bound() time.Duration {
	if p.within > 0 {
		return p.within
	}
	return 20 * time.Second
}

// find is the path of the peer's binary.
func (p *peer) find(w *world) (string, error) {
	if p.given != "" {
		path, err := exec.LookPath(p.given)
		if err != nil {
			return "", fmt.Errorf("%s: %w", p.name, err)
		}
		return filepath.Abs(path)
	}
	if p.locate != nil {
		return p.locate(w)
	}
	name := p.binary
	if name == "" {
		name = p.name
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", harness.NotMeasured{Why: name + " is not installed (scripts/peers installs what there is)"}
	}
	return filepath.Abs(path)
}

// versionOf asks the peer for it, which is bounded too.
func (p *peer) versionOf(path string) (string, error) {
	if p.version != nil {
		return p.version(path)
	}
	return versionLine(path, p.bound())
}

// versionLine is the first line that a binary prints for --version.
func versionLine(path string, within time.Duration) (string, error) {
	known, err := adopted()
	if err != nil {
		return "", err
	}
	out, err := answer(min(10*time.Second, within), nil, nil, path, "--version")
	if err != nil {
		return "", errors.Join(fmt.Errorf("ask %q for its version: %w", path, err), endOrphans(known))
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if line == "" {
		return "", fmt.Errorf("ask %q for its version: it prints nothing for --version", path)
	}
	return strings.TrimSpace(line), nil
}

// answer is what a command prints, within a time. A command that fails is an
// error with its last line. env is its environment; nil: that of this process.
func answer(within time.Duration, env []string, in io.Reader, argv ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), within, fmt.Errorf("it did not end within %v and was killed", within))
	defer cancel()
	return answerIn(ctx, env, in, argv...)
}

// answerIn is the same until a context ends, whose cause is the error then.
func answerIn(ctx context.Context, env []string, in io.Reader, argv ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Stdin = env, in
	cmd.WaitDelay = time.Second
	type result struct {
		out []byte
		err error
	}
	ended := make(chan result, 1)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { err := cmd.Wait(); ended <- result{text.Bytes(), err} }()
	var out []byte
	var err error
	select {
	case r := <-ended:
		out, err = r.out, r.err
	case <-unkillable(ctx):
		return nil, errors.Join(context.Cause(ctx), notOurs(cmd.Process.Pid))
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if line := lastLine(out); err != nil && line != "" {
		err = fmt.Errorf("%w: %s", err, line)
	}
	return out, err
}

// unkillable is closed when a context has ended and what it was to end should
// long be dead.
func unkillable(ctx context.Context) <-chan struct{} {
	late := make(chan struct{})
	context.AfterFunc(ctx, func() { time.Sleep(patience); close(late) })
	return late
}

// ours finds isorun: as it was asked for, beside this program, or in PATH.
func ours(w *world) (string, error) {
	if w.config.Isorun != "" {
		return filepath.Abs(w.config.Isorun)
	}
	if w.config.Self != "" {
		if beside := filepath.Join(filepath.Dir(w.config.Self), "isorun"); isFile(beside) {
			return beside, nil
		}
	}
	path, err := exec.LookPath("isorun")
	if err != nil {
		return "", harness.NotMeasured{Why: "isorun is neither beside isoperf nor in PATH (make build)"}
	}
	return path, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
