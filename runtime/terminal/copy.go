package terminal

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// The master is looked at again after these times, in milliseconds, while the
// kernel has no event for what is awaited.
const (
	firstPause = 1
	lastPause  = 50
)

func longer(pause int) int { return min(2*pause, lastPause) }

// pump copies the command's output to the person until the bell drain rings
// and nothing is left. A master reads EIO while no one has the slave open; the
// command may open it again, so that is not the end. EAGAIN means that all
// that was written has been read (n_tty waits for what is on its way).
func (s *Session) pump() {
	defer close(s.over)
	defer s.rescue()
	buf := make([]byte, 32<<10)
	pause := firstPause
	for last := false; ; {
		n, err := unix.Read(s.fd, buf)
		switch {
		case n > 0:
			pause = firstPause
			if err := writeAll(s.out, buf[:n]); err != nil {
				s.pumpErr = fmt.Errorf("write the command's output: %w", err)
				// As when a window is closed: who writes on gets SIGHUP, and EIO.
				s.stop.ring()
				<-s.fed
				s.hangUp()
				return
			}
		case err == unix.EINTR:
		case last && (n == 0 || err == unix.EAGAIN || err == unix.EIO):
			return
		case err == unix.EAGAIN:
			_, last = s.drain.await(s.fd, unix.POLLIN)
		case n == 0 || err == unix.EIO:
			last = s.drain.rest(pause)
			pause = longer(pause)
		default:
			s.pumpErr = fmt.Errorf("read the command's output: %w", err)
			return
		}
	}
}

// writeAll writes to the person, who may be slow, and whose descriptor may be
// non-blocking.
func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		switch err {
		case nil:
			b = b[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			poll(-1, &unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT})
		default:
			return err
		}
	}
	return nil
}

// feed copies the person's input to the command until the bell stop rings.
func (s *Session) feed() {
	defer close(s.fed)
	defer s.rescue()
	buf := make([]byte, 4096)
	for s.awaitRoom() {
		// Hung up: no one is there to take what would be read.
		in, own := &unix.PollFd{Fd: int32(s.in), Events: unix.POLLIN}, &unix.PollFd{Fd: int32(s.stop.fd), Events: unix.POLLIN}
		master := &unix.PollFd{Fd: int32(s.fd)}
		poll(-1, in, own, master)
		if own.Revents != 0 {
			return
		}
		if master.Revents&unix.POLLHUP != 0 || in.Revents == 0 {
			continue
		}
		n, err := unix.Read(s.in, buf)
		switch {
		case n > 0:
			if !s.send(buf[:n]) {
				return
			}
		case err == unix.EINTR || err == unix.EAGAIN:
		case err == nil || err == unix.EIO: // EIO: the terminal was hung up
			s.end()
			return
		default:
			s.feedErr = fmt.Errorf("read the input: %w", err)
			return
		}
	}
}

// awaitRoom waits until the command's terminal takes input, and someone has it
// open; false: the bell rang.
func (s *Session) awaitRoom() bool {
	for pause := firstPause; ; pause = longer(pause) {
		revents, rang := s.stop.await(s.fd, unix.POLLOUT)
		switch {
		case rang:
			return false
		case revents&unix.POLLHUP == 0 && revents&unix.POLLOUT != 0:
			return true
		}
		if s.stop.rest(pause) {
			return false
		}
	}
}

// send writes input to the command's terminal; false: the bell rang.
func (s *Session) send(b []byte) bool {
	for pause := firstPause; len(b) > 0; {
		n, err := unix.Write(s.fd, b)
		switch {
		case err == unix.EINTR:
		case err == nil && n > 0:
			b = b[n:]
		case err == unix.EIO: // no one has the slave open
			if s.stop.rest(pause) {
				return false
			}
			pause = longer(pause)
		case err == nil || err == unix.EAGAIN:
			if !s.awaitRoom() {
				return false
			}
		default:
			s.feedErr = fmt.Errorf("write the input: %w", err)
			return false
		}
	}
	return true
}

// end tells the command that the input has ended. A terminal has no such state,
// only a character that makes one read return; so one is kept there while the
// terminal is read line by line (after half a line the first one only ends the
// line), and sent once to who reads characters, an
// editor of lines for example. It waits until what came before was read, since
// a change of ICANON makes the mark a character.
func (s *Session) end() {
	sent := false
	for pause := firstPause; ; pause = longer(pause) {
		if !s.awaitRoom() {
			return
		}
		mode, unread := s.peer()
		if mode != nil && !unread && (mode.Lflag&unix.ICANON != 0 || !sent) {
			sent = mode.Lflag&unix.ICANON == 0
			if eof := mode.Cc[unix.VEOF]; eof != 0 { // 0: _POSIX_VDISABLE
				if !s.send([]byte{eof}) {
					return
				}
			}
		}
		if s.stop.rest(pause) {
			return
		}
	}
}

// peer is the state of the command's terminal, and whether there is input that
// was not read. It opens the slave for a moment (TIOCGPTPEER, Linux 4.13),
// whatever /dev/pts is in reach.
func (s *Session) peer() (mode *unix.Termios, unread bool) {
	flags := uintptr(unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC | unix.O_NONBLOCK)
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.fd), unix.TIOCGPTPEER, flags)
	if errno != 0 {
		return nil, false
	}
	slave := int(r)
	defer unix.Close(slave)
	mode, err := unix.IoctlGetTermios(slave, unix.TCGETS)
	if err != nil {
		return nil, false
	}
	p := &unix.PollFd{Fd: int32(slave), Events: unix.POLLIN}
	poll(0, p)
	return mode, p.Revents&unix.POLLIN != 0
}
