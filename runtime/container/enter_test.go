package container

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// entering is a process on its way into a container, that waits just before its
// command.
type entering struct {
	*Container
	t      testing.TB
	inside int // its number as the container sees it
}

// enter starts one in the container of l, which was made of b.
func (l *live) enter(b *box, change func(*specs.Process, *specs.Linux)) *entering {
	l.t.Helper()
	l.ask("cwd") // from here on it is complete
	pidfd, err := unix.PidfdOpen(l.Pid(), 0)
	must(l.t, err)
	e, err := Enter(l.Pid(), pidfd)
	must(l.t, err)
	e.Group = l.Group()
	process := *b.Process
	process.Args = []string{"/probe", "true"}
	linux := *b.Linux
	change(&process, &linux)
	whole := *b.Container
	whole.Spec = &specs.Spec{Version: specs.Version, Process: b.Process, Linux: &linux}
	sc, err := whole.With(&process, e.Flags)
	must(l.t, err)
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	must(l.t, err)
	fd := int(null.Fd())
	runtime.LockOSThread()
	c, err := Start(context.Background(), sc, Options{Stdio: [3]int{fd, fd, fd}, Entered: e, Hold: &Hold{Start: -1, Failure: -1}}, nil)
	must(l.t, err)
	must(l.t, c.SetUp())
	l.t.Cleanup(func() {
		null.Close()
		e.Close()
		unix.Close(pidfd)
		runtime.UnlockOSThread()
	})
	return &entering{Container: c, t: l.t, inside: l.stranger()}
}

// stranger is the number of a process that is not the first.
func (l *live) stranger() int {
	l.t.Helper()
	for range 500 {
		for _, name := range strings.Fields(l.ask("list", "/proc")) {
			if n, err := strconv.Atoi(name); err == nil && n != 1 {
				return n
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.t.Fatal("nobody else is in the container")
	return 0
}

// end lets it execute its command, which must end well.
func (e *entering) end() {
	e.t.Helper()
	e.process.Open(e.plan.recorded)
	if err := e.WaitExec(); err != nil {
		e.t.Error(err)
	}
	status, err := e.Wait()
	e.Release()
	if err != nil || !status.Success() {
		e.t.Errorf("it ended with %v, %v", status, err)
	}
}

// ways are the ways in which a process gets its filter.
func ways() map[string]func(*specs.Process, *specs.Linux) {
	forbid := func(names ...string) *specs.LinuxSeccomp {
		nosys := uint(unix.ENOSYS)
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: names, Action: specs.ActErrno, ErrnoRet: &nosys}}}
	}
	return map[string]func(*specs.Process, *specs.Linux){
		"none": func(*specs.Process, *specs.Linux) {},
		"late": func(_ *specs.Process, l *specs.Linux) { l.Seccomp = forbid("clone3") },
		"early": func(p *specs.Process, l *specs.Linux) {
			p.NoNewPrivileges, l.Seccomp = false, forbid("clone3", "setns")
		},
		// The second clone has to come before it.
		"early, no clone": func(p *specs.Process, l *specs.Linux) {
			p.NoNewPrivileges, l.Seccomp = false, forbid("clone")
			l.Seccomp.Syscalls[0].Args = []specs.LinuxSeccompArg{{Index: 0, Op: specs.OpMaskedEqual, Value: unix.CLONE_PARENT, ValueTwo: unix.CLONE_PARENT}}
		},
	}
}

// order checks where in the program it appears: before an early filter that does
// not let it pass, otherwise with the command's privileges.
func (e *entering) order(filter string) {
	e.t.Helper()
	var text strings.Builder
	must(e.t, e.plan.program.Print(&text))
	at := func(op string) int {
		_, before, found := strings.Cut(text.String(), "  "+op+" ")
		if !found {
			return 1 << 30
		}
		return text.Len() - len(before)
	}
	loaded, again, lowered := at("seccomp"), at("clone again"), at("capset")
	want := map[string]bool{
		"none": lowered < again, "late": lowered < again && again < loaded, "early": loaded < lowered && lowered < again,
		"early, no clone": again < loaded && loaded < lowered,
	}
	if !want[filter] {
		e.t.Errorf("filter %s: the order is wrong:\n%s", filter, text.String())
	}
}

// stubAddress is memory of the stub, where a child is before its command.
const stubAddress = "0x1000000000"

// TestEntering: a process inside can do nothing to one that enters: not trace
// it, nor see its memory, binary, root or files.
func TestEntering(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for name, filter := range ways() {
			t.Run(name, func(t *testing.T) {
				b := newBox(t, k)
				h := b.start()
				e := h.enter(b, filter)
				e.order(name)
				dir := fmt.Sprintf("/proc/%d/", e.inside)
				h.refuse(denied, "memory", e.inside, stubAddress)
				h.refuse(denied, "call", unix.SYS_PTRACE, unix.PTRACE_SEIZE, e.inside, 0, 0)
				h.refuse(denied, "call", unix.SYS_PTRACE, unix.PTRACE_ATTACH, e.inside, 0, 0)
				for _, file := range []string{"mem", "environ", "auxv", "maps", "syscall", "stack"} {
					h.refuse(append([]syscall.Errno{unix.ENOENT}, denied...), "read", dir+file)
				}
				for _, name := range []string{"exe", "root", "cwd", "fd/0", "fd/1", "ns/mnt"} {
					h.refuse(denied, "link", dir+name)
				}
				h.refuse(denied, "list", dir+"root/")
				h.refuse(denied, "read", dir+"exe")
				h.refuse(denied, "write", dir+"exe", "x")
				if a := h.try("call", unix.SYS_PIDFD_OPEN, e.inside, 0); a.Errno == 0 {
					for fd := range 12 {
						if errno := h.call(unix.SYS_PIDFD_GETFD, a.Value, fd, 0); errno != unix.EPERM {
							t.Errorf("pidfd_getfd of %d: %v", fd, errno)
						}
					}
				}
				e.end()
				h.end()
			})
		}
	})
}

// TestEnteringTraced: even a container that may trace everything of its own, the
// launcher's user namespace included, finds nothing worth it: what it can see has
// the command's privileges, nothing of the host open, and nothing by which the
// launcher could be reached.
func TestEnteringTraced(t *testing.T) {
	asRoot(t)
	for _, name := range []string{"none", "late", "early"} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, plain(t)).give("CAP_SYS_PTRACE")
			h := b.start()
			usual := map[string]string{}
			for _, set := range []string{"CapBnd", "CapPrm", "CapEff", "CapInh"} {
				usual[set] = h.ask("status", set)
			}
			e := h.enter(b, ways()[name])
			if a := h.try("memory", e.inside, stubAddress); a.Errno != 0 {
				t.Errorf("this container cannot trace it: %v: the test shows nothing", a)
			}
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.Pid()))
			must(t, err)
			for set, want := range usual {
				if !strings.Contains(string(text), set+":\t"+want+"\n") {
					t.Errorf("%s is not the container's %s:\n%s", set, want, text)
				}
			}
			dir := fmt.Sprintf("/proc/%d/fd", e.Pid())
			entries, err := os.ReadDir(dir)
			must(t, err)
			for _, entry := range entries {
				if to, err := os.Readlink(dir + "/" + entry.Name()); err != nil || to != "/dev/null" && !strings.HasPrefix(to, "pipe:") {
					t.Errorf("descriptor %s is %q, %v", entry.Name(), to, err)
				}
			}
			if len(entries) != 4 {
				t.Errorf("it has %d descriptors, want 4", len(entries))
			}
			e.end()
			h.end()
		})
	}
}
