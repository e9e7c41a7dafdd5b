package foreground

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/seccomp/profile"
	"isoperf/runtime/spec"
)

// filtered gives a container a seccomp filter of a kind.
func filtered(c *spec.Container, kind string) (err error) {
	switch kind {
	case "default": // Docker's, which answers clone3 with ENOSYS
		c.Linux.Seccomp, err = profile.Default(c.Spec)
	case "own":
		c.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdirat"}, Action: specs.ActErrno}}}
	}
	return err
}

// partFiltered says what filters the command and the first process have, whether
// it is a leader with a terminal, and whether it could gain privileges.
func partFiltered([]string) error {
	line := func(pid, name string) string {
		text, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			return err.Error()
		}
		_, after, _ := strings.Cut(string(text), "\n"+name+":")
		word, _, _ := strings.Cut(after, "\n")
		return strings.TrimSpace(word)
	}
	_, err := unix.IoctlGetTermios(0, unix.TCGETS)
	fmt.Printf("pid %d, seccomp %s and %s, terminal %v, no_new_privs %s and %s\n", os.Getpid(),
		line("self", "Seccomp"), line("1", "Seccomp"), err == nil, line("self", "NoNewPrivs"), line("1", "NoNewPrivs"))
	return nil
}

// TestFilters: every filter goes with an init and without, with a terminal and
// without, with no_new_privs and without; the init has it too.
func TestFilters(t *testing.T) {
	requireContainers(t)
	choices := [][]string{{"no-init", "init"}, {"pipe", "tty"}, {"no-new-privs", "new-privs"}, {"seccomp=none", "seccomp=default", "seccomp=own"}}
	all := [][]string{nil}
	for _, words := range choices {
		var more [][]string
		for _, before := range all {
			for _, w := range words {
				more = append(more, append(slices.Clone(before), w))
			}
		}
		all = more
	}
	for _, words := range all {
		t.Run(strings.Join(words, " "), func(t *testing.T) {
			pid, nnp, mode := 1, 1, "2"
			if words[0] == "init" {
				pid = 2
			}
			if words[2] == "new-privs" {
				nnp = 0
			}
			if words[3] == "seccomp=none" {
				mode = "0"
			}
			p := standing(t, append(slices.Clone(words), "--", "filtered")...)
			p.line(fmt.Sprintf("pid %d, seccomp %s and %s, terminal %v, no_new_privs %d and %d", pid, mode, mode, words[1] == "tty", nnp, nnp))
			if got := p.status(); got != 0 {
				t.Errorf("exit status %d", got)
			}
		})
	}
}

// TestStrictContradicts: strict mode has room for nothing that takes a call of
// its own, and says so.
func TestStrictContradicts(t *testing.T) {
	for word, want := range map[string]string{"init": "init: strict mode leaves no process that could be one", "tty": "terminal"} {
		c := box(word == "tty")
		c.Init, c.Process.Args, c.Strict = word == "init", nil, true
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want %q", word, err, want)
		}
	}
}
