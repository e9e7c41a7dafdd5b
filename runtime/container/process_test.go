package container

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/capability"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
	"isoperf/runtime/seccomp/profile"
)

func number[T any](n T) *T { return &n }

// TestIdentity: user, group, supplementary groups and umask are those asked
// for; the working directory is entered as that user.
func TestIdentity(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		if k.name == "own" {
			t.Skip("there is one id only")
		}
		b := newBox(t, k)
		b.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{7, 1002}, Umask: number(uint32(0o027))}
		b.Process.Cwd = "/tmp"
		c := b.start()
		c.want("pid 1 uid 1000 1000 gid 1001 1001 groups [7 1002] umask 027 session true", "identity")
		c.ask("create", "/tmp/mine", "x")
		c.want("100640 1000:1001 0:0", "stat", "/tmp/mine")
		for _, set := range []string{"CapEff", "CapPrm", "CapInh", "CapAmb"} {
			c.want("0000000000000000", "status", set)
		}
		c.end()
		var st unix.Stat_t
		must(t, unix.Lstat(b.root+"/tmp/mine", &st))
		uid, gid := 1000, 1001
		if k.user() {
			uid, _ = k.maps.HostUID(1000)
			gid, _ = k.maps.HostGID(1001)
		}
		if int(st.Uid) != uid || int(st.Gid) != gid {
			t.Errorf("outside the file belongs to %d:%d, want %d:%d", st.Uid, st.Gid, uid, gid)
		}
	})
}

// TestUserCreatedInside: a process that becomes another user inside is that
// user's mapped id outside.
func TestUserCreatedInside(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c := newBox(t, k).start()
		if k.name == "own" {
			// There is no other.
			if errno := c.call(unix.SYS_SETRESUID, 1000, 1000, 1000); errno != unix.EINVAL {
				t.Errorf("setresuid: %v", errno)
			}
			c.end()
			return
		}
		if errno := c.call(unix.SYS_SETRESUID, 1000, 1000, 1000); errno != 0 {
			t.Fatalf("setresuid: %v", errno)
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Pid()))
		must(t, err)
		want := 1000
		if k.user() {
			want, _ = k.maps.HostUID(1000)
		}
		if !strings.Contains(string(text), fmt.Sprintf("Uid:\t%d\t%d\t%d\t%d\n", want, want, want, want)) {
			t.Errorf("outside it is\n%s", text)
		}
		c.end()
	})
}

// TestLimits: resource limits, and those that are not asked for as they were.
func TestLimits(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k).withShell()
		b.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0}}
		b.Process.OOMScoreAdj = number(500)
		c := b.start()
		// By a shell: Go raises its own, and gives a command what it was.
		c.want("100\n200", "run", "/bin/sh", "-c", "ulimit -Sn; ulimit -Hn")
		c.want("0 0", "limit", unix.RLIMIT_CORE)
		var own unix.Rlimit
		must(t, unix.Prlimit(0, unix.RLIMIT_STACK, nil, &own))
		c.want(fmt.Sprintf("%d %d", own.Cur, own.Max), "limit", unix.RLIMIT_STACK)
		c.want("500", "read", "/proc/self/oom_score_adj")
		c.end()
	})
}

// TestScheduling: scheduler, io priority and personality.
func TestScheduling(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		b.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 5}
		b.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}
		b.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
		c := b.start()
		for name, want := range map[int]uintptr{unix.SYS_SCHED_GETSCHEDULER: 3, unix.SYS_GETPRIORITY: 20 - 5} {
			if a := c.try("call", name, 0, 0); a.Value != want {
				t.Errorf("call %d returns %+v, want %d", name, a, want)
			}
		}
		if a := c.try("call", unix.SYS_IOPRIO_GET, 1, 0); a.Value != 2<<13|6 {
			t.Errorf("io priority %+v", a)
		}
		if a := c.try("call", unix.SYS_PERSONALITY, uint32(0xffffffff)); a.Value != 8 {
			t.Errorf("personality %+v", a)
		}
		c.end()
	})
}

// TestCapabilities: all five sets are those asked for.
func TestCapabilities(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, uid := range []uint32{0, 1000} {
			if uid != 0 && k.name == "own" {
				continue
			}
			b := newBox(t, k)
			b.Process.User.UID = uid
			b.Process.Capabilities = &specs.LinuxCapabilities{
				Bounding:    []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SETUID"},
				Permitted:   []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"},
				Effective:   []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"},
				Inheritable: []string{"CAP_KILL", "CAP_NET_RAW"},
				Ambient:     []string{"CAP_NET_RAW"},
			}
			c := b.start()
			bits := func(caps ...int) string {
				set := uint64(0)
				for _, n := range caps {
					set |= 1 << n
				}
				return fmt.Sprintf("%016x", set)
			}
			bounding := bits(unix.CAP_CHOWN, unix.CAP_KILL, unix.CAP_NET_RAW, unix.CAP_SETUID)
			permitted := bits(unix.CAP_CHOWN, unix.CAP_KILL, unix.CAP_NET_RAW) // an execve by root gives no more, without new privileges
			if uid != 0 {
				permitted = bits(unix.CAP_NET_RAW)
			}
			c.want(bounding, "status", "CapBnd")
			c.want(permitted, "status", "CapPrm")
			c.want(permitted, "status", "CapEff")
			c.want(bits(unix.CAP_KILL, unix.CAP_NET_RAW), "status", "CapInh")
			c.want(bits(unix.CAP_NET_RAW), "status", "CapAmb")
			c.end()
		}
	})
}

// TestDefaultCapabilities: the usual fourteen, and nothing that they do not
// hold works.
func TestDefaultCapabilities(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		sets, err := capability.FromOCI(b.Process.Capabilities)
		must(t, err)
		c := b.start()
		for _, set := range []string{"CapEff", "CapPrm", "CapBnd"} {
			c.want(fmt.Sprintf("%016x", uint64(sets.Bounding)), "status", set)
		}
		for _, refused := range [][]any{
			{unix.SYS_SETHOSTNAME, "x", 1}, {unix.SYS_MOUNT, "tmpfs", "/tmp", "tmpfs", 0, 0}, {unix.SYS_UNSHARE, unix.CLONE_NEWNS},
			{unix.SYS_SETTIMEOFDAY, "1234567812345678", 0}, {unix.SYS_REBOOT, 1, 2, 3}, {unix.SYS_PIVOT_ROOT, "/", "/"}, {unix.SYS_SWAPON, "/probe", 0},
		} {
			c.refuse([]syscall.Errno{unix.EPERM, unix.EINVAL, unix.EFAULT}, "call", refused...)
		}
		if errno := c.call(unix.SYS_SETHOSTNAME, "x", 1); errno != unix.EPERM {
			t.Errorf("sethostname: %v", errno)
		}
		c.end()
	})
}

// TestNoNewPrivileges: the flag is set, or not.
func TestNoNewPrivileges(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, on := range []bool{true, false} {
			b := newBox(t, k)
			b.Process.NoNewPrivileges = on
			c := b.start()
			c.want(map[bool]string{true: "1", false: "0"}[on], "status", "NoNewPrivs")
			c.end()
		}
	})
}

// TestSeccomp: the default profile is loaded, with no_new_privs and without;
// what it forbids fails, the init has it as well, and the launcher has none.
func TestSeccomp(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		before := filters(t)
		for _, nnp := range []bool{true, false} {
			for _, init := range []bool{true, false} {
				b := newBox(t, k)
				b.Process.NoNewPrivileges, b.Init = nnp, init
				var err error
				b.Linux.Seccomp, err = profile.Default(b.Spec)
				must(t, err)
				c := b.start()
				c.want("2", "status", "Seccomp")
				for _, n := range []int{unix.SYS_UNSHARE, unix.SYS_MOUNT, unix.SYS_KEXEC_LOAD, unix.SYS_INIT_MODULE, unix.SYS_ADD_KEY} {
					c.refuse([]syscall.Errno{unix.EPERM}, "call", n, unix.CLONE_NEWUSER, 0, 0)
				}
				if init {
					text := c.ask("read", "/proc/1/status")
					for _, line := range []string{"Seccomp:\t2\n", "Seccomp_filters:\t1\n", "CapBnd:\t" + c.ask("status", "CapBnd") + "\n", "NoNewPrivs:\t" + c.ask("status", "NoNewPrivs") + "\n"} {
						if !strings.Contains(text, line) {
							t.Errorf("no_new_privs %v: the init does not have %q: %s", nnp, line, text)
						}
					}
					c.refuse([]syscall.Errno{unix.EPERM, unix.EACCES}, "call", unix.SYS_PTRACE, unix.PTRACE_SEIZE, 1, 0, 0)
				}
				c.want("", "run", "/probe", "true")
				c.end()
			}
		}
		if after := filters(t); after != before {
			t.Errorf("the launcher had %s, and has %s", before, after)
		}
	})
}

// filters is the line of this thread's status that says how many it has.
func filters(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/status")
	must(t, err)
	_, after, _ := strings.Cut(string(text), "Seccomp_filters:")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line) + " filters"
}

// TestKilledByFilter: the status says it.
func TestKilledByFilter(t *testing.T) {
	b := newBox(t, plain(t))
	b.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"uname"}, Action: specs.ActKillProcess}}}
	c := b.start()
	_, err := c.in.WriteString("[\"uname\"]\n")
	must(t, err)
	if r := c.wait(); r.err != nil || r.status.Signal != unix.SIGSYS {
		t.Errorf("it ended with %v, %v", r.status, r.err)
	}
}

// TestFilterForbidsStart: a filter that would forbid what comes after it is
// refused before anything starts.
func TestFilterForbidsStart(t *testing.T) {
	for _, nnp := range []bool{true, false} {
		b := newBox(t, plain(t))
		b.Process.NoNewPrivileges = nnp
		name := map[bool]string{true: "execve", false: "capset"}[nnp]
		b.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{name}, Action: specs.ActErrno}}}
		if _, err := b.plan(); err == nil || !strings.Contains(err.Error(), "linux.seccomp") || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v", err)
		}
	}
	// Of what only an init needs, it is said that it is the init's.
	for name, nnp := range map[string]bool{"waitid": true, "futex": true, "clone": false} {
		b := newBox(t, plain(t))
		b.Process.NoNewPrivileges = nnp
		b.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{name}, Action: specs.ActErrno}}}
		_, err := b.plan()
		must(t, err)
		b.Init = true
		if _, err := b.plan(); err == nil || !strings.Contains(err.Error(), "it forbids "+name+",") || !strings.Contains(err.Error(), "leave out the init") {
			t.Errorf("got %v", err)
		}
	}
}

// TestTimeOffsets: the clocks inside are moved, in every process, by either way
// into the namespace; and those of the child's timeline are not.
func TestTimeOffsets(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, old := range []bool{false, true} {
			timeOffsets(t, k, old)
		}
	})
}

// The child gets its program in parts, except where that would open the gate of
// the id maps.
func TestParts(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := quick(t, k)
		b.options.Ahead = true
		plan, err := b.plan()
		must(t, err)
		defer plan.spare.Close()
		gates, last, others := 0, 0, 0
		for i, op := range plan.Program().Ops() {
			if op.Name == "rest of the program" {
				gates, last = gates+1, i
			}
		}
		for _, op := range plan.Program().Ops()[:last] {
			if strings.HasPrefix(op.String(), "wait ") && op.Name != "rest of the program" {
				others++
			}
		}
		want := 1
		if !k.user() {
			want = 2 + len(b.Mounts)
		}
		if plan.goes { // the masks are for while the group is planned
			want++
		}
		if gates != want || others != 0 {
			t.Errorf("%d gates for parts, want %d, and %d others before the last of them, want none", gates, want, others)
		}
	})
}

// A child that has waited for its group goes on with the old root before the rest is
// planned, except where hooks of the runtime have a gate before that.
func TestPartBehindGroup(t *testing.T) {
	asRoot(t)
	for _, hooked := range []bool{false, true} {
		b := quick(t, plain(t))
		b.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}
		b.Linux.Namespaces = slices.DeleteFunc(b.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace })
		b.options.Ahead = true
		if hooked {
			b.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/true"}}}
		}
		plan, err := b.plan()
		must(t, err)
		defer plan.spare.Close()
		defer plan.closeHooks()
		if goes := cgroup.DevicesAlone(b.Linux.Resources); plan.goes != goes {
			t.Fatalf("the child goes into its group by itself: %v, want %v", plan.goes, goes)
		}
		ops := plan.Program().Ops()
		at := slices.IndexFunc(ops, func(op program.Op) bool { return op.Name == "enter /" })
		if at < 0 || at+1 == len(ops) {
			t.Fatal("the child does not enter its root")
		}
		if gate := ops[at+1].Name == "rest of the program"; gate != (plan.goes && !hooked) {
			t.Errorf("with hooks %v, and a child that goes into its group by itself %v, there is a gate behind the old root: %v", hooked, plan.goes, gate)
		}
	}
}

// What turns out to be wrong while the rest is planned, when the child is there
// already, leaves neither the child nor its group.
func TestStartFails(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := quick(t, k)
		b.Linux.Personality = &specs.LinuxPersonality{Domain: "BSD"}
		before := children()
		l, err := b.tryStart()
		if err == nil {
			l.wait()
			t.Fatal("it started")
		}
		if !strings.Contains(err.Error(), "linux.personality") {
			t.Errorf("the error does not name the field: %v", err)
		}
		if after := children(); len(after) != len(before) {
			t.Errorf("children were %v and are %v", before, after)
		}
		if left := groups(b.ID); len(left) > 0 {
			t.Errorf("groups are left: %v", left)
		}
	})
}

func timeOffsets(t *testing.T, k kind, old bool) {
	b := newBox(t, k)
	b.options.OldTime = old
	b.Linux.Namespaces = append(b.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
	b.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 864000}, "boottime": {Secs: 8640000, Nanosecs: 5}}
	c := b.start()
	for id, want := range map[int]int64{unix.CLOCK_MONOTONIC: 864000, unix.CLOCK_BOOTTIME: 8640000} {
		var here unix.Timespec
		must(t, unix.ClockGettime(int32(id), &here))
		there, err := strconv.ParseInt(c.ask("clock", id), 10, 64)
		must(t, err)
		if d := there - here.Sec - want; d < -1 || d > 60 {
			t.Errorf("clock %d is %d here and %d inside", id, here.Sec, there)
		}
	}
	timeline := c.Timeline()
	for last, i := timeline.Entered, 0; i < len(timeline.Spans); i++ {
		s := timeline.Spans[i]
		if s.End < last || s.End > last+60e9 {
			t.Errorf("%s ends at %d, what was before it at %d", s.Name, s.End, last)
		}
		last = s.End
	}
	c.end()
}
