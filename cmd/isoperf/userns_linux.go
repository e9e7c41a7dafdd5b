package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideUserNamespace marks the process that enterUserNamespace started.
const insideUserNamespace = "ISOPERF_INSIDE_USER_NAMESPACE"

// enterUserNamespace runs this command again inside a user namespace, as its
// root, when the process may not create namespaces otherwise. done says that
// the command has run there; err is then its exit status.
func (c *cli) enterUserNamespace() (done bool, err error) {
	if sysAdmin() {
		return false, nil
	}
	if os.Getenv(insideUserNamespace) != "" {
		return false, cannot(errors.New("there is no CAP_SYS_ADMIN, even in a user namespace: a security module or seccomp filter takes it away; isoperf doctor says more"))
	}
	return c.again(insideUserNamespace, "create a user namespace, without which namespaces take root", &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}, func(int) error { return nil })
}

// again runs this command once more, as a child with these attributes; mark is
// the variable that tells it. done says that it has run; err is then its exit
// status, and what clear, which is told the number of the child that has ended,
// could not clear away.
func (c *cli) again(mark, what string, attr *syscall.SysProcAttr, clear func(pid int) error) (done bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return false, cannot(fmt.Errorf("find this program: %w", err))
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, c.stdout, c.stderr
	cmd.SysProcAttr = attr
	runtime.LockOSThread() // for Pdeathsig
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return false, cannot(fmt.Errorf("%s: %w; isoperf doctor says what refuses it", what, err))
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	interrupted := c.ctx.Done()
	for {
		select {
		case <-interrupted:
			// It ends in order and prints what it has.
			if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return true, cannot(fmt.Errorf("interrupt the measuring process: %w", err))
			}
			interrupted = nil
		case err := <-ended:
			left := clear(cmd.Process.Pid)
			var exit *exec.ExitError
			switch {
			case err == nil && left == nil:
				return true, nil
			case errors.As(err, &exit) && exit.ExitCode() > 0:
				return true, status{code: exit.ExitCode(), err: left}
			case err != nil:
				err = fmt.Errorf("measure in a process of its own: %w", err)
			}
			return true, cannot(errors.Join(err, left))
		}
	}
}

// sysAdmin says whether CAP_SYS_ADMIN is effective.
func sysAdmin() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}
