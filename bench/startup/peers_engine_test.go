package startup

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"isoperf/bench/harness"
)

// TestDockerContext: the daemon is the one that the user's docker speaks to, by
// its variables or its configuration, and one elsewhere is not measured.
func TestDockerContext(t *testing.T) {
	for _, name := range append([]string{"DOCKER_CONFIG"}, dockerVariables...) {
		t.Setenv(name, "")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	if env := dockerEnv(); len(env) > 0 {
		t.Errorf("without a configuration docker gets %q", env)
	}
	config := filepath.Join(home, ".docker")
	writeJSON(t, filepath.Join(config, "config.json"), map[string]string{"currentContext": "far"})
	if env := dockerEnv(); !slices.Equal(env, []string{"DOCKER_CONFIG=" + config}) {
		t.Errorf("with a configuration docker gets %q", env)
	}
	t.Setenv("DOCKER_CONTEXT", "far")
	if env := dockerEnv(); !slices.Equal(env, []string{"DOCKER_CONTEXT=far", "DOCKER_CONFIG=" + config}) {
		t.Errorf("with a variable docker gets %q", env)
	}
	p := peerNamed("docker")
	fake := filepath.Join(home, "docker")
	for _, c := range []struct{ prints, want string }{
		{"echo unix:///run/user/1000/docker.sock", ""},
		{"echo a warning >&2; echo tcp://192.0.2.1:2376", `at "tcp://192.0.2.1:2376"`},
		{"echo 'context \"far\" not found' >&2; exit 1", `context "far" not found`},
	} {
		if err := os.WriteFile(fake, []byte("#!/bin/sh\n"+c.prints+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		refusedWith(t, onThisMachine(p, dockerEnv(), fake), c.want)
	}
	real, err := exec.LookPath("docker")
	if err != nil {
		t.Log("docker is not installed: its own answer is not looked at")
		return
	}
	refusedWith(t, onThisMachine(p, dockerEnv(), real), `"far"`)
	t.Setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
	refusedWith(t, onThisMachine(p, dockerEnv(), real), `at "tcp://192.0.2.1:2376"`)
	t.Setenv("DOCKER_HOST", "unix:///run/docker.sock")
	refusedWith(t, onThisMachine(p, dockerEnv(), real), "")
}

func refusedWith(t *testing.T, err error, want string) {
	t.Helper()
	var not harness.NotMeasured
	if want == "" && err != nil || want != "" && (!errors.As(err, &not) || !strings.Contains(not.Why, want)) {
		t.Errorf("%v, want %q", err, want)
	}
}

func writeJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
