package environment

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isoperf/bench/sample"
)

func TestConfigHasExactlyTheKeysThatMakeResultsIncomparable(t *testing.T) {
	e := Environment{
		GOOS: "linux", GOARCH: "arm64", Kernel: " 6.18.44\n", CPU: "Neoverse-N1", Cgroup: "v2",
		Virt: "kvm+docker", Privilege: "userns", Host: "two  words",
	}
	want := []sample.Pair{
		{Key: "goos", Value: "linux"}, {Key: "goarch", Value: "arm64"}, {Key: "kernel", Value: "6.18.44"},
		{Key: "cpu", Value: "Neoverse-N1"}, {Key: "cgroup", Value: "v2"}, {Key: "virt", Value: "kvm+docker"},
		{Key: "privilege", Value: "userns"}, {Key: "host", Value: "two words"},
	}
	if diff := cmp.Diff(want, e.Config()); diff != "" {
		t.Error(diff)
	}
	for _, p := range (Environment{}).Config() {
		if p.Value != "unknown" {
			t.Errorf("%s of nothing is %q", p.Key, p.Value)
		}
	}
}

// A machine of which nothing is known has no empty text and no null list.
func TestBlankSaysUnknown(t *testing.T) {
	text, err := json.Marshal(blank())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "null") {
		t.Errorf("a list is null: %s", text)
	}
	v := reflect.ValueOf(blank())
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Field(i).Kind() == reflect.String && v.Field(i).String() == "" && name != "Start" {
			t.Errorf("%s is empty", name)
		}
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	if len(keys) != v.NumField()-1 { // steal_ratio is absent until it is measured
		t.Errorf("%d keys of %d fields", len(keys), v.NumField())
	}
}

func TestBuild(t *testing.T) {
	info := func(version string, settings ...string) *debug.BuildInfo {
		b := &debug.BuildInfo{Main: debug.Module{Version: version}}
		for i := 0; i < len(settings); i += 2 {
			b.Settings = append(b.Settings, debug.BuildSetting{Key: settings[i], Value: settings[i+1]})
		}
		return b
	}
	tests := []struct {
		info            *debug.BuildInfo
		version, commit string
		want            string
	}{
		{info(""), "", "", "unknown unknown"},
		{info("(devel)"), "", "", "unknown unknown"},
		{info("v1.2.0", "vcs.revision", "abc", "vcs.modified", "false"), "", "", "v1.2.0 abc"},
		{info("v1.2.0", "vcs.revision", "abc", "vcs.modified", "true"), "", "", "v1.2.0 abc-dirty"},
		{info("v1.2.0", "vcs.revision", "abc"), "v2", "def", "v2 def"},
	}
	for _, test := range tests {
		version, commit := buildOf(test.info, test.version, test.commit)
		if got := version + " " + commit; got != test.want {
			t.Errorf("build %+v: %q, want %q", test.info, got, test.want)
		}
	}
	var e Environment
	e.SetBuild("v9", "cafe")
	if e.Version != "v9" || e.Commit != "cafe" {
		t.Errorf("build is %q %q", e.Version, e.Commit)
	}
}

func TestSteal(t *testing.T) {
	base := CPUTimes{User: 100, Idle: 800, Steal: 100}
	tests := []struct {
		name string
		a, b CPUTimes
		want float64
	}{
		{"nothing passed", base, base, 0},
		{"no steal", base, CPUTimes{User: 200, Idle: 800, Steal: 100}, 0},
		{"a quarter", base, CPUTimes{User: 130, Idle: 800, IOWait: 30, System: 15, Steal: 125}, 0.25},
		{"all of it", base, CPUTimes{User: 100, Idle: 800, Steal: 110}, 1},
		{"idle ran backwards", base, CPUTimes{User: 100, Idle: 795, Steal: 110}, 1},
		{"backwards", CPUTimes{User: 100, Steal: 10}, CPUTimes{User: 120, Steal: 5}, 0},
	}
	for _, test := range tests {
		if got := Steal(test.a, test.b); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestReadCPUTimes(t *testing.T) {
	read := func(text string) (CPUTimes, error) {
		root := plant(t, map[string]string{"/proc/stat": text})
		return ReadCPUTimes(root)
	}
	got, err := read("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
	if want := (CPUTimes{1, 2, 3, 4, 5, 6, 7, 8}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, text := range []string{"", "cpu 1 2 3 4", "intr 1 2 3 4 5 6 7 8 9", "cpu a 2 3 4 5 6 7 8 9"} {
		if _, err := read(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	if _, err := ReadCPUTimes(t.TempDir()); err == nil {
		t.Error("a root without /proc/stat was accepted")
	}
}

// plant makes a root with these files.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}
