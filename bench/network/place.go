package network

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// within runs f on a thread in the place's namespace. Sockets that f makes stay
// there.
func (p *place) within(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		if err := unix.Setns(p.net, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the network namespace of the %s: %w", p.name, err)
			return
		}
		done <- f()
	}()
	return <-done
}
