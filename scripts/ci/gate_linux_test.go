// Package ci tests the recipes beside it: each one's command line, taken from its
// file, is run as its CI system would run it, with a real isoperf.
//
//	gate                        by its options
//	action.yml, gitlab.yml ───► the lines of their scripts ─► a shell, in an environment
//	Jenkinsfile                                               like the system's ─► status,
//	                                                          report, warning
package ci

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var program struct{ dir, isoperf string }

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "isoperf-ci-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program.dir, program.isoperf = dir, filepath.Join(dir, "isoperf")
		build := exec.Command("go", "build", "-o", program.isoperf, "isoperf/cmd/isoperf")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build isoperf: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// workspace is a folder as a CI system has it, with result files whose verdicts are
// certain.
func workspace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i, f := range []struct {
		name    string
		factor  float64 // of the first case
		kernel  string
		samples int // of each
	}{{"base", 1, "6.18", 60}, {"again", 1, "6.18", 60}, {"slow", 1.08, "6.18", 60}, {"few", 1, "6.18", 3}, {"other", 1, "6.19", 60}} {
		write(t, filepath.Join(dir, f.name+".txt"), results(rand.New(rand.NewPCG(1, uint64(i))), f.factor, f.kernel, f.samples))
	}
	return dir
}

// results is a file of three cases and two controls, in blocks of ten samples.
func results(rng *rand.Rand, factor float64, kernel string, samples int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: linux\nkernel: %s\n# isoperf {\"version\":\"test\"}\nUnit ready-ns better=lower\n", kernel)
	for from := 0; from < samples; from += 10 {
		for i, name := range []string{"Startup/runtime=a", "Startup/runtime=b", "Startup/runtime=c", "Control/what=clock", "Control/what=compute"} {
			for range min(10, samples-from) {
				ns := 1e6 * (1 + 0.01*rng.Float64())
				if i == 0 {
					ns *= factor
				}
				fmt.Fprintf(&b, "Benchmark%s 1 %.0f ready-ns\n", name, ns)
			}
		}
	}
	b.WriteString("# end {\"why\":\"done\"}\n")
	return b.String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// outcome is what came of a recipe.
type outcome struct {
	code int
	said string
}

// shell runs a script in a folder, with that environment and nothing else of CI.
func shell(t *testing.T, dir string, env []string, argv ...string) outcome {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + program.dir + ":" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + t.TempDir()}, env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), said.String()}
}

func gate(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("gate")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// verdicts are what a recipe is given, and what must come of it.
var verdicts = []struct {
	name, head string
	slower     bool
	warning    string // "" there is none
	says       string // the report's first line
}{
	{"slower", "slow.txt", true, "", "### ❌ FAIL  1 of 3 got slower"},
	{"same", "again.txt", false, "", "### ✅ OK  3 are the same"},
	{"cannot tell", "few.txt", false, "it cannot be told whether head is slower", "### ⚠️ CANNOT TELL"},
	{"not comparable", "other.txt", false, "base and head are not comparable", "### ⚠️ NOT COMPARABLE"},
}

// checkFiles reads what the gate left in the folder of the report.
func checkFiles(t *testing.T, out, says, warning string) {
	t.Helper()
	if text := read(t, filepath.Join(out, "report.md")); !strings.HasPrefix(text, says) {
		t.Errorf("report.md begins %.80q, want %q", text, says)
	}
	if err := xml.Unmarshal([]byte(read(t, filepath.Join(out, "junit.xml"))), &struct {
		XMLName xml.Name `xml:"testsuites"`
	}{}); err != nil {
		t.Errorf("junit.xml: %v", err)
	}
	if text := read(t, filepath.Join(out, "report.html")); !strings.Contains(text, "<html") {
		t.Errorf("report.html begins %.80q", text)
	}
	text, err := os.ReadFile(filepath.Join(out, "warning"))
	if warning == "" && err == nil || warning != "" && !strings.Contains(string(text), warning) {
		t.Errorf("the file warning holds %q (%v), want %q", text, err, warning)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func TestGateFiles(t *testing.T) {
	for _, v := range verdicts {
		t.Run(v.name, func(t *testing.T) {
			dir := workspace(t)
			for range 2 { // and again: what the first left is replaced
				got := shell(t, dir, nil, gate(t), "-o", "out", "base.txt", v.head)
				if want := map[bool]int{true: 1}[v.slower]; got.code != want {
					t.Fatalf("exit status %d, want %d:\n%s", got.code, want, got.said)
				}
				if v.warning != "" && !strings.Contains(got.said, "gate: warning: "+v.warning) {
					t.Errorf("no warning %q in:\n%s", v.warning, got.said)
				}
				checkFiles(t, filepath.Join(dir, "out"), v.says, v.warning)
			}
		})
	}
}

func TestGateUsage(t *testing.T) {
	dir := workspace(t)
	mine := filepath.Join(dir, "mine")
	if err := os.Mkdir(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(mine, "base.txt"), "kept")
	for _, c := range []struct {
		name, says string
		args       []string
	}{
		{"one side", "takes two sides", []string{"base.txt"}},
		{"unknown option", "unknown option", []string{"-x"}},
		{"build alone", "-b needs -s", []string{"-b", "make", "HEAD"}},
		{"a folder of someone else", "something else in that folder", []string{"-o", "mine", "base.txt", "again.txt"}},
		{"no such file", "no-such.txt", []string{"base.txt", "no-such.txt"}},
		{"no such floor", "--floor", []string{"-f", "x", "base.txt", "again.txt"}},
		{"no such program", "not found", []string{"-t", "1ms", "no-such-program", "true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := shell(t, dir, nil, append([]string{gate(t)}, c.args...)...); got.code != 2 || !strings.Contains(got.said, c.says) {
				t.Errorf("exit status %d, want 2 and %q:\n%s", got.code, c.says, got.said)
			}
		})
	}
	if text := read(t, filepath.Join(mine, "base.txt")); text != "kept" {
		t.Errorf("a file of someone else holds %q", text)
	}
	// The report's own samples are never its input: they would be removed.
	if got := shell(t, dir, nil, gate(t), "-o", "out", "base.txt", "again.txt"); got.code != 0 {
		t.Fatal(got.said)
	}
	if got := shell(t, dir, nil, gate(t), "-o", "out", "out/base.txt", "again.txt"); got.code != 2 || !strings.Contains(got.said, "is in the folder of the report") {
		t.Errorf("exit status %d:\n%s", got.code, got.said)
	}
}
