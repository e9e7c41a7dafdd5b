package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// helper is a translator's process. It is started by the engine, so that it
// can join a user namespace first, and so that it dies with this process: the
// death signal is armed on a thread that stays, before the program is executed.
type helper struct {
	name     string
	proc     *program.Process
	launcher *program.Launcher
	said     tail
	stopping atomic.Bool
	done     chan struct{} // closed when the process has been collected
	err      error         // why it ended; set before done is closed
}

// command is what a helper executes.
type command struct {
	name, path string
	args       []string
	files      []int // descriptors that it gets, under the same numbers
	// join is the descriptor of a user namespace to enter before; 0: none.
	join int
}

func startHelper(c command) (*helper, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	defer write.Close()
	h := &helper{name: c.name, launcher: program.NewLauncher(), done: make(chan struct{})}
	h.said.ended.Add(1)
	h.proc, err = h.launcher.Start(c.program(int(null.Fd()), int(write.Fd())))
	if err != nil {
		h.launcher.Close()
		read.Close()
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	write.Close()
	go h.said.from(read)
	if err := h.proc.WaitExec(); err != nil {
		h.stopping.Store(true)
		_ = h.proc.Signal(syscall.SIGKILL) // it may have ended
		h.watch()
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	go h.watch()
	return h, nil
}

// program is the helper's start, as the engine runs it.
func (c command) program(null, output int) *program.Program {
	p := program.New(program.Stub, 0)
	p.Stdio(null, output, output)
	for _, fd := range c.files {
		p.Inherit(fd)
	}
	if c.join != 0 {
		p.Keep(c.join)
	}
	p.DieWithParent()
	p.Add(program.Chdir("/"))
	// Out of the terminal's foreground group: Ctrl-C is for the container.
	p.Add(program.Op{Name: "setsid", Call: unix.SYS_SETSID, Text: "setsid()"})
	if c.join != 0 {
		p.Add(program.Setns(program.Int(c.join), unix.CLONE_NEWUSER))
		p.Rearm()
	}
	p.Exec(c.path, append([]string{c.name}, c.args...), nil)
	return p
}

// watch collects the process.
func (h *helper) watch() {
	status, err := h.proc.Wait()
	h.launcher.Close()
	h.proc.Release()
	h.said.ended.Wait()
	switch {
	case h.stopping.Load():
	case err != nil:
		h.err = fmt.Errorf("run %s: %w", h.name, err)
	default:
		h.err = fmt.Errorf("run %s: it ended with %v%s", h.name, status, h.said.reason())
	}
	close(h.done)
}

// stop ends the process and waits until it has been collected. It has nothing
// to save, so it is killed.
func (h *helper) stop() error {
	h.stopping.Store(true)
	if err := h.proc.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", h.name, err)
	}
	<-h.done
	return nil
}

// helper starts a helper for the link and watches it from then on.
func (l *Link) helper(c command, r *record) (*helper, error) {
	start := now()
	h, err := startHelper(c)
	if err != nil {
		return nil, err
	}
	l.onClose(func() error {
		start := now()
		defer l.step("process ended", start)
		return h.stop()
	})
	l.step("process started", start)
	l.pid = h.proc.Pid()
	go func() {
		<-h.done
		if h.err != nil {
			l.err = h.err
			close(l.done)
		}
	}()
	return h, r.helper(h.proc.Pid())
}

// prove runs the probes of a translator, and says why its helper has ended
// when it did meanwhile.
func (l *Link) prove(ctx context.Context, t Target, h *helper) error {
	places := []func() (probe, error){l.config.beyond}
	if l.config.IPv6 {
		places = append(places, l.config.beyond6)
	}
	for _, beyond := range places {
		pr, err := beyond()
		if err != nil {
			return err
		}
		err = l.probe(ctx, t, pr, h.done)
		pr.close()
		select {
		case <-h.done:
			return h.err
		default:
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tail keeps the end of what a helper has said.
type tail struct {
	mu    sync.Mutex
	text  []byte
	ended sync.WaitGroup
}

const tailSize = 4096

func (t *tail) from(f *os.File) {
	defer t.ended.Done()
	defer f.Close()
	buf := make([]byte, tailSize)
	for {
		n, err := f.Read(buf)
		t.mu.Lock()
		t.text = append(t.text, buf[:n]...)
		if over := len(t.text) - tailSize; over > 0 {
			t.text = append(t.text[:0], t.text[over:]...)
		}
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// reason is the last lines that say something, as the end of an error.
func (t *tail) reason() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for line := range bytes.Lines(t.text) {
		text := strings.TrimSpace(string(line))
		if text != "" && !strings.HasPrefix(text, "Failed to send ") { // pasta without a system log
			lines = append(lines, text)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.Join(lines[max(0, len(lines)-3):], "; ")
}
