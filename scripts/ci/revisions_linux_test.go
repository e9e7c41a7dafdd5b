package ci

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// repository is one whose build copies prog.sh to prog, and whose commits are made of
// the given programs.
func repository(t *testing.T, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	for _, text := range programs {
		write(t, filepath.Join(dir, "prog.sh"), text)
		git(t, dir, "add", ".")
		git(t, dir, "commit", "-q", "-m", "a program")
	}
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=test", "-c", "user.email=test@localhost"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

const (
	quick = "#!/bin/sh\nsleep 0.004\n"
	slow  = "#!/bin/sh\nsleep 0.02\n"
)

// A sleep that takes three times as long is slower on any machine.
func TestGateRevisions(t *testing.T) {
	built := []string{"-b", "cp prog.sh prog", "-s", "{}/prog", "-t", "4s", "-f", "50%"}
	for _, c := range []struct {
		name     string
		programs []string
		here     string // the program in the tree, changed and not committed; "" as committed
		args     []string
		code     int
		warning  string
	}{
		{"slower", []string{quick, slow}, "", []string{"HEAD^", "HEAD"}, 1, ""},
		{"faster", []string{slow, quick}, "", []string{"HEAD^", "HEAD"}, 0, ""},
		{"the tree as it is", []string{quick}, slow, []string{"HEAD"}, 1, ""},
		{"nothing earlier", []string{quick}, "", []string{""}, 0, "compared with itself"},
		{"zeros", []string{quick}, "", []string{"0000000000000000000000000000000000000000"}, 0, "compared with itself"},
		{"base cannot be measured", []string{"#!/bin/sh\nexit 1\n", quick}, "", []string{"HEAD^"}, 0, "base cannot be measured"},
		{"head cannot be measured", []string{quick, "#!/bin/sh\nexit 1\n"}, "", []string{"HEAD^"}, 2, ""},
		{"no such revision", []string{quick}, "", []string{"nonsense"}, 2, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they sleep
			dir := repository(t, c.programs...)
			if c.here != "" {
				write(t, filepath.Join(dir, "prog.sh"), c.here)
			}
			before := git(t, dir, "status", "--porcelain", "--branch")
			got := shell(t, dir, nil, slices.Concat([]string{gate(t), "-o", filepath.Join(t.TempDir(), "out")}, built, c.args)...)
			if got.code != c.code || !strings.Contains(got.said, c.warning) {
				t.Errorf("exit status %d, want %d and %q:\n%s", got.code, c.code, c.warning, got.said)
			}
			if after := git(t, dir, "status", "--porcelain", "--branch"); after != before {
				t.Errorf("the tree was %q and is %q", before, after)
			}
			if trees := git(t, dir, "worktree", "list"); strings.Contains(trees, "\n") {
				t.Errorf("trees are left:\n%s", trees)
			}
		})
	}
}

// A build that fails is head's fault, or a base that there is nothing to say of.
func TestGateBuilds(t *testing.T) {
	for _, c := range []struct {
		name    string
		build   string
		code    int
		says    string
		reports bool
	}{
		{"head", "grep 0.004 prog.sh && cp prog.sh prog", 2, "gate: building head", false},
		{"base", "grep 0.02 prog.sh && cp prog.sh prog", 0, "warning: base cannot be built", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := repository(t, quick, slow)
			out := filepath.Join(t.TempDir(), "out")
			got := shell(t, dir, nil, gate(t), "-o", out, "-t", "1s", "-b", c.build, "-s", "{}/prog", "HEAD^")
			if got.code != c.code || !strings.Contains(got.said, c.says) {
				t.Errorf("exit status %d, want %d and %q:\n%s", got.code, c.code, c.says, got.said)
			}
			if _, err := os.Stat(filepath.Join(out, "report.md")); (err == nil) != c.reports {
				t.Errorf("report.md: %v", err)
			}
		})
	}
}

// A shallow checkout, as CI systems make it, fetches the base.
func TestGateShallow(t *testing.T) {
	t.Parallel()
	origin := repository(t, quick, quick+"#\n", slow)
	git(t, origin, "config", "uploadpack.allowAnySHA1InWant", "true")
	base := git(t, origin, "rev-parse", "HEAD^^")
	dir := filepath.Join(t.TempDir(), "checkout")
	git(t, origin, "clone", "-q", "--depth=1", "file://"+origin, dir)
	got := shell(t, dir, nil, gate(t), "-t", "4s", "-f", "50%", "-b", "cp prog.sh prog", "-s", "{}/prog", base)
	if got.code != 1 || !strings.Contains(got.said, "FAIL  1 of 1 got slower") {
		t.Errorf("exit status %d:\n%s", got.code, got.said)
	}
}
