package program

import (
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Forwardable are the signals that Forward sends on: all but those that mean
// the launcher itself. It cannot catch KILL and STOP; CHLD, PIPE and the faults
// are about what it did; URG and PROF belong to the Go runtime, and the first
// three real-time signals to the C library. A change of the terminal's size
// (WINCH) is forwarded, and so are real-time signals, which stop some inits.
func Forwardable() []os.Signal {
	own := []syscall.Signal{
		unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGPROF,
		unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS,
		32, 33, 34,
	}
	var list []os.Signal
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		if !slices.Contains(own, sig) {
			list = append(list, sig)
		}
	}
	return list
}

// Forward sends on to the process every signal of the list that the launcher
// receives, until stop is called; an empty list means all that are Forwardable,
// and what is not is left out. While it runs, those signals do nothing else to
// the launcher. A signal that arrived before stop was called has been sent on
// when stop returns.
func Forward(p *Process, signals ...os.Signal) (stop func()) {
	all := Forwardable()
	if len(signals) == 0 {
		signals = all
	}
	signals = slices.DeleteFunc(slices.Clone(signals), func(s os.Signal) bool { return !slices.Contains(all, s) })
	if len(signals) == 0 { // to Notify an empty list means every signal
		return func() {}
	}
	received := make(chan os.Signal, 128)
	signal.Notify(received, signals...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for sig := range received {
			// The process may have ended: its Wait says so.
			_ = p.Signal(sig.(syscall.Signal))
		}
	}()
	return sync.OnceFunc(func() {
		signal.Stop(received) // nothing is sent to the channel after it
		close(received)
		<-ended
	})
}
