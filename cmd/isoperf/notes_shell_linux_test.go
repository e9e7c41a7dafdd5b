package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that takes no time.
const patience = 20 * time.Second

// run runs isoperf to its end, and returns what it printed and its exit status.
func (s *stage) run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	return s.input(t, "", patience, args...)
}

// input is run with a standard input, and a time.
func (s *stage) input(t *testing.T, stdin string, within time.Duration, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.bin, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	s.note(cmd)
	if ctx.Err() != nil {
		t.Fatalf("isoperf %q does not end:\n%s", args, out)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("isoperf %q: %v\n%s", args, err, out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// note notes the process of an isoperf, of which there may be traces.
func (s *stage) note(cmd *exec.Cmd) {
	if cmd.Process != nil {
		s.started = append(s.started, strconv.Itoa(cmd.Process.Pid))
	}
}

// want runs isoperf; it has to exit with a status and print a text.
func (s *stage) want(t *testing.T, code int, text string, args ...string) string {
	t.Helper()
	out, got := s.run(t, args...)
	if got != code || !strings.Contains(out, text) {
		t.Errorf("isoperf %q: exit status %d, want %d and %q:\n%s", args, got, code, text, out)
	}
	return out
}

// shell is a bash in a container, to be seen from both sides.
type shell struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	pid int // of the bash, outside
}

// shell starts isoperf with arguments whose last is a bash. It is ended with the
// test, and killed after a minute.
func (s *stage) shell(t *testing.T, args ...string) *shell {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	b := &shell{t: t, cmd: exec.CommandContext(ctx, s.bin, args...)}
	in, err := b.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b.in, b.out = in, bufio.NewReader(out)
	b.cmd.Stdout, b.cmd.Stderr = stdout, stdout
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.note(b.cmd)
	stdout.Close()
	t.Cleanup(func() {
		in.Close() // bash ends
		if b.cmd.ProcessState == nil {
			_ = b.cmd.Wait() // its status is that of the last command
		}
		cancel()
		out.Close()
	})
	b.ask("true")
	b.pid = b.outside(b.ask("echo $$"))
	return b
}

// ask runs a line inside and returns what it prints.
func (b *shell) ask(line string) string {
	b.t.Helper()
	const mark = "=== done"
	if _, err := fmt.Fprintf(b.in, "%s\necho '%s'\n", line, mark); err != nil {
		b.t.Fatalf("%s: %v", line, err)
	}
	var text strings.Builder
	for {
		got, err := b.out.ReadString('\n')
		if before, ok := strings.CutSuffix(got, mark+"\n"); ok {
			return strings.TrimSpace(text.String() + before)
		}
		text.WriteString(got)
		if err != nil {
			b.t.Fatalf("%s: %v after\n%s", line, err, text.String())
		}
	}
}

// want asks; the answer has to be a text.
func (b *shell) want(text, line string) {
	b.t.Helper()
	if got := b.ask(line); got != text {
		b.t.Errorf("%s prints %q, want %q", line, got, text)
	}
}

// end ends the bash, and returns isoperf's exit status.
func (b *shell) end(line string) int {
	b.t.Helper()
	fmt.Fprintln(b.in, line)
	b.in.Close()
	return b.wait()
}

// stop sends two signals, of which the second kills the container. They differ,
// since two of a kind may become one.
func (b *shell) stop() int {
	b.t.Helper()
	b.signal(syscall.SIGTERM)
	b.signal(syscall.SIGINT)
	return b.wait()
}

func (b *shell) wait() int {
	b.t.Helper()
	var exit *exec.ExitError
	if err := b.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return b.cmd.ProcessState.ExitCode()
}

// outside is the number of a process outside, given its number inside.
func (b *shell) outside(inside string) int {
	b.t.Helper()
	for _, pid := range append(descendants(b.cmd.Process.Pid), b.cmd.Process.Pid) {
		numbers := strings.Fields(statusLine(pid, "NSpid"))
		if len(numbers) > 0 && numbers[len(numbers)-1] == inside && (len(numbers) > 1 || strconv.Itoa(pid) == inside) && pid != b.cmd.Process.Pid {
			return pid
		}
	}
	b.t.Fatalf("process %s is not seen from outside", inside)
	return 0
}

// descendants are the children of a process, and theirs.
func descendants(pid int) []int {
	var all []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list) // a thread that is gone has none
		for _, f := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(append(all, child), descendants(child)...)
			}
		}
	}
	return all
}

// statusLine is a line of /proc/PID/status, empty when the process is gone.
func statusLine(pid int, name string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// eventually waits for a condition.
func eventually(cond func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}

// output is that of a command of the machine.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// needs skips the test where the machine has no such programs.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			skip(t, "there is no "+p+" on this machine: scripts/setup installs it")
		}
	}
}

// zoo makes zoo-fs.tar of this machine's programs: a small root, with modes that
// a umask would take away. Beside it lies what tar makes of it, as in the notes:
// zoo-fs.
func (s *stage) zoo(t *testing.T) {
	t.Helper()
	needs(t, "tar", "ldd")
	src := s.dir + "/zoo-src"
	for _, p := range []string{"bash", "sh", "ls", "cat", "id", "ps", "sleep", "rm", "mkdir", "cp", "chmod", "chown", "chroot", "stat", "touch", "useradd", "ping", "mount", "uname", "wc"} {
		copyProgram(t, p, src)
	}
	for dir, mode := range map[string]fs.FileMode{"tmp": 0o777 | fs.ModeSticky, "root": 0o700, "home": 0o755, "proc": 0o555, "sys": 0o555, "dev": 0o755, "etc": 0o755} {
		if err := errors.Join(os.MkdirAll(filepath.Join(src, dir), 0o755), os.Chmod(filepath.Join(src, dir), mode)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"passwd": "root:x:0:0:root:/root:/bin/bash\n", "group": "root:x:0:\nusers:x:100:\n", "shadow": "root:*:1::::::\n", "motd": "welcome\n"} {
		if err := errors.Join(os.WriteFile(src+"/etc/"+name, []byte(text), 0o644), os.Chmod(src+"/etc/motd", 0o666)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	output(t, "tar", "--owner=0", "--group=0", "-C", src, "-cf", s.dir+"/zoo-fs.tar", ".")
	output(t, "sh", "-c", "mkdir zoo-fs && cd zoo-fs && (umask 0; tar xf ../zoo-fs.tar)")
}

// copyProgram copies a program of this machine and the libraries that it needs
// to another root.
func copyProgram(t *testing.T, name, root string) {
	t.Helper()
	needs(t, name)
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	files := []string{path}
	out, _ := exec.Command("ldd", path).Output() // a static program has none
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			files = append(files, word)
		}
	}
	for _, file := range files {
		to := filepath.Join(root, file)
		if file == path {
			to = filepath.Join(root, "bin", name)
		}
		if _, err := os.Stat(to); err == nil {
			continue
		}
		data, err := os.ReadFile(file)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// signal sends isoperf a signal.
func (b *shell) signal(sig syscall.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(sig); err != nil {
		b.t.Fatal(err)
	}
}
