// Package inherit keeps what the process was given at birth and Go changes
// before main.
//
// Package syscall raises the soft limit of open files in its init. This
// package imports nothing that needs initialising, so by the order of the Go
// specification (since 1.21: by import path among packages that are ready) it
// runs first, and reads the limit as it was.
package inherit

import "unsafe"

type limit struct{ soft, hard uint64 }

var nofile = read()

// getrlimit is the raw system call; it returns the result or -errno.
func getrlimit(resource uintptr, old unsafe.Pointer) int64

func read() limit {
	var l limit
	const nofile = 7
	getrlimit(nofile, unsafe.Pointer(&l))
	return l
}

// Nofile is the RLIMIT_NOFILE that the process was started with, in
// descriptors, and whether the soft limit now is the one that Go raised it to
// (one below the hard limit), not one that the program set since.
func Nofile() (soft, hard uint64, raised bool) {
	now := read()
	return nofile.soft, now.hard, now.hard > 0 && now.soft == now.hard-1 && nofile.soft < now.soft
}
