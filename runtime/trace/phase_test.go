package trace

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// checkSum: the phases add up to the time from the first event to the last, or
// to the command.
func checkSum(t *testing.T, events []Event) []Phase {
	t.Helper()
	first, last, cut := int64(1<<62), int64(0), int64(1<<62)
	for _, e := range events {
		if e.Lane == Command {
			cut = min(cut, e.Start)
			continue
		}
		first, last = min(first, e.Start), max(last, e.End)
	}
	last = min(last, cut)
	phases, sum := Phases(events), int64(0)
	seen := map[string]bool{}
	for _, p := range phases {
		sum += p.Ns
		if p.Ns < 0 || seen[p.Name] || p.Name == "" {
			t.Errorf("phase %+v is negative, or there twice", p)
		}
		seen[p.Name] = true
	}
	if len(phases) > 0 && sum != last-first {
		t.Errorf("the phases take %d ns, the whole %d", sum, last-first)
	}
	return phases
}

func TestPhases(t *testing.T) {
	got := map[string]Phase{}
	var order []string
	for _, p := range checkSum(t, start()) {
		got[p.Name] = p
		order = append(order, p.Name)
	}
	for _, c := range []struct {
		name string
		ns   int64
		ops  int
	}{
		{"clone and stub", 401_877 + 61_234 + 301 + 1_200, 5}, // clone3 in both lanes
		{"id maps", 900 + 210_000, 2},
		{"cgroup", 97_000, 1},
		{"mounts", 9_000 + 4_000 + 80_000 + 250, 4},
		{"/dev", 30_000 + 12_000, 2},
		{"pivot", 15_000 + 22_000, 2},
		{"network", 18_000, 1},
		{"credentials & capabilities", 700, 1},
		{"seccomp", 46_000, 1},
		{"execve", 180 + 200_000, 2},
	} {
		if p := got[c.name]; p.Ns != c.ns || p.Ops != c.ops {
			t.Errorf("%s has %d ns and %d events, want %d and %d", c.name, p.Ns, p.Ops, c.ns, c.ops)
		}
		delete(got, c.name)
	}
	if len(got) > 0 {
		t.Errorf("more phases: %v", got)
	}
	if all := strings.Join(order, ", "); !strings.HasPrefix(all, "clone and stub, id maps, cgroup, mounts, /dev, pivot, network, credentials") {
		t.Errorf("the order is %s", all)
	}
}

// TestPhasesAddUp: whatever the events are like, gaps and overlaps too.
func TestPhasesAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	lanes := []string{Launcher, Container, "other lane", Command}
	names := []string{"clone3", "wait", "mount proc", "seccomp", "nothing that is known", ""}
	for range 500 {
		var events []Event
		for range r.IntN(30) {
			at := r.Int64N(1000)
			events = append(events, Event{Lane: lanes[r.IntN(len(lanes))], Name: names[r.IntN(len(names))], Start: at, End: at + r.Int64N(200)})
		}
		var kept []Event // the command begins once, after all that began
		for _, e := range events {
			if e.Lane != Command {
				kept = append(kept, e)
			}
		}
		checkSum(t, kept)
		if len(kept) > 0 {
			checkSum(t, append(kept, Event{Lane: Command, Name: "command", Start: 1100, End: 5000}))
		}
	}
}

// TestGapsAreOther: time that no event has is "other".
func TestGapsAreOther(t *testing.T) {
	phases := checkSum(t, []Event{
		{Lane: Container, Name: "seccomp", Start: 0, End: 10},
		{Lane: Container, Name: "mount proc", Start: 15, End: 20},
		{Lane: Launcher, Name: "no one knows", Start: 18, End: 30},
	})
	var b strings.Builder
	for _, p := range phases {
		b.WriteString(p.Name + " " + Duration(p.Ns) + "; ")
	}
	if want := "seccomp 10 ns; other 15 ns; mounts 5 ns; "; b.String() != want {
		t.Errorf("the phases are %s want %s", b.String(), want)
	}
}

// TestNeighbours: an op that prepares belongs to what it prepares, one that
// tidies up to what it tidies up.
func TestNeighbours(t *testing.T) {
	var events []Event
	for i, text := range []string{"seccomp(x)", "openat2(4, x)", "mount(x)", "close(4)", "capset(x)", "fchdir(3)"} {
		events = append(events, Event{Lane: Container, Name: "x", Text: text, Start: int64(i), End: int64(i) + 1})
	}
	want := []string{phaseSeccomp, phaseMounts, phaseMounts, phaseMounts, phasePrivilege, phasePrivilege}
	if got := phaseNames(events); !slices.Equal(got, want) {
		t.Errorf("the phases are %q, want %q", got, want)
	}
}

func TestPhaseOf(t *testing.T) {
	for text, want := range map[string]string{
		`unshare(CLONE_NEWUSER)`:                                   phaseNamespaces,
		`unshare(CLONE_NEWCGROUP)`:                                 phaseCgroup,
		`sethostname("box", 3)`:                                    phaseNamespaces,
		`openat(AT_FDCWD, "/proc/self/uid_map", O_WRONLY)`:         phaseIDs,
		`mount("/home/dev/rootfs", "/home/dev/rootfs", NULL, 0)`:   phaseMounts,
		`mount("/dev/null", "/home/dev/rootfs/dev/null", NULL, 0)`: phaseDev,
		`mount("devpts", "dev/pts", "devpts", 0, NULL)`:            phaseDev,
		`symlinkat("/proc/self/fd", 4, "dev/fd")`:                  phaseDev,
		`move_mount(5, "", 6, "", 0)`:                              phaseMounts,
		`fsopen("proc", FSOPEN_CLOEXEC)`:                           "",
		`fchdir(4)`:                                                "",
		`close(4)`:                                                 "",
		`socket(AF_INET, SOCK_DGRAM, 0)`:                           phaseNetwork,
		`setresuid(1, 1, 1)`:                                       phasePrivilege,
		`prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN)`:                    phasePrivilege,
		`wait 2: start`:                                            phaseWait,
		`wait 2: network is ready`:                                 phaseNetwork,
		`tell 1: in the user namespace`:                            phaseIDs,
	} {
		if got := phaseOf(Event{Name: "any", Text: text}); got != want {
			t.Errorf("%s belongs to %q, want %q", text, got, want)
		}
	}
}

// TestPhaseOfPlans: the ops and steps of real starts, with their names, are
// where a person looks for them.
func TestPhaseOfPlans(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"prepare", "", phasePlan}, {"launch", "", phasePlan}, {"create control group", "", phaseCgroup}, {"write id maps", "", phaseIDs},
		{"connect network", "", phaseNetwork}, {"process started", "", phaseNetwork}, {"configured", "", phaseNetwork},
		{"link, address and route", "", phaseNetwork}, {"first handshake", "", phaseNetwork}, {"bridge and NAT rules", "", phaseNetwork},
		{"veth pair", "", phaseNetwork}, {"published ports", "", phaseNetwork},
		{"hide descriptors", "close_range(3, ~0, CLOSE_RANGE_CLOEXEC)", phaseClone}, {"inherit", "fcntl(0, F_SETFD, 0)", phaseClone},
		{"ids mapped", "wait 1: ids mapped", phaseIDs}, {"limits complete", "wait 1: limits complete", phaseCgroup},
		{"network connected", "wait 2: network connected", phaseNetwork}, {"cgroup namespace", "unshare(CLONE_NEWCGROUP)", phaseCgroup},
		{"lo up", `ioctl(result of op 8, SIOCSIFFLAGS, {"lo", IFF_UP})`, phaseNetwork}, {"fsopen tmpfs", `fsopen("tmpfs", FSOPEN_CLOEXEC)`, ""},
		{"mount tmpfs /dev/shm", `move_mount(result of op 68, "", result of op 62, "", 0)`, phaseDev}, {"mount devpts /dev/pts", `move_mount(5, "", 6, "", 0)`, phaseDev},
		{"bind /dev/console", `move_mount(5, "", 6, "", 0)`, phaseDev}, {"symlink fd", `symlinkat("/proc/self/fd", result of op 5, "fd")`, phaseDev},
		{"mount cgroup /sys/fs/cgroup/cpu", `move_mount(5, "", 6, "", 0)`, phaseMounts}, {"mask /proc/acpi", `move_mount(5, "", 6, "", 0)`, phaseMounts},
		{"read-only /sys/fs/cgroup", `mount_setattr(5, "", AT_EMPTY_PATH, {set MOUNT_ATTR_RDONLY})`, phaseMounts}, {"open terminal", "ioctl(5, TIOCGPTPEER, 0x80102)", phaseDev},
		{"bind /etc/hosts", `move_mount(5, "", 6, "", 0)`, phaseNetwork}, {"sysctl net.ipv4.ping_group_range", `write(5, "0 1", 3)`, phaseNetwork},
		{"fork", "clone(CLONE_PARENT_SETTID): the copy goes on behind the original's ops", phaseInit}, {"reap", "waitid(P_ALL, 0, info, WEXITED|__WALL)", phaseInit},
		{"init confined", "tell 2: init confined", phaseInit}, {"init confined", "wait 1: init confined", phaseInit},
		{"command's process", "tell 3: command's process", phaseInit}, {"keyring", `keyctl(KEYCTL_JOIN_SESSION_KEYRING, "_ses.x")`, phasePrivilege},
		{"setsid", "setsid()", phasePrivilege}, {"confirm", "wait until the launcher has seen tell 1", phaseClone}, {"unblock signals", "rt_sigprocmask(x)", phaseExecve},
	} {
		if got := phaseOf(Event{Name: c.name, Text: c.text}); got != c.want {
			t.Errorf("%s, %s belongs to %q, want %q", c.name, c.text, got, c.want)
		}
	}
}

func TestBars(t *testing.T) {
	for _, c := range []struct {
		file   string
		phases []Phase
		width  int
	}{
		{"bars.txt", Phases(start()), 80},
		{"bars-narrow.txt", Phases(start()), 1},
		{"bars-none.txt", nil, 80},
		{"bars-one.txt", []Phase{{Name: "mounts", Ns: 1}}, 80},
	} {
		var b bytes.Buffer
		if err := Bars(&b, c.phases, c.width); err != nil {
			t.Fatal(err)
		}
		golden(t, c.file, b.String())
		for line := range strings.SplitSeq(b.String(), "\n") {
			if len(line) > max(c.width, 80) {
				t.Errorf("%s: %d columns: %q", c.file, len(line), line)
			}
			for _, r := range line {
				if r > 126 {
					t.Errorf("%s: %q is not ASCII", c.file, line)
				}
			}
		}
	}
}

func TestDuration(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0 ns", 1: "1 ns", 999: "999 ns", 1000: "1.00 us", 1234: "1.23 us", 9994: "9.99 us", 9995: "10.0 us", 9999: "10.0 us", 12345: "12.3 us",
		99_949: "99.9 us", 99_999: "100 us", 123_456: "123 us", 999_499: "999 us", 999_600: "1.00 ms", 1_520_000: "1.52 ms",
		999_999_999: "1.00 s", 12_000_000_000: "12.0 s", 4_000_000_000_000: "4000 s",
	} {
		if got := Duration(ns); got != want {
			t.Errorf("%d ns prints as %q, want %q", ns, got, want)
		}
	}
}
