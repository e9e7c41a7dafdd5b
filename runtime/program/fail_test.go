package program

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refused starts a program whose clone has to fail with the errno and the
// advice, in each mode, and then one that works, and looks for leaks.
func refused(flags uint64, errno syscall.Errno, advice string, before, after func() error) error {
	works := New(VM, 0)
	works.Add(Exit(0))
	for _, mode := range modes {
		p := New(mode, flags)
		p.Add(Exit(0))
		img, err := Load(p)
		if err != nil {
			return err
		}
		// The first file that package os reads costs two descriptors for good.
		if _, err := os.ReadFile("/proc/self/stat"); err != nil {
			return err
		}
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		if err := before(); err != nil {
			return err
		}
		_, startErr := img.Start()
		_, cycleErr := img.Cycle()
		if err := after(); err != nil {
			return err
		}
		for _, err := range []error{startErr, cycleErr} {
			var clone *CloneError
			if !errors.As(err, &clone) || clone.Errno != errno || !strings.Contains(err.Error(), advice) {
				return fmt.Errorf("mode %v: %w; want %s and the advice %q", mode, err, errnoName(errno), advice)
			}
		}
		fmt.Println(startErr)
		img.Close()
		left, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		if len(left) != len(fds) {
			return fmt.Errorf("mode %v: %d descriptors before, %d after", mode, len(fds), len(left))
		}
		if errno == unix.ENOSYS { // nothing will work any more
			continue
		}
		next, err := Load(works)
		if err != nil {
			return err
		}
		if _, err := next.Cycle(); err != nil {
			return fmt.Errorf("the start after the one that failed: %w", err)
		}
		next.Close()
	}
	if left := children(); len(left) > 0 {
		return fmt.Errorf("processes %v remain", left)
	}
	return nil
}

func nothing() error { return nil }

func helpCloneEPERM([]string) error {
	return refused(unix.CLONE_NEWNET, unix.EPERM, "run as root, or add a user namespace", nothing, nothing)
}

func helpCloneEINVAL([]string) error {
	return refused(unix.CLONE_NEWUSER|unix.CLONE_FS, unix.EINVAL, "exclude each other", nothing, nothing)
}

// helpCloneENOSPC runs in a user namespace of its own, whose limits it sets.
func helpCloneENOSPC([]string) error {
	limit := func(text string) func() error {
		return func() error { return os.WriteFile("/proc/sys/user/max_uts_namespaces", []byte(text), 0) }
	}
	return refused(unix.CLONE_NEWUTS, unix.ENOSPC, "/proc/sys/user/max_*_namespaces", limit("0"), limit("1000"))
}

func helpCloneEAGAIN([]string) error {
	// The runtime must not need a thread while no one can be made.
	var ready, done sync.WaitGroup
	hold := make(chan struct{})
	for range 8 {
		ready.Add(1)
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready.Done()
			<-hold
		})
	}
	ready.Wait()
	close(hold)
	done.Wait()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &old); err != nil {
		return err
	}
	lower := func() error { return unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 1, Max: old.Max}) }
	restore := func() error { return unix.Setrlimit(unix.RLIMIT_NPROC, &old) }
	return refused(0, unix.EAGAIN, "ulimit -u", lower, restore)
}

// filterFor is a seccomp filter that gives a system call an action.
func filterFor(call, action uint32) []unix.SockFilter {
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: call},
		{Code: unix.BPF_RET | unix.BPF_K, K: action},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
}

func helpCloneENOSYS([]string) error {
	filter := filterFor(unix.SYS_CLONE3, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS))
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&fprog))); errno != 0 {
		return errno
	}
	runtime.KeepAlive(filter)
	return refused(0, unix.ENOSYS, "run outside it", nothing, nothing)
}

// TestCloneFails: each error says what to do, nothing leaks, and the next
// start works.
func TestCloneFails(t *testing.T) {
	t.Run("EPERM", func(t *testing.T) { t.Log(run(t, asOrdinary(helper("clone-eperm")))) })
	t.Run("EINVAL", func(t *testing.T) { t.Log(run(t, helper("clone-einval"))) })
	t.Run("EAGAIN", func(t *testing.T) { t.Log(run(t, asOrdinary(helper("clone-eagain")))) })
	t.Run("ENOSYS", func(t *testing.T) { t.Log(run(t, helper("clone-enosys"))) })
	t.Run("ENOSPC", func(t *testing.T) {
		cmd := helper("clone-enospc")
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		t.Log(run(t, cmd))
	})
}

// TestRefusedPrograms: what would lead the loop astray is an error of Load.
func TestRefusedPrograms(t *testing.T) {
	five := make([]syscall.Errno, 5)
	for i := range five {
		five[i] = syscall.Errno(i + 1)
	}
	for want, build := range map[string]func(p *Program){
		"accepts 5 errnos, the most is 4":     func(p *Program) { p.Add(Op{Call: unix.SYS_GETPID, Accept: five}) },
		"skip 2 leads to op 4":                func(p *Program) { p.Add(Op{Call: unix.SYS_GETPID, Skip: 2}) },
		"skip -2 leads to op 0":               func(p *Program) { p.Add(Op{Call: unix.SYS_GETPID, Skip: -2}) },
		"skip 1 leads to op 3, outside 1 to ": func(p *Program) { p.Early(Op{Call: unix.SYS_GETPID, Skip: 1}); p.Add(Null()) },
		"the result of op 2, which does not":  func(p *Program) { p.Add(Close(Result(1))); p.Add(Null()) },
		"the result of op 0, which does not":  func(p *Program) { p.Add(Close(Result(-1))) },
		"a vector cannot hold the result":     func(p *Program) { p.Add(Null()); p.Add(Op{Args: [6]Arg{Words(Words(Result(0)))}}) },
		`"a\x00b" contains a NUL`:             func(p *Program) { p.Add(Chdir("a\x00b")) },
		"Early must come before every other":  func(p *Program) { p.Add(Null()); p.Inherit(3) },
		"DieWithParent must come before":      func(p *Program) { p.Wait("gate"); p.DieWithParent() },
		"Again can be used once":              func(p *Program) { p.Again(0); p.Again(0) },
		"the launcher could not wait":         func(p *Program) { p.Flags = unix.CLONE_PARENT },
		"its ops and data take":               func(p *Program) { p.Add(Op{Args: [6]Arg{Buffer(arenaMost)}}) },
		"the launcher sleeps until execve":    func(p *Program) { p.Flags = unix.CLONE_VFORK; p.Wait("gate") },
	} {
		for _, mode := range modes {
			p := New(mode, 0)
			build(p)
			p.Add(Exit(0))
			img, err := Load(p)
			if err == nil {
				img.Close()
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("mode %v: loading gave %v; want %q", mode, err, want)
			}
		}
	}
}

// TestArenas: the stub finds the largest arena, and one at the end of the space
// for arenas; behind that there is an error.
func TestArenas(t *testing.T) {
	arenas.Lock()
	old, free := arenas.next, arenas.free
	arenas.next, arenas.free = arenaLimit-arenaMost-4*uintptr(os.Getpagesize()), map[arenaClass][]arena{}
	arenas.Unlock()
	defer func() {
		arenas.Lock()
		arenas.next, arenas.free = old, free
		arenas.Unlock()
	}()
	for i, size := range []int{arenaMost / 2, 1, 1, 1} {
		p := New(Stub, 0)
		last := Buffer(size)
		fill := p.Add(Op{Name: "getrandom", Call: unix.SYS_GETRANDOM, Args: [6]Arg{last, Int(size), {}}})
		p.Add(Exit(3))
		proc, err := Start(p)
		if i == 3 {
			if err == nil || !strings.Contains(err.Error(), "GiB for arenas are used up") {
				t.Errorf("an arena beyond the last: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer proc.Release()
		mustExit(t, proc, 3)
		if n, _ := proc.img.Result(fill); n != int64(size) {
			t.Errorf("the child could write %d bytes of %d", n, size)
		}
	}
}

// TestMisuse: an image is started by one at a time, and Cycle does not wait
// for what waits for it.
func TestMisuse(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Wait("gate")
		p.Add(Exit(0))
		proc := start(t, p)
		if _, err := proc.img.Start(); err == nil {
			t.Error("an image was started twice at once")
		}
		if _, err := proc.img.Cycle(); err == nil {
			t.Error("an image was cycled while its process runs")
		}
		proc.Release() // does nothing to a process that runs
		if err := proc.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, err := proc.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := proc.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("a signal to a process that was collected: %v", err)
		}
		if _, err := proc.img.Cycle(); err == nil {
			t.Error("a program that waits for the launcher was cycled")
		}
		img := proc.img
		proc.Release()
		if _, err := img.Start(); err == nil {
			t.Error("a closed image was started")
		}
	})
}

// An arena that comes back has nothing of the program that had it before.
func TestArenaAsNew(t *testing.T) {
	for _, mode := range []Mode{VM, Stub} {
		for _, size := range []int{100, 100 << 10, mostKept + 1, large, 3 * large} {
			load := func(arg Arg) *Image {
				p := New(mode, 0)
				p.Add(Op{Name: "write", Call: unix.SYS_WRITE, Args: [6]Arg{Int(-1), arg, Int(size)}})
				p.Add(Exit(0))
				img, err := Load(p)
				if err != nil {
					t.Fatal(err)
				}
				return img
			}
			before := load(Bytes(bytes.Repeat([]byte{0xa5}, size)))
			addr := before.arena.addr
			before.Close()
			after := load(Buffer(size))
			if after.arena.addr != addr {
				t.Errorf("mode %v, %d bytes: the arena is another", mode, size)
			}
			if n := bytes.Count(unsafe.Slice(at[byte](after.arena.addr), after.arena.size-stackSize), []byte{0xa5, 0xa5}); n != 0 {
				t.Errorf("mode %v, %d bytes: twice %d are still there", mode, size, n)
			}
			after.Close()
		}
	}
}
