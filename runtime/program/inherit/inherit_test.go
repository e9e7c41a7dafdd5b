package inherit_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program/inherit"
	"isoperf/runtime/program/inherit/inherittest"
)

const linked = "-E=isoperf/runtime/program/inherit.entry"

// seen is what a process that began in entry tells of itself.
type seen struct {
	Soft, Hard    uint64 // of RLIMIT_NOFILE, as Nofile has it
	Raised        bool
	Pinned        int // CPUs before Restore
	Coarse        int // timer slack before it
	CPUs          string
	Slack         int
	Maker         bool
	Made          bool
	Up            bool   // the loopback interface of the namespace is up
	Net, UTS, IPC string // the links of the namespaces in the descriptors
	Children      string // that are left
	Stdin         string // what descriptor 0 is
	Profiled      int    // bytes between two samples of memory; 0: none is taken
	Texts         [4]string
	Again         bool // a text can be taken twice
	Env           []string
}

// environ are the variables that a process tells of, as it was given them.
var environ = []string{"INHERIT", "INHERIT_ONE", "INHERIT_NONE", "INHERIT_EMPTY", "LAST"}

// files are what the texts are of.
var files = map[inherit.Text]string{
	inherit.ClockSource: "/sys/devices/system/clocksource/clocksource0/current_clocksource", inherit.UserNamespace: "/proc/self/ns/user",
	inherit.Groups: "/proc/self/cgroup", inherit.Mounts: "/proc/self/mountinfo",
}

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[2] == "tell" {
		_ = json.NewEncoder(os.Stdout).Encode(look())
		return
	}
	os.Exit(m.Run())
}

// rooms are the lengths from which on a text is too long.
var rooms = map[inherit.Text]int{inherit.ClockSource: 56, inherit.UserNamespace: 56, inherit.Groups: 3920, inherit.Mounts: 12280}

func look() (s seen) {
	for _, name := range environ {
		value, known := inherit.Getenv(name)
		s.Env = append(s.Env, fmt.Sprint(known, " ", value))
	}
	s.Soft, s.Hard, s.Raised = inherit.Nofile()
	var set unix.CPUSet
	_ = unix.SchedGetaffinity(0, &set)
	s.Pinned, s.Coarse = set.Count(), slack()
	inherit.Restore()
	_ = unix.SchedGetaffinity(0, &set)
	s.CPUs, s.Slack = fmt.Sprint(set), slack()
	s.Profiled = runtime.MemProfileRate
	s.Stdin, _ = os.Readlink("/proc/self/fd/0")
	if pid := inherit.Maker(); pid != 0 {
		s.Maker = true
		for {
			if _, err := syscall.Wait4(pid, nil, unix.WALL, nil); err != unix.EINTR {
				break
			}
		}
	}
	var made inherit.Spare
	if made, s.Made = inherit.Made(); s.Made {
		link := func(fd int) string { text, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); return text }
		s.Up, s.Net, s.UTS, s.IPC = made.Up, link(made.Net), link(made.UTS), link(made.IPC)
	}
	for t := range s.Texts {
		s.Texts[t] = string(inherit.Text(t).Take())
		s.Again = s.Again || inherit.Text(t).Take() != nil
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	s.Children = string(text)
	return s
}

func slack() int {
	n, _, _ := syscall.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_TIMERSLACK, 0, 0)
	return int(n)
}

// binary is this test, linked to begin in entry.
func binary(t *testing.T) string {
	t.Helper()
	if inherit.Entered() {
		path, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := filepath.Join(t.TempDir(), "test")
	cmd := exec.Command("go", "test", "-c", "-ldflags", linked, "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := inherittest.SlowFrom(path, math.MaxInt64); err != nil { // with a maker
		t.Fatal(err)
	}
	return path
}

func tell(t *testing.T, cmd *exec.Cmd) (s seen) {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return s
}

// What entry changes is given back, and what was given at birth is known.
func TestEntry(t *testing.T) {
	bin := binary(t)
	inherit.Restore() // where this process began there as well
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	soft := min(limit.Max-1, 77)
	// A shell, since Go would give its children the original limit.
	cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -S -n %d; exec "$0" "$@" <&-`, soft), bin, "walk", "tell")
	s := tell(t, cmd)
	if s.Pinned != 1 || s.Coarse != 5_000_000 {
		t.Errorf("%d CPUs and a slack of %d ns: the process did not begin in entry", s.Pinned, s.Coarse)
	}
	if want := fmt.Sprint(set); s.CPUs != want {
		t.Errorf("CPUs are %s, want %s", s.CPUs, want)
	}
	if s.Slack != 50_000 {
		t.Errorf("timer slack is %d ns, want the kernel's 50000", s.Slack)
	}
	if s.Soft != soft || s.Hard != limit.Max || !s.Raised {
		t.Errorf("Nofile is %d, %d, %v, want %d, %d, true", s.Soft, s.Hard, s.Raised, soft, limit.Max)
	}
	if s.Stdin != "/dev/null" {
		t.Errorf("a closed standard input became %q, want Go's /dev/null", s.Stdin)
	}
	if s.Profiled != 0 {
		t.Errorf("memory is sampled every %d bytes, want never", s.Profiled)
	}
	if s.Maker || s.Made || s.Children != "" {
		t.Errorf("namespaces were made for a command that is not run: %+v", s)
	}
}

// "run" has new namespaces ready, where that is permitted, and nobody is left.
func TestMaker(t *testing.T) {
	s := tell(t, exec.Command(binary(t), "run", "tell"))
	if !s.Maker || s.Children != "" {
		t.Fatalf("a maker: %v, children that are left: %q", s.Maker, s.Children)
	}
	if may := os.Geteuid() == 0; s.Made != may {
		t.Fatalf("namespaces were made: %v, want %v", s.Made, may)
	}
	if !s.Made {
		return
	}
	if !s.Up {
		t.Error("the loopback interface is not up")
	}
	for name, link := range map[string]string{"net": s.Net, "uts": s.UTS, "ipc": s.IPC} {
		ours, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if link == ours || !strings.HasPrefix(link, name+":[") {
			t.Errorf("the %s namespace is %q, want a new one, not %q", name, link, ours)
		}
	}
}

// What a start will want to read is read by the maker, whole or not at all, and is
// there once.
func TestTexts(t *testing.T) {
	bin := binary(t)
	if os.Geteuid() != 0 {
		if s := tell(t, exec.Command(bin, "run", "tell")); s.Texts != [4]string{} {
			t.Errorf("there are texts of a maker that could make nothing: %q", s.Texts)
		}
		return
	}
	want := func(t *testing.T, s seen) {
		t.Helper()
		if s.Again {
			t.Error("a text can be taken twice")
		}
		for kind, path := range files {
			text, err := os.ReadFile(path)
			if kind == inherit.UserNamespace {
				var link string
				link, err = os.Readlink(path)
				text = []byte(link)
			}
			if err != nil || len(text) >= rooms[kind] {
				text = nil
			}
			if got := s.Texts[kind]; got != string(text) {
				t.Errorf("%s is %q, want %q", path, got, text)
			}
		}
	}
	want(t, tell(t, exec.Command(bin, "run", "tell")))
	if s := tell(t, exec.Command(bin, "walk", "tell")); s.Texts != [4]string{} {
		t.Errorf("there are texts without a maker: %q", s.Texts)
	}
	// More mounts than there is room for.
	many := exec.Command("sh", "-c", `mount --make-rprivate / && mkdir "$0/m" && for i in $(seq 200); do mount --bind "$0/m" "$0/m" || exit; done; exec "$@"`, t.TempDir(), bin, "run", "tell")
	many.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	s := tell(t, many)
	if s.Texts[inherit.Mounts] != "" {
		t.Errorf("of too many mounts there are %d bytes", len(s.Texts[inherit.Mounts]))
	}
	if s.Texts[inherit.Groups] == "" || !s.Made {
		t.Errorf("with too many mounts there are no groups, %q, or no namespaces, %v", s.Texts[inherit.Groups], s.Made)
	}
}

// The environment is the one that the process was given.
func TestGetenv(t *testing.T) {
	cmd := exec.Command(binary(t), "walk", "tell")
	cmd.Env = []string{"INHERIT_ONE=a=b", "INHERIT_EMPTY=", "INHERIT_ONE2=c", "LAST=z"}
	s := tell(t, cmd)
	if want := []string{"true ", "true a=b", "true ", "true ", "true z"}; !slices.Equal(s.Env, want) {
		t.Errorf("%q are %q, want %q", environ, s.Env, want)
	}
	if inherit.Entered() {
		return
	}
	if _, known := inherit.Getenv("PATH"); known {
		t.Error("the environment of a process that did not begin in entry is known")
	}
}

// Without the flag of the linker nothing of it happens.
func TestPlain(t *testing.T) {
	if inherit.Entered() {
		return // this one is linked with it
	}
	cpus, coarse := 0, slack()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	cpus = set.Count()
	inherit.Restore()
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	if set.Count() != cpus || slack() != coarse || inherit.Maker() != 0 {
		t.Errorf("Restore changed %d CPUs to %d, a slack of %d to %d; maker %d", cpus, set.Count(), coarse, slack(), inherit.Maker())
	}
}
