package feature

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const filtered = "ISOPERF_TEST_FILTERED"

// The filter that container engines load hides clone3 with ENOSYS and refuses
// new namespaces with EPERM. It is put on a process of its own.
func TestUnderARealFilter(t *testing.T) {
	if os.Getenv(filtered) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestUnderARealFilter$", "-test.v")
		cmd.Env = append(os.Environ(), filtered+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	h := New()
	all := h.Namespaces()
	before := all[slices.IndexFunc(all, func(r Result) bool { return r.Name == "time namespace" })]
	loadFilter(t, map[uint32]unix.Errno{
		unix.SYS_CLONE3: unix.ENOSYS, unix.SYS_UNSHARE: unix.EPERM, unix.SYS_OPEN_TREE: unix.EPERM,
	})
	checkRefusal(t, h.Kernel(), refusalWant{"clone3", "ENOSYS: a seccomp filter hides it (Seccomp: 2", ""})
	checkRefusal(t, h.Mounts(), refusalWant{"new mount API", "open_tree answers EPERM: a seccomp filter", ""})
	checkRefusal(t, h.Confinement(), refusalWant{"no seccomp filter", "Seccomp: 2", ""})
	if before.State != Have {
		t.Logf("time namespaces are refused here without a filter too: %s", before.Why)
		return
	}
	checkRefusal(t, h.Namespaces(), refusalWant{"time namespace", "clone answers EPERM: a seccomp filter", ""})
}

// loadFilter answers these calls with these errors on all threads.
func loadFilter(t *testing.T, refuse map[uint32]unix.Errno) {
	t.Helper()
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
	)
	code := []unix.SockFilter{{Code: load, K: 0}} // seccomp_data.nr
	for nr, errno := range refuse {
		code = append(code,
			unix.SockFilter{Code: equal, K: nr, Jf: 1},
			unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	code = append(code, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	runtime.LockOSThread() // the thread that gives up new privileges loads; TSYNC does both to all
	defer runtime.UnlockOSThread()
	must(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		t.Fatal(errno)
	}
}
