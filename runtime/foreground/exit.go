package foreground

import (
	"errors"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// Exit statuses of a runtime itself, as docker and podman have them.
const (
	ExitOwn           = 125 // it failed itself
	ExitNotExecutable = 126 // the command cannot be executed
	ExitNotFound      = 127 // the command was not found
)

// ExitCode is the status for an error of Run: what was wrong with the command,
// when execve is what failed.
func ExitCode(err error) int {
	var op *program.OpError
	if errors.As(err, &op) && (op.Op.Call == unix.SYS_EXECVE || op.Op.Call == unix.SYS_EXECVEAT) {
		switch op.Errno {
		case unix.ENOENT, unix.ENOTDIR:
			return ExitNotFound
		case unix.EACCES, unix.ENOEXEC, unix.EPERM, unix.EISDIR, unix.ELIBBAD:
			return ExitNotExecutable
		}
	}
	return ExitOwn
}
