// Package fleet tests the scripts beside it: a machine's measurement, and the files of
// many. That the manifests are valid `make manifests` says, with the API server's own
// code, and try-slurm runs the script for Slurm.
package fleet

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// environment is that of the scripts: its PATH begins with a folder that has isoperf.
var environment []string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "isoperf-fleet-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-o", dir, "isoperf/cmd/isoperf")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build isoperf: %v\n%s", err, out)
			return 1
		}
		environment = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "BIN="+dir)
		return m.Run()
	}())
}

// run runs a program and wants an exit status.
func run(t *testing.T, env []string, code int, name string, args ...string) (stdout, stderr string) {
	t.Helper()
	if name == "isoperf" {
		name = filepath.Join(value(env, "BIN"), name)
	}
	cmd := exec.Command(name, args...)
	cmd.Env = env
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		t.Fatalf("%s %q: %v, want exit status %d\n%s%s", name, args, err, code, out.String(), said.String())
	}
	return out.String(), said.String()
}

func value(env []string, key string) string {
	for _, e := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(e, key+"="); ok {
			return v
		}
	}
	return ""
}

// what is measured in these tests: as little as there is.
var little = []string{"clone/flag=none/mode=vm/pacing=burst", "--samples", "20"}

func TestMeasure(t *testing.T) {
	env := slices.Clip(environment)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run(t, append(env, "SLURM_ARRAY_TASK_ID=3"), 0, "./measure", append([]string{dir}, little...)...)
	text, err := os.ReadFile(filepath.Join(dir, host+"-3.txt"))
	if err != nil || !bytes.Contains(text, []byte("\nhost: "+host+"\n")) || !bytes.Contains(text, []byte("# end {")) {
		t.Errorf("no whole file of this host (%v): %.200s", err, text)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v (%v), want one file", left, err)
	}
	// A pod's log is the file, and nothing else.
	out, said := run(t, env, 0, "./measure", append([]string{"-"}, little...)...)
	if !strings.HasPrefix(out, "goos: linux\n") || !strings.Contains(out, "# end {") || said != "" {
		t.Errorf("it prints %.100q and says %q", out, said)
	}
	if out, said = run(t, env, 2, "./measure", "-", "nonsense"); out != "" || !strings.Contains(said, `no case matches "nonsense"`) {
		t.Errorf("it prints %q and says %q", out, said)
	}
	run(t, env, 2, "./measure")
}

// The files of three hosts are one report, and are compared by host.
func TestFleet(t *testing.T) {
	env := slices.Clip(environment)
	dir := t.TempDir()
	// As kubectl would answer: the pods of three nodes, of which one was cut short.
	cluster := t.TempDir()
	list, whole := "", ""
	for i, node := range []string{"alpha", "beta", "gamma"} {
		whole, _ = run(t, env, 0, "./measure", append([]string{"-"}, little...)...)
		lines := strings.Split(whole, "\n")
		for j := range lines {
			if strings.HasPrefix(lines[j], "host: ") {
				lines[j] = "host: " + node
			}
			if node != "alpha" && strings.HasPrefix(lines[j], "kernel: ") {
				lines[j] = "kernel: another"
			}
		}
		write(t, filepath.Join(cluster, fmt.Sprintf("pod-%d", i)), strings.Join(lines, "\n"))
		list += fmt.Sprintf("pod-%d %s\n", i, node)
	}
	write(t, filepath.Join(cluster, "pod-3"), whole[:strings.Index(whole, "# end {")])
	list += "pod-3 delta\npod-4 \n"
	write(t, filepath.Join(cluster, "list"), list)
	write(t, filepath.Join(cluster, "kubectl"), `#!/bin/sh
# kubectl --namespace N (get pods … | logs POD --container measure)
test "$1 $2" = "--namespace bench" || exit 9
case $3 in
get) cat "$CLUSTER/list" ;;
logs) test "$5 $6" = "--container measure" && cat "$CLUSTER/$4" ;;
esac
`)
	with := append(env, "CLUSTER="+cluster, "PATH="+cluster+":"+value(env, "PATH"))
	_, said := run(t, with, 1, "./collect", dir, "--namespace", "bench")
	for _, want := range []string{"pod-3 on delta has no whole result", "pod-4 on no node has no whole result"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 3 || filepath.Base(files[0]) != "alpha-pod-0.txt" {
		t.Fatalf("collected %q (%v)", files, err)
	}
	report(t, env, files)
}

func report(t *testing.T, env, files []string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	run(t, env, 0, "isoperf", append([]string{"report", "--dir", out, "--html", out + ".html"}, files...)...)
	for _, path := range []string{filepath.Join(out, "RESULTS.md"), out + ".html"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Machine 1 of 3: ", "Machine 3 of 3: ", "host alpha", "host beta", "host gamma"} {
			if !bytes.Contains(text, []byte(want)) {
				t.Errorf("%s has no %q", filepath.Base(path), want)
			}
		}
	}
	said, _ := run(t, env, 0, "sh", "-c", `"$BIN/isoperf" compare "$@" --col host --inconclusive=pass || test $? = 1`, "sh", files[0], files[1], files[2])
	if strings.Contains(said, "NOT COMPARABLE") || strings.Count(said, "two machines") != 2 || !strings.Contains(said, "the hosts differ: kernel") {
		t.Errorf("compare by host:\n%s", said)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
