package main

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
	"isoperf/runtime/spec"
)

// failed is the error of a container that did not start, or ended badly, in the
// words of the command line, with the exit status that is due.
func (f *runFlags) failed(ct *spec.Container, err error) error {
	var op *program.OpError
	if !errors.As(err, &op) {
		return status{code: exitOwn, err: err}
	}
	code, reason := failedExec(ct, op)
	if strings.Contains(err.Error(), "\n") { // what else went wrong is not to be lost
		return status{code: code, err: err}
	}
	if reason != "" {
		return status{code: code, err: fmt.Errorf("execute %q: %w; %s", f.Args[0], op.Errno, reason)}
	}
	switch cwd := ct.Process.Cwd; {
	case op.Op.Name != "open "+cwd && op.Op.Name != "enter "+cwd:
		err = fmt.Errorf("start the container: %s: %w; %s (op %d of --explain)", op.Op.Name, op.Errno, f.advice(op), op.Index)
	case f.Workdir != "":
		err = fmt.Errorf("start in --workdir %q: %w; it has to be a directory inside the container that its user may enter", cwd, op.Errno)
	default:
		err = fmt.Errorf("start in %q, as outside: %w; say where to start with --workdir", cwd, op.Errno)
	}
	return status{code: code, err: err}
}

// advice is what to do about an op that failed.
func (f *runFlags) advice(op *program.OpError) string {
	switch call := op.Op.Call; {
	case op.Hint != "":
		return op.Hint
	case call == unix.SYS_MKDIRAT || call == unix.SYS_MKNODAT:
		return "it is missing in the root file system, where something is to be mounted on it, and cannot be made there; make it, or add --throwaway"
	case call == unix.SYS_OPENAT2 && (op.Errno == unix.ENOTDIR || op.Errno == unix.ELOOP):
		return "something is to be mounted there, and it is not a directory; name another place, or move it away"
	case strings.HasPrefix(op.Op.Name, "bind ") && (op.Errno == unix.EINVAL || op.Errno == unix.ENOTDIR):
		return "a directory can be shown on a directory only, and a file on a file"
	}
	return "the kernel refuses it here; isoperf doctor says what this machine lacks"
}

// failedExec is the exit status and the reason when it is the command that
// could not be executed (execve(2)); otherwise the reason is "".
func failedExec(ct *spec.Container, op *program.OpError) (code int, reason string) {
	args := ct.Process.Args
	if op.Op.Call != unix.SYS_EXECVE || len(args) == 0 {
		return exitOwn, ""
	}
	found := findCommand(ct, args[0])
	if found != nil {
		defer found.Close()
	}
	switch op.Errno {
	case unix.ENOENT, unix.ENOTDIR:
		needs := needed(found)
		switch {
		case needs != "":
			return exitNotFound, fmt.Sprintf("it is there, but %q, which it needs to run, is not inside the container", needs)
		case strings.Contains(args[0], "/"):
			return exitNotFound, "there is no such file inside the container, or the interpreter or loader that it needs is missing there"
		}
		return exitNotFound, "it is not in the container's PATH (" + searchPath(ct) + "), or the interpreter or loader that it needs is missing there; give its whole path, or another --env PATH"
	case unix.EACCES, unix.EPERM, unix.EISDIR:
		return exitNotExecutable, "it is not an executable file (chmod +x), or its file system is mounted noexec"
	case unix.ENOEXEC, unix.ELIBBAD:
		reason := "it is neither a program for this machine (" + runtime.GOARCH + ") nor a script that begins with #!"
		if machine := machineOf(found); machine != "" {
			reason = "it is a program for another machine, " + machine + ", and this one is " + runtime.GOARCH + ": take a root file system or program for " + runtime.GOARCH
		}
		return exitNotExecutable, reason
	}
	return exitOwn, ""
}

// searchPath is the value of PATH inside.
func searchPath(ct *spec.Container) string {
	for _, e := range ct.Process.Env {
		if value, ok := strings.CutPrefix(e, "PATH="); ok {
			return value
		}
	}
	return ""
}

// findCommand opens the command's file as far as it can be found from outside;
// nil: it cannot. What is in a volume or a tmpfs is not seen.
func findCommand(ct *spec.Container, name string) *os.File {
	root := "/"
	if !ct.HostRoot {
		root = ct.RootPath()
	}
	places := []string{path.Join(ct.Process.Cwd, name)}
	switch {
	case path.IsAbs(name):
		places[0] = name
	case !strings.Contains(name, "/"):
		places = nil
		for _, dir := range filepath.SplitList(searchPath(ct)) {
			places = append(places, path.Join(dir, name))
		}
	}
	for _, p := range places {
		handle, err := pathrs.OpenInRoot(root, p)
		if err != nil {
			continue
		}
		file, err := reopen(handle)
		if err == nil {
			return file
		}
	}
	return nil
}

// reopen opens a regular file for reading, and nothing else: that could block.
func reopen(handle *os.File) (*os.File, error) {
	defer handle.Close()
	info, err := handle.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, unix.EINVAL
	}
	return pathrs.Reopen(handle, os.O_RDONLY)
}

// needed is the interpreter of a script or the loader of a program, "" when
// there is none.
func needed(file *os.File) string {
	if file == nil {
		return ""
	}
	line, _ := bufio.NewReader(file).ReadString('\n') // a short file has no end of line
	if script, ok := strings.CutPrefix(line, "#!"); ok {
		if words := strings.Fields(script); len(words) > 0 {
			return words[0]
		}
		return ""
	}
	program, err := elf.NewFile(file)
	if err != nil {
		return ""
	}
	for _, p := range program.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > unix.PathMax {
			continue
		}
		text := make([]byte, p.Filesz)
		if _, err := p.ReadAt(text, 0); err == nil {
			return strings.TrimRight(string(text), "\x00")
		}
	}
	return ""
}

// machineOf is what machine a program is for, "" when it is none.
func machineOf(file *os.File) string {
	if file == nil {
		return ""
	}
	program, err := elf.NewFile(file)
	if err != nil {
		return ""
	}
	own := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
	if program.Machine == own {
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(program.Machine.String(), "EM_"))
}
