package payload

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// helperEnv names the helper that a copy of the test binary is to be.
const helperEnv = "ISOPERF_TEST_HELPER"

// helpers do in a process of its own what cannot be undone.
func helpers() map[string]func(args []string) error {
	return map[string]func([]string) error{
		"confine": helpConfine,
		"memory":  helpMemory,
		"root":    helpRoot,
	}
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		if err := helpers()[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// require skips the test unless cond holds; where everything must run, that is
// a failure.
func require(t testing.TB, cond bool, why string) {
	t.Helper()
	switch {
	case cond:
	case os.Getenv("ISOPERF_MUST_RUN") == "1":
		t.Fatalf("must run, but: %s", why)
	default:
		t.Skip(why)
	}
}

// helper is a copy of the test binary.
func helper(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	return cmd
}

// namespaces gives a command namespaces of its own, and all capabilities in
// them.
func namespaces(cmd *exec.Cmd, flags uintptr) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}
	return cmd
}

// requireNamespaces skips where a user namespace is refused.
func requireNamespaces(t testing.TB) {
	t.Helper()
	err := namespaces(exec.Command(file(t)), 0).Run()
	require(t, err == nil, fmt.Sprintf("user namespaces do not work here: %v", err))
}

// file is the payload as a file.
func file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "payload")
	if err := Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// run returns the output and the exit status; a signal is 128 and its number.
func run(t testing.TB, cmd *exec.Cmd) ([]byte, int) {
	t.Helper()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %v: %v", cmd.Args, err)
	}
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	cmd.Wait()
	if said.Len() > 0 {
		t.Logf("%v said %s", cmd.Args, clip(said.Bytes()))
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return out.Bytes(), 128 + int(status.Signal())
	}
	return out.Bytes(), status.ExitStatus()
}

// look is what the payload sees when cmd runs it.
func look(t testing.TB, cmd *exec.Cmd) Seen {
	t.Helper()
	out, status := run(t, cmd)
	if status != 0 {
		t.Fatalf("%v ends with %d", cmd.Args, status)
	}
	s, err := ParseLook(out)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// helpMemory touches that many MiB.
func helpMemory(args []string) error {
	mib, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	touch(mib)
	return nil
}

// touch maps that many MiB, writes to each page and gives them back.
func touch(mib int) {
	b, err := unix.Mmap(-1, 0, mib<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	unix.Munmap(b)
}

// helpConfine sets no_new_privs and a filter under which prctl is EPERM, and
// becomes the payload.
func helpConfine(args []string) error {
	if os.Geteuid() == 0 {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_MKNOD, 0, 0, 0); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_PRCTL, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x50000 | uint32(unix.EPERM)}, // SECCOMP_RET_ERRNO
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000},                   // SECCOMP_RET_ALLOW
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, 1, 1, uintptr(unsafe.Pointer(&prog))) // FILTER, TSYNC
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return syscall.Exec(args[0], []string{args[0], "look"}, nil)
}

// helpRoot makes a root of its own in a directory, and becomes the payload
// there. It must run in a mount namespace of its own.
func helpRoot(args []string) error {
	proc := filepath.Join(args[0], "proc")
	for _, step := range []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount("tmpfs", args[0], "tmpfs", 0, "") },
		func() error { return os.Mkdir(proc, 0o755) },
		func() error { return unix.Mount("/proc", proc, "", unix.MS_BIND|unix.MS_REC, "") },
		func() error { return Write(filepath.Join(args[0], "payload")) },
		func() error { return unix.Chroot(args[0]) },
		func() error { return unix.Chdir("/") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return syscall.Exec("/payload", []string{"payload", "look"}, nil)
}
