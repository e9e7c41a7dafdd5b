package program

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// look prints all that a command has from who started it.
const look = `cat /proc/self/status /proc/self/limits /proc/self/timerslack_ns /proc/self/oom_score_adj /proc/self/cgroup /proc/self/personality
cut -d' ' -f4-8,18-20,38,40,41 /proc/$$/stat
umask; pwd; env; readlink /proc/self/ns/*
tr '\0' '|' </proc/$$/cmdline; echo
cd /proc/$$/fd; echo *; readlink *; true`

// notInherited are what differs between any two processes.
var notInherited = regexp.MustCompile(`^(Pid|Tgid|NSpid|NStgid|Vm\w+|Rss\w+|SigQ|\w+_ctxt_switches|PPid):`)

// bothWays runs the command once with os/exec and once with a program, and
// says what differs.
func bothWays(mode Mode, bond bool) error {
	argv := []string{"sh", "-c", look}
	env := []string{"ISOPERF=1", "PATH=/bin:/usr/bin"}
	var looks [2][]string
	dir, err := os.MkdirTemp("", "look")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for i := range looks {
		out, err := os.Create(dir + "/out")
		if err != nil {
			return err
		}
		if i == 0 {
			cmd := &exec.Cmd{Path: "/bin/sh", Args: argv, Env: env, Stdin: os.Stdin, Stdout: out, Stderr: out}
			err = cmd.Run()
		} else {
			err = runProgram(mode, bond, argv, env, int(out.Fd()))
		}
		out.Close()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(dir + "/out")
		if err != nil {
			return err
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if !notInherited.MatchString(line) {
				looks[i] = append(looks[i], line)
			}
		}
	}
	if len(looks[0]) < 60 {
		return fmt.Errorf("the command saw only %q", looks[0])
	}
	var differ []string
	for i, line := range looks[0] {
		if i >= len(looks[1]) || line != looks[1][i] {
			differ = append(differ, fmt.Sprintf("os/exec %q", line))
			if i < len(looks[1]) {
				differ = append(differ, fmt.Sprintf("program %q", looks[1][i]))
			}
		}
	}
	if len(looks[1]) > len(looks[0]) {
		differ = append(differ, looks[1][len(looks[0]):]...)
	}
	if len(differ) > 0 {
		return fmt.Errorf("mode %v: what the command has is not the same:\n%s", mode, strings.Join(differ, "\n"))
	}
	return nil
}

func runProgram(mode Mode, bond bool, argv, env []string, out int) error {
	p := New(mode, 0)
	p.Stdio(0, out, out)
	if bond {
		p.DieWithParent()
	}
	p.Exec("/bin/sh", argv, env)
	proc, err := Start(p)
	if err != nil {
		return err
	}
	defer proc.Release()
	status, err := proc.Wait()
	if err == nil && !status.Success() {
		err = fmt.Errorf("the command ended with %v", status)
	}
	return err
}

// helpParity compares under the circumstances that its arguments name.
func helpParity(args []string) error {
	runtime.LockOSThread()
	for _, circumstance := range args {
		var err error
		switch circumstance {
		case "affinity":
			var set unix.CPUSet
			if err := unix.SchedGetaffinity(0, &set); err != nil {
				return err
			}
			for cpu := 0; set.Count() > 1; cpu++ {
				set.Clear(cpu)
			}
			err = unix.SchedSetaffinity(0, &set)
		case "nice":
			err = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 5)
		case "mask":
			set := unix.Sigset_t{}
			set.Val[0] = 1<<(unix.SIGUSR1-1) | 1<<(unix.SIGWINCH-1)
			err = unix.PthreadSigmask(sigSetMask, &set, nil)
		case "slack":
			err = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0)
		case "dispositions":
			signal.Ignore(syscall.SIGUSR2, syscall.SIGHUP)
			signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGWINCH)
		case "directory":
			unix.Umask(0o27)
			err = os.Chdir("/dev")
		case "descriptor": // not closed on exec
			_, err = unix.Dup(0)
		case "nofile set": // a limit that the program has chosen
			err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 300, Max: 400})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", circumstance, err)
		}
	}
	for _, mode := range modes {
		for _, bond := range []bool{false, true} {
			if err := bothWays(mode, bond); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestParity: a command has from a program, in every mode, just what os/exec
// would give it.
func TestParity(t *testing.T) {
	requireFile(t, "/bin/sh")
	all := []string{"affinity", "nice", "mask", "slack", "dispositions", "directory", "descriptor"}
	cases := [][]string{{"nothing special"}, {"nofile set"}, all}
	for _, circumstance := range all {
		cases = append(cases, []string{circumstance})
	}
	for _, c := range cases {
		t.Run(strings.Join(c, "+"), func(t *testing.T) {
			run(t, helper("parity", c...))
			if len(c) > 1 && os.Geteuid() == 0 {
				run(t, asOrdinary(helper("parity", c...)))
			}
		})
	}
	// Go raises the soft limit of open files; the command gets the original.
	for _, limits := range []string{"ulimit -Sn 256", "ulimit -Sn 256; ulimit -Hn 512", "ulimit -n 512", "ulimit -Sn 512; ulimit -Hn 513"} {
		t.Run(limits, func(t *testing.T) {
			cmd := helper("parity", all...)
			cmd.Args = slices.Concat([]string{"sh", "-c", limits + `; exec "$0" "$@"`, "/proc/self/exe"}, all)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Path, cmd.Args[3] = "/bin/sh", self
			run(t, cmd)
		})
	}
}
