package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The exit status is the command's, 128 and its signal, or isoperf's own.
func TestRunStatus(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		root := s.small(t)
		s.write(t, "root/bin/plain", "no program\n", 0o755)
		s.write(t, "root/bin/lost", "#!/no/such/interpreter\n", 0o755)
		s.write(t, "root/bin/foreign", foreign(t), 0o755)
		s.write(t, "root/bin/text", "not executable\n", 0o644)
		for _, c := range []struct {
			args string
			code int
			want string
		}{
			{"true", 0, ""},
			{"sh -c exit\u00a07", 7, ""},
			{"sh -c exit\u00a0125", 125, ""},
			{"--namespaces mnt -- sh -c kill\u00a0-TERM\u00a0$$", 128 + 15, ""},
			{"--init -- sh -c kill\u00a0-KILL\u00a0$$", 128 + 9, ""},
			{"sh -c kill\u00a0-KILL\u00a0$$;exit\u00a04", 4, ""}, // a process 1 is not killed from inside
			{"no-such", 127, `execute "no-such": no such file or directory; it is not in the container's PATH (/usr/local/sbin:`},
			{"/no/such", 127, `execute "/no/such": no such file or directory; there is no such file inside the container`},
			{"--env PATH=/a:/b -- sh", 127, `PATH (/a:/b)`},
			{"lost", 127, `execute "lost": no such file or directory; it is there, but "/no/such/interpreter", which it needs to run, is not inside the container`},
			{"--init -t -- lost", 127, `it is there, but "/no/such/interpreter"`},
			{"--workdir /bin ./lost", 127, `it is there, but "/no/such/interpreter"`},
			{"/bin/text", 126, `execute "/bin/text": permission denied; it is not an executable file (chmod +x)`},
			{"/etc", 126, `execute "/etc": permission denied`},
			{"plain", 126, `execute "plain": exec format error; it is neither a program for this machine (`},
			{"foreign", 126, `execute "foreign": exec format error; it is a program for another machine, `},
			{"--init -- foreign", 126, `take a root file system or program for ` + runtime.GOARCH},
			{"--init -- no-such", 127, `execute "no-such"`},
			{"--no-such-flag -- true", 125, "unknown flag: --no-such-flag\nTry 'isoperf run --help'."},
		} {
			args := []string{"run", "-r", root}
			for word := range strings.SplitSeq(c.args, " ") {
				args = append(args, strings.ReplaceAll(word, "\u00a0", " "))
			}
			out := s.want(t, c.code, c.want, args...)
			if c.want == "" && out != "" {
				t.Errorf("isoperf %q prints %q", args, out)
			}
		}
		s.want(t, 126, `execute "/etc/passwd": permission denied`, "run", "/etc/passwd")
	})
}

// A start that fails leaves a root as it was: the places to mount on that it made
// are gone, and what was there, empty or not, is not.
func TestRunFailedLeavesRoot(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		root := s.small(t)
		if err := os.MkdirAll(root+"/there/before", 0o755); err != nil {
			t.Fatal(err)
		}
		s.write(t, "root/empty", "", 0o644)
		for _, flags := range []string{
			"", "--init", "-t", "--read-only", "--throwaway", "--workdir /made/by/it", "--workdir /there/new", "--tmpfs /a/b --tmpfs /a/b/c --tmpfs /there/before",
			"--volume /etc/passwd:/v/file --volume /etc/passwd:/empty", "-n slirp4netns",
		} {
			s.leavesNothing(t, func() {
				s.want(t, 127, `execute "no-such"`, slices.Concat([]string{"run", "-r", root}, strings.Fields(flags), []string{"no-such"})...)
			})
		}
		for _, path := range []string{"/there/before", "/empty"} {
			if _, err := os.Stat(root + path); err != nil {
				t.Error(err)
			}
		}
		// Beside another container in the same root nothing is taken from under it.
		for _, flags := range [][]string{nil, {"-n", "slirp4netns"}} {
			b := s.shell(t, slices.Concat([]string{"run", "-r", root}, flags, []string{"sh"})...)
			s.want(t, 127, `execute "no-such"`, "run", "-r", root, "--tmpfs", "/a/b", "no-such")
			b.want("there", "test -r /proc/self/stat && test -c /dev/null && echo there")
			if _, err := os.Stat(root + "/a/b"); err != nil {
				t.Error(err)
			}
			b.end("exit")
		}
		s.want(t, 0, "", "run", "-r", root, "--workdir", "/made/by/it", "true")
		if _, err := os.Stat(root + "/made/by/it"); err != nil {
			t.Errorf("a start that did not fail: %v", err)
		}
	})
}

// foreign is a program for another machine than this.
func foreign(t *testing.T) string {
	t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	const machine = 18 // e_machine in the header; see elf(5)
	program[machine] ^= 0x40
	return string(program)
}

// Signals reach the command, each that means it (program.Forwardable); the second SIGTERM or SIGINT kills a
// command that has no handler for it, and so does the end of --stop-timeout.
func TestRunSignals(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		needs(t, "bash")
		for _, init := range []bool{false, true} {
			args := []string{"run"}
			if init {
				args = append(args, "--init")
			}
			b := s.shell(t, append(args, "bash")...)
			names := "HUP QUIT USR1 USR2 ALRM TERM WINCH CONT IO PWR XCPU VTALRM RTMIN+1 RTMAX"
			b.ask("for n in " + names + "; do trap \"got $n\" $n; done; got() { heard=\"$heard $1\"; }")
			for name := range strings.FieldsSeq(names) {
				b.signal(signalNumber(t, name))
				if !eventually(func() bool { return strings.HasSuffix(" "+b.ask("echo $heard"), " "+name) }) {
					t.Errorf("init %v: SIG%s was not heard: %q", init, name, b.ask("echo $heard"))
				}
			}
			b.ask("trap 'got INT' INT")
			b.signal(syscall.SIGINT) // the second to ask it to end, and it has a handler
			if !eventually(func() bool { return strings.HasSuffix(b.ask("echo $heard"), " INT") }) {
				t.Errorf("init %v: the second signal, which it handles, was not heard: %q", init, b.ask("echo $heard"))
			}
			if code := b.end("exit 5"); code != 5 {
				t.Errorf("init %v: the exit status is %d, want 5", init, code)
			}
		}
		b := s.shell(t, "run", "bash")
		b.ask("trap 'exit 6' TERM")
		fmt.Fprintln(b.in, "sleep 100 & wait") // which a signal ends
		b.signal(syscall.SIGTERM)
		if code := b.wait(); code != 6 {
			t.Errorf("after one SIGTERM the exit status is %d, want the command's 6", code)
		}
		b = s.shell(t, "run", "--stop-timeout", "300ms", "bash")
		b.ask("trap '' TERM")
		b.signal(syscall.SIGTERM)
		if code := b.wait(); code != 128+9 {
			t.Errorf("--stop-timeout: the exit status is %d, want 137", code)
		}
		for _, before := range []string{":", "trap '' TERM INT"} { // process 1 has no handler, or does not want to
			b = s.shell(t, "run", "bash")
			b.ask(before)
			b.signal(syscall.SIGTERM)
			b.want("here", "echo here")
			b.signal(syscall.SIGINT)
			if code := b.wait(); code != 128+9 {
				t.Errorf("%s: the exit status is %d, want 137", before, code)
			}
		}
	})
}

func signalNumber(t *testing.T, name string) syscall.Signal {
	t.Helper()
	switch name {
	case "RTMIN+1":
		return 35
	case "RTMAX":
		return 64
	}
	n := unix.SignalNum("SIG" + name)
	if n == 0 {
		t.Fatalf("there is no SIG%s", name)
	}
	return n
}

// Strict mode has nothing but the built-in command.
func TestRunStrict(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		const text = "copied from in to out\n"
		out, code := s.input(t, text, patience, "run", "--seccomp", "strict")
		if code != 0 || out != text {
			t.Errorf("exit status %d, %q", code, out)
		}
		s.want(t, 125, "strict: it forbids execve", "run", "--seccomp", "strict", "--", "true")
	})
}

// A container is gone with the isoperf that started it.
func TestRunKilled(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		needs(t, "bash")
		for _, flag := range []string{"--proc", "--init"} {
			b := s.shell(t, "run", flag, "bash")
			b.ask("sleep 100 &")
			pids := descendants(b.cmd.Process.Pid)
			if len(pids) < 2 {
				t.Errorf("there are only the processes %v", pids)
			}
			b.signal(syscall.SIGKILL)
			b.wait()
			if !eventually(func() bool {
				for _, pid := range pids {
					if state := statusLine(pid, "State"); state != "" && !strings.HasPrefix(state, "Z") {
						return false
					}
				}
				return true
			}) {
				t.Errorf("%s: some of the processes %v live on", flag, pids)
			}
		}
	})
}

// The standard streams are the command's own: no byte is changed, and none is
// lost, of the one or the other.
func TestRunStreams(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		root := s.small(t)
		input := bytes.Repeat([]byte("\x00\r\n\x03\x04\xff line\n"), 50_000)
		cmd := exec.Command(s.bin, "run", "-r", root, "--", "sh", "-c", "echo wrong >&2; cat")
		var out, errs bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &errs
		timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		if err := cmd.Run(); err != nil || !bytes.Equal(out.Bytes(), input) || errs.String() != "wrong\n" {
			t.Errorf("%v: %d bytes of %d on stdout, %q on stderr", err, out.Len(), len(input), errs.String())
		}
		s.matches(t, `^0,1,2,\d+,$`, "run", "-r", root, "--", "sh", "-c", "ls /proc/self/fd | while read n; do echo -n $n,; done")
	})
}
