package ci

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// decode reads a YAML file into a type that has every key of it.
func decode(t *testing.T, path string, into any) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// action is a GitHub action of steps, as its documentation has it.
type action struct {
	Name, Description string
	Inputs            map[string]struct{ Description, Default string }
	Outputs           map[string]struct{ Description, Value string }
	Runs              struct {
		Using string
		Steps []struct {
			ID, Shell, Run string
			Env            map[string]string
		}
	}
}

var expression = regexp.MustCompile(`\$\{\{ *([^} ]*) *\}\}`)

// github runs the action as the runner does, and gives back its summary and its
// outputs.
func github(t *testing.T, dir string, with map[string]string) (got outcome, summary, outputs string) {
	t.Helper()
	var a action
	decode(t, "action.yml", &a)
	if a.Runs.Using != "composite" || len(a.Runs.Steps) != 1 || a.Runs.Steps[0].Shell != "bash" {
		t.Fatalf("this test runs an action of one step in bash, not %+v", a.Runs)
	}
	step := a.Runs.Steps[0]
	if expression.MatchString(step.Run) {
		t.Error("an input stands in the text of the script, where it is code")
	}
	for name := range with {
		if _, ok := a.Inputs[name]; !ok {
			t.Fatalf("there is no input %q", name)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	env := []string{"GITHUB_ACTIONS=true", "CI=true", "GITHUB_ACTION_PATH=" + here,
		"GITHUB_STEP_SUMMARY=" + filepath.Join(files, "summary"), "GITHUB_OUTPUT=" + filepath.Join(files, "output")}
	used := map[string]bool{}
	for key, text := range step.Env {
		env = append(env, key+"="+expression.ReplaceAllStringFunc(text, func(e string) string {
			name := strings.TrimPrefix(expression.FindStringSubmatch(e)[1], "inputs.")
			in, ok := a.Inputs[name]
			if !ok {
				t.Errorf("%s: %s is no input", key, e)
			}
			used[name] = true
			if value, ok := with[name]; ok {
				return value
			}
			return in.Default
		}))
	}
	for name, in := range a.Inputs {
		if !used[name] || in.Description == "" {
			t.Errorf("the input %q is not used, or not described", name)
		}
	}
	write(t, filepath.Join(files, "summary"), "before\n")
	write(t, filepath.Join(files, "output"), "")
	write(t, filepath.Join(files, "step.sh"), step.Run)
	got = shell(t, dir, env, "bash", "--noprofile", "--norc", "-eo", "pipefail", filepath.Join(files, "step.sh"))
	return got, read(t, filepath.Join(files, "summary")), read(t, filepath.Join(files, "output"))
}

func TestGitHub(t *testing.T) {
	for _, v := range verdicts {
		t.Run(v.name, func(t *testing.T) {
			dir := workspace(t)
			got, summary, outputs := github(t, dir, map[string]string{"base": "base.txt", "head": v.head, "time": "3m"})
			if want := map[bool]int{true: 1}[v.slower]; got.code != want {
				t.Fatalf("exit status %d, want %d:\n%s", got.code, want, got.said)
			}
			checkFiles(t, filepath.Join(dir, "isoperf-ci"), v.says, v.warning)
			if !strings.HasPrefix(summary, "before\n") || !strings.Contains(summary, "\n"+v.says) {
				t.Errorf("the job's summary is not what was there and the report:\n%s", summary)
			}
			if outputs != "verdict="+v.name+"\n" {
				t.Errorf("outputs %q", outputs)
			}
			if has := strings.Contains(got.said, "\n::warning title=isoperf::"+v.warning); has != (v.warning != "") {
				t.Errorf("an annotation: %v, want %q:\n%s", has, v.warning, got.said)
			}
			if has := strings.Contains(summary, "> [!WARNING]\n> "+v.warning); has != (v.warning != "") {
				t.Errorf("a warning in the summary: %v, want %q", has, v.warning)
			}
		})
	}
}

// Every input reaches isoperf, and none is code.
func TestGitHubInputs(t *testing.T) {
	dir := repository(t, quick, quick+"#\n")
	got, summary, _ := github(t, dir, map[string]string{
		"base": "HEAD^", "head": "HEAD", "build": "cp prog.sh prog", "side": `{}/prog "$(touch evil)" ; touch worse`,
		"time": "1s", "floor": "30%", "out": "my report", "isoperf": program.isoperf,
	})
	if got.code != 0 || !strings.Contains(summary, "Command/name=prog") || !strings.Contains(got.said, "1s at most") {
		t.Errorf("exit status %d:\n%s\n%s", got.code, got.said, summary)
	}
	for _, name := range []string{"evil", "worse"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("an input was run: it made %q", name)
		}
	}
	if text := read(t, filepath.Join(dir, "my report", "verdict.json")); !strings.Contains(text, `"floor_ratio": 0.3`) {
		t.Error("the floor is not 30 %")
	}
	got, summary, _ = github(t, dir, map[string]string{"base": "HEAD^"})
	if got.code != 2 || !strings.Contains(summary, "") {
		t.Errorf("without a build: exit status %d, want 2:\n%s", got.code, got.said)
	}
}

// gitlab is the template, by the keywords of .gitlab-ci.yml.
type gitlab struct {
	Isoperf struct {
		Variables map[string]string
		Script    []string
		Allow     struct {
			Codes []int `yaml:"exit_codes"`
		} `yaml:"allow_failure"`
		Artifacts struct {
			When    string
			Paths   []string
			Reports struct{ Junit string }
		}
	} `yaml:".isoperf"`
}

func TestGitLab(t *testing.T) {
	var g gitlab
	decode(t, "gitlab.yml", &g)
	job := g.Isoperf
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		t.Run(v.name, func(t *testing.T) {
			dir := workspace(t)
			with := map[string]string{"ISOPERF_BASE": "base.txt", "ISOPERF_HEAD": v.head, "ISOPERF_SOURCE": root}
			env := []string{"CI=true", "GITLAB_CI=true", "CI_COMMIT_BEFORE_SHA=" + strings.Repeat("0", 40)}
			for key, value := range job.Variables {
				if given, ok := with[key]; ok {
					value = given
				}
				env = append(env, key+"="+value)
			}
			got := shell(t, dir, env, "sh", "-ec", strings.Join(job.Script, "\n"))
			switch {
			case v.slower && got.code != 1, !v.slower && v.warning == "" && got.code != 0:
				t.Errorf("exit status %d:\n%s", got.code, got.said)
			case v.warning != "" && !slices.Contains(job.Allow.Codes, got.code):
				t.Errorf("exit status %d is none of those that pass with a warning, %v:\n%s", got.code, job.Allow.Codes, got.said)
			}
			if slices.Contains(job.Allow.Codes, 0) || slices.Contains(job.Allow.Codes, 1) || slices.Contains(job.Allow.Codes, 2) {
				t.Errorf("the codes %v pass", job.Allow.Codes)
			}
			checkFiles(t, filepath.Join(dir, job.Artifacts.Paths[0]), v.says, v.warning)
			read(t, filepath.Join(dir, job.Artifacts.Reports.Junit))
			if job.Artifacts.When != "always" {
				t.Errorf("artifacts are kept %q", job.Artifacts.When)
			}
		})
	}
}

// jenkins takes the stage apart: the shell's lines, and the files that it names.
func jenkins(t *testing.T) (script string, files []string) {
	t.Helper()
	text := read(t, "Jenkinsfile")
	parts := strings.Split(text, "\x27\x27\x27")
	if len(parts) != 3 || !strings.HasSuffix(strings.TrimRight(parts[0], " "), "sh") {
		t.Fatal("this test runs a Jenkinsfile with one sh step")
	}
	for _, m := range regexp.MustCompile(`\x27(isoperf-ci/[a-z.]+)\x27`).FindAllStringSubmatch(parts[2], -1) {
		files = append(files, m[1])
	}
	return parts[1], files
}

func TestJenkins(t *testing.T) {
	script, files := jenkins(t)
	if want := []string{"isoperf-ci/warning", "isoperf-ci/warning", "isoperf-ci/junit.xml"}; !slices.Equal(files, want) {
		t.Errorf("the stage reads %q, want %q", files, want)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		t.Run(v.name, func(t *testing.T) {
			dir := workspace(t)
			got := shell(t, dir, []string{"CI=true", "ISOPERF_SOURCE=" + root, "ISOPERF_BASE=base.txt", "ISOPERF_HEAD=" + v.head}, "sh", "-xec", script)
			if want := map[bool]int{true: 1}[v.slower]; got.code != want {
				t.Errorf("exit status %d, want %d:\n%s", got.code, want, got.said)
			}
			checkFiles(t, filepath.Join(dir, "isoperf-ci"), v.says, v.warning)
		})
	}
}
