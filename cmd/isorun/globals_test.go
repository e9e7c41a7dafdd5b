package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What is wrong is in the log, with the status that engines know; a flag that
// cannot be honoured is not passed over.
func TestGlobalFlags(t *testing.T) {
	bin, log := binary(t), t.TempDir()+"/log"
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"--log", log, "frob"}, 1, `unknown command "frob"`},
		{[]string{"--log", log, "--frob", "list"}, 1, "unknown flag --frob"},
		{[]string{"--log", log, "state"}, 1, "arguments given: 0"},
		{[]string{"--log", log, "run", "-b", "/none", "x"}, 125, "/none"},
		{[]string{"--log", log, "run"}, 125, "one container ID is needed"},
	} {
		_ = os.Remove(log) // the first time there is none
		cmd := exec.Command(bin, c.args...)
		var exit *exec.ExitError
		out, err := cmd.CombinedOutput()
		if !errors.As(err, &exit) || exit.ExitCode() != c.code || !strings.Contains(string(out), c.text) {
			t.Errorf("%v: %v, %q; want status %d and %q", c.args[2:], err, out, c.code, c.text)
		}
		if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), strings.ReplaceAll(c.text, `"`, `\"`)) {
			t.Errorf("%v: the log says %q, %v; want %q", c.args[2:], text, err, c.text)
		}
	}
	var exit *exec.ExitError
	if err := exec.Command(bin).Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("no command: %v, want status 1", err)
	}
	if err := exec.Command(bin, "--log-format", "none", "run", "x").Run(); err == nil {
		t.Error("a log format that there is not was taken")
	}
}
