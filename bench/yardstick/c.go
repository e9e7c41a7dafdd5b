package main

import (
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

//go:embed c/*.c
var sources embed.FS

// scratch is a directory that is gone when the run ends: the C programs, and
// the root of the containers with the payload in it.
type scratch struct {
	dir     string
	binary  string // the yardstick
	root    string
	payload string // as seen from outside the root
}

// newScratch compiles both C programs.
func newScratch() (s *scratch, err error) {
	dir, err := os.MkdirTemp("", "yardstick-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the C programs: %w", err)
	}
	s = &scratch{dir: dir, binary: filepath.Join(dir, "yardstick"), root: filepath.Join(dir, "root")}
	s.payload = filepath.Join(s.root, "payload")
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove())
		}
	}()
	for _, name := range []string{"proc", "tmp"} {
		if err := os.MkdirAll(filepath.Join(s.root, name), 0o755); err != nil {
			return nil, fmt.Errorf("make the containers' root: %w", err)
		}
	}
	if err := s.compile("yardstick.c", s.binary); err != nil {
		return nil, err
	}
	return s, s.compile("payload.c", s.payload, "-nostdlib")
}

// compile makes a static program of an embedded source.
func (s *scratch) compile(source, out string, more ...string) error {
	text, err := sources.ReadFile("c/" + source)
	if err != nil {
		return fmt.Errorf("read embedded %q: %w", source, err)
	}
	path := filepath.Join(s.dir, source)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	args := append([]string{"-O2", "-static", "-Wall", "-o", out, path}, more...)
	if message, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compile %q with gcc: %w\n%sinstall gcc and the static C library (Debian: gcc, libc6-dev)", source, err, message)
	}
	return nil
}

func (s *scratch) remove() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove %q: %w", s.dir, err)
	}
	return nil
}

// removeOnSignal removes the directory when a signal ends the run early (also
// SIGPIPE, of a reader of the table that went away), until stop is called.
func (s *scratch) removeOnSignal() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE)
	go func() {
		if sig, ok := <-signals; ok {
			if err := s.remove(); err != nil {
				fmt.Fprintf(os.Stderr, "yardstick: %v\n", err)
			}
			os.Exit(128 + int(sig.(unix.Signal)))
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// The cases of the C program.
const (
	caseNull      = 'n'
	caseNoPidfd   = 'p' // the null case without CLONE_PIDFD and its close
	caseNoMask    = 'm' // the null case without the two changes of the mask
	caseContainer = 'c'
)

// cycle is one sample in nanoseconds, from the entry of clone3 except whole.
type cycle struct {
	Returned int64 // clone3 returned
	First    int64 // the child's first instruction
	Reaped   int64 // waitid returned
	Whole    int64 // from before the signal mask to after close
}

// yardstick is the C process. The pipes are plain blocking descriptors: a
// sample must not pass through the network poller.
type yardstick struct {
	cmd     *exec.Cmd
	to, get int
}

// startYardstick starts the C process, which then waits for the first byte.
func startYardstick(s *scratch, o options) (*yardstick, error) {
	var in, out [2]int
	if err := unix.Pipe2(in[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make a pipe to the C program: %w", err)
	}
	if err := unix.Pipe2(out[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make a pipe from the C program: %w", err)
	}
	nofile := "0"
	for _, op := range container(program.VM, s.root).Ops() {
		if op.Name == "restore nofile" {
			nofile = "1"
		}
	}
	c := &yardstick{to: in[1], get: out[0]}
	c.cmd = exec.Command(s.binary, strconv.FormatInt(o.pause.Nanoseconds(), 10), strconv.Itoa(o.warm), program.ClockSource(), nofile,
		strconv.FormatUint(containerFlags, 10), s.root)
	stdin, stdout := os.NewFile(uintptr(in[0]), "stdin"), os.NewFile(uintptr(out[1]), "stdout")
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = stdin, stdout, os.Stderr
	err := c.cmd.Start()
	stdin.Close()
	stdout.Close()
	if err != nil {
		unix.Close(c.to)
		unix.Close(c.get)
		return nil, fmt.Errorf("start the C program: %w; is the directory for temporary files mounted noexec?", err)
	}
	// The first answers are slower by page faults; they do not count.
	for range 5 {
		if _, err := c.sample(caseNull); err != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
	return c, nil
}

// sample asks the C process for one sample.
func (c *yardstick) sample(letter byte) (cycle, error) {
	if _, err := unix.Write(c.to, []byte{letter}); err != nil {
		return cycle{}, fmt.Errorf("ask the C program for case %q: %w", letter, err)
	}
	var answer [unsafe.Sizeof(cycle{})]byte
	for {
		switch n, err := unix.Read(c.get, answer[:]); {
		case err == unix.EINTR:
			continue
		case err != nil:
			return cycle{}, fmt.Errorf("read the C program's answer to case %q: %w", letter, err)
		case n != len(answer):
			return cycle{}, fmt.Errorf("read the C program's answer to case %q: %d bytes, not %d; it has ended, see its message above", letter, n, len(answer))
		}
		word := func(i int) int64 { return int64(binary.NativeEndian.Uint64(answer[8*i:])) }
		return cycle{word(0), word(1), word(2), word(3)}, nil
	}
}

// stop ends the C process, by the end of its input.
func (c *yardstick) stop() error {
	unix.Close(c.to)
	err := c.cmd.Wait()
	unix.Close(c.get)
	if err != nil {
		return fmt.Errorf("end the C program: %w", err)
	}
	return nil
}
