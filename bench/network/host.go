package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
)

// pipeFD is where a host reads what it is to do, and answers.
const pipeFD = 3

// Main is the host that the arguments of this process ask for; it does not
// return then. It returns when they ask for none. It has been started in new
// namespaces, of which it is the first process.
func Main() {
	if len(os.Args) != 2 || os.Args[1] != word || os.Getpid() != 1 {
		return
	}
	if err := serve(os.NewFile(pipeFD, "pipe")); err != nil {
		fmt.Fprintf(os.Stderr, "network host: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve makes the world of the first cell, and takes a sample for each that
// follows. It ends when nobody asks any more.
func serve(pipe *os.File) error {
	unix.CloseOnExec(pipeFD)
	debug.SetGCPercent(400)
	in, out := json.NewDecoder(pipe), json.NewEncoder(pipe)
	var c Cell
	if err := in.Decode(&c); err != nil {
		return ignoreEnd(err)
	}
	w, err := newWorld(c)
	if err := out.Encode(outcomeOf(outcome{}, err)); err != nil || w == nil {
		return err
	}
	for {
		c = Cell{} // what the next one leaves out is not that of the last
		if err := in.Decode(&c); err != nil {
			return ignoreEnd(err)
		}
		if err := out.Encode(outcomeOf(w.measure(c))); err != nil {
			return err
		}
	}
}

// outcomeOf has an error be part of the answer.
func outcomeOf(o outcome, err error) outcome {
	var cannot harness.NotMeasured
	switch {
	case errors.As(err, &cannot):
		o.NotMeasured = cannot.Why
	case err != nil:
		o.Failed = err.Error()
	}
	return o
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
		return nil
	}
	return err
}

// furnish gives the host a /proc of its own pid namespace, in which its own
// network is seen, and places that it may write; nothing of it is seen outside.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return harness.NotMeasured{Why: fmt.Sprintf("mount /proc in a pid namespace: %v; inside a container parts of /proc are hidden, and then the kernel refuses: run on the host, or give the container an unmasked /proc", err)}
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount a /run of its own: %w", err)
	}
	return nil
}
