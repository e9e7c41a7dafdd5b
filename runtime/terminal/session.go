package terminal

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Session is a person at a container's terminal, from Attach to Close.
type Session struct {
	master *os.File
	fd     int // the master's, while it is open
	in     int // a descriptor of its own for the person's input
	out    int // and one for the output
	size   int // in or out, whichever is a terminal; -1: none is

	stop  bell // ends feed
	drain bell // ends pump, when all is read
	fed   chan struct{}
	over  chan struct{} // pump has ended
	left  chan struct{} // ends follow
	gone  chan struct{} // follow has ended

	feedErr error // feed's, once fed is closed
	pumpErr error // pump's, once over is closed

	mu       sync.Mutex  // guards what follows
	saved    *term.State // the person's terminal as it was; nil: put back, or none
	hungUp   bool        // the master is closed
	closing  sync.Once
	closeErr error
}

// Attach connects a person to the master of a pty, which belongs to the session
// from then on, unless there is an error. The files in and out stay the
// caller's, who may close them.
//
// When in is a terminal it becomes raw, and the inner one gets its size, now
// and at each SIGWINCH; otherwise that of out, when out is a terminal. When
// neither is, the inner one keeps the size it has, or gets 80 by 24 when it has
// none.
//
// The end of an input that is no terminal is told inside as the person's VEOF
// character (Ctrl-D), as often as it is read there; in a terminal without
// ICANON only once, since it is a plain character there. In a terminal with
// ICANON a line has at most 4095 bytes; the kernel drops the rest.
func Attach(master *os.File, in, out *os.File) (*Session, error) {
	s := &Session{
		master: master, in: -1, out: -1, size: -1, stop: bell{-1}, drain: bell{-1},
		fed: make(chan struct{}), over: make(chan struct{}), left: make(chan struct{}), gone: make(chan struct{}),
	}
	if err := s.open(in, out); err != nil {
		s.shut()
		return nil, fmt.Errorf("attach to a terminal: %w", err)
	}
	// From before the first look at the size, so that no change is missed.
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH, unix.SIGCONT)
	if err := s.begin(); err != nil {
		signal.Stop(changes)
		s.shut()
		return nil, fmt.Errorf("attach to a terminal: %w", err)
	}
	go s.follow(changes)
	go s.feed()
	go s.pump()
	return s, nil
}

// open gets the descriptors.
func (s *Session) open(in, out *os.File) (err error) {
	if err := control(s.master, func(fd int) error { s.fd = fd; return unix.SetNonblock(fd, true) }); err != nil {
		return fmt.Errorf("make the master non-blocking: %w", err)
	}
	if _, err := unix.IoctlGetUint32(s.fd, unix.TIOCGPTN); err != nil {
		return fmt.Errorf("%q is not the master of a pty: %w", s.master.Name(), err)
	}
	for _, f := range []struct {
		file *os.File
		fd   *int
	}{{in, &s.in}, {out, &s.out}} {
		err := control(f.file, func(fd int) (err error) {
			*f.fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
			return err
		})
		if err != nil {
			return fmt.Errorf("duplicate %q: %w", f.file.Name(), err)
		}
	}
	if s.stop, err = newBell(); err != nil {
		return err
	}
	s.drain, err = newBell()
	return err
}

// begin makes the person's terminal raw, and gives its size to the inner one.
func (s *Session) begin() error {
	if term.IsTerminal(s.in) {
		s.size = s.in
	} else if term.IsTerminal(s.out) {
		s.size = s.out
	}
	if err := s.resize(); err != nil {
		return err
	}
	if s.size != s.in || s.in < 0 {
		return nil
	}
	saved, err := term.MakeRaw(s.in)
	if err != nil {
		return fmt.Errorf("make the terminal raw: %w", err)
	}
	s.saved = saved
	return nil
}

// resize gives the person's window size to the inner terminal, whose foreground
// process group gets SIGWINCH when it differs; see ioctl_tty(2).
func (s *Session) resize() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hungUp {
		return nil
	}
	size := &unix.Winsize{}
	var err error
	if s.size >= 0 {
		if size, err = unix.IoctlGetWinsize(s.size, unix.TIOCGWINSZ); err != nil {
			return fmt.Errorf("get the window's size: %w", err)
		}
	}
	if size.Row == 0 && size.Col == 0 { // a terminal that was never told
		if size, err = unix.IoctlGetWinsize(s.fd, unix.TIOCGWINSZ); err != nil {
			return fmt.Errorf("get the pty's size: %w", err)
		}
	}
	if size.Row == 0 && size.Col == 0 {
		size.Row, size.Col = 24, 80
	}
	if err := unix.IoctlSetWinsize(s.fd, unix.TIOCSWINSZ, size); err != nil {
		return fmt.Errorf("set the pty's size: %w", err)
	}
	return nil
}

// follow does what signals ask for. SIGCONT comes when the person took this
// process back to the foreground, with the terminal as the shell left it.
func (s *Session) follow(changes chan os.Signal) {
	defer close(s.gone)
	defer s.rescue()
	defer signal.Stop(changes)
	for {
		select {
		case <-s.left:
			return
		case sig := <-changes:
			if sig == unix.SIGCONT {
				s.rawAgain()
			}
			_ = s.resize() // the window may be gone, and its size with it
		}
	}
}

// rawAgain makes the person's terminal raw once more, unless it was put back.
func (s *Session) rawAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saved != nil && s.foreground() {
		_, _ = term.MakeRaw(s.in) // what was saved first is what is put back
	}
}

// foreground says whether this process may set the modes of the person's
// terminal. In a background job the attempt is SIGTTOU, which would stop it; the
// terminal is the shell's then, with the shell's modes. A terminal that is not
// the controlling one has no such rule.
func (s *Session) foreground() bool {
	group, err := unix.IoctlGetInt(s.in, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// Restore puts the person's terminal back as it was before Attach, byte for
// byte. It may be called from any goroutine, one that handles signals too, and
// any number of times; only the first does something. Input and output go on.
// In a background job it leaves the terminal to the shell.
func (s *Session) Restore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saved == nil {
		return nil
	}
	saved := s.saved
	s.saved = nil
	if !s.foreground() {
		return nil
	}
	if err := term.Restore(s.in, saved); err != nil {
		return fmt.Errorf("restore the terminal: %w; the command reset does it by hand", err)
	}
	return nil
}

// rescue restores the terminal when a goroutine of the session panics.
func (s *Session) rescue() {
	if p := recover(); p != nil {
		_ = s.Restore() // the panic says more
		panic(p)
	}
}

// Close ends the session: no more input is read, all output that was written
// inside so far is copied, however slow its reader is, the person's terminal is
// restored, and the pty hung up. Call it when the command has ended; one that
// has not gets SIGHUP. The error is the first of the whole session. Closing
// again does nothing, and returns the same.
func (s *Session) Close() error {
	s.closing.Do(func() {
		defer func() { s.closeErr = errors.Join(s.closeErr, s.Restore()) }()
		s.stop.ring()
		<-s.fed
		s.drain.ring()
		<-s.over
		close(s.left)
		<-s.gone
		s.closeErr = errors.Join(s.feedErr, s.pumpErr, s.Restore())
		s.hangUp()
		s.shut()
	})
	return s.closeErr
}

// hangUp closes the master; feed must have ended.
func (s *Session) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hungUp {
		s.hungUp = true
		s.master.Close()
	}
}

// shut closes the session's own descriptors, but not the master.
func (s *Session) shut() {
	for _, fd := range []int{s.in, s.out, s.stop.fd, s.drain.fd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
