package harness

import (
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// NewThread is a launcher whose thread may be taken to other namespaces: it is
// not the process's first. Go parks that one for ever instead of ending it, so
// its namespaces, with all that is in them, would stay; and /proc/self shows the
// mounts and groups of the first thread as those of the process.
func NewThread() *program.Launcher {
	l := program.NewLauncher()
	first := false
	l.Do(func() { first = unix.Gettid() == unix.Getpid() })
	if first {
		defer l.Close() // behind the next call, which cannot get the same thread
		return program.NewLauncher()
	}
	return l
}
