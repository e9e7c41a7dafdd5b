package startup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// fakeStart is what the scripts below have in common: a runtime that starts the
// payload of the bundle as it is. $dir is theirs alone.
const fakeStart = `
number() { # of the call, from 1
	echo >>"$dir/calls"
	wc -l <"$dir/calls"
}
start() {
	while [ "$1" != -b ]; do shift; done
	root=$(sed -n 's/.*"path": "\(.*root\)".*/\1/p' "$2/config.json")
	if grep -q '"look"' "$2/config.json"; then set -- look; else set --; fi
	"$root/payload" "$@"
}
`

// fake is a runtime that is a script, and the directory that the script has.
func fake(t *testing.T, script string) (c Config, dir string) {
	t.Helper()
	dir = t.TempDir()
	path := filepath.Join(dir, "fake")
	text := "#!/bin/sh\ndir='" + dir + "'\n" + fakeStart + script
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return Config{Runtimes: []Choice{{Name: "fake", Path: path}}, within: 400 * time.Millisecond}, dir
}

// asleep are the processes that a script wrote the numbers of and that live.
func asleep(t *testing.T, dir string) (pids []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "pids"))
	if err != nil {
		t.Fatalf("the script started no sleeper: %v", err)
	}
	for _, pid := range strings.Fields(string(text)) {
		if comm, err := os.ReadFile("/proc/" + pid + "/comm"); err == nil && strings.TrimSpace(string(comm)) == "sleep" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// sleepers are two in sessions of their own, one of them a grandchild, and one
// that keeps the script from ending.
const sleepers = `
setsid sh -c 'echo $$ >>"'$dir'/pids"; exec sleep 300' &
(setsid sh -c 'setsid sh -c "echo \$\$ >>'$dir'/pids; exec sleep 300" & wait' &)
while [ "$(wc -l 2>/dev/null <"$dir/pids")" != 2 ]; do sleep 0.01; done
echo $$ >>"$dir/pids"
exec sleep 300
`

// A runtime that refuses or hangs is a case that was not measured, with what it
// said; of one that hangs nothing is left.
func TestRefusals(t *testing.T) {
	const version = "case \" $* \" in *' --version '*) echo fake 1; exit;; *' delete '*) exit;; esac\n"
	for name, c := range map[string]struct {
		script string
		words  []string
		sleeps bool
	}{
		"exits 3":                {version + "echo first; echo 'it cannot be' >&2; exit 3", []string{"exit status 3", "it cannot be"}, false},
		"cannot be removed":      {"case \" $* \" in *' --version '*) echo fake 1; exit;; *' delete '*) echo 'it will not go' >&2; exit 5;; esac\nexit 3", []string{"exit status 3", "exit status 5: it will not go", "delete --force isoperf-"}, false},
		"no stamp":               {version + "echo hello", []string{"fake", "hello"}, false},
		"nothing written":        {version, []string{"fake"}, false},
		"killed":                 {version + "echo 'a last word' >&2; kill -9 $$", []string{"killed", "a last word"}, false},
		"no version":             {"exit 0", []string{"prints nothing for --version"}, false},
		"version refused":        {"echo 'unknown flag' >&2; exit 64", []string{"exit status 64", "unknown flag"}, false},
		"hangs at the version":   {"echo hm; " + sleepers, []string{"version", "within 400ms", "hm"}, true},
		"hangs in the start":     {version + "echo 'wait for it' >&2; " + sleepers, []string{"in time", "wait for it"}, true},
		"leaves a process":       {version + "start \"$@\"; setsid sh -c 'echo $$ >>\"'$dir'/pids\"; exec sleep 300' & while [ ! -s $dir/pids ]; do sleep 0.01; done", []string{"sleep", "running"}, true},
		"hangs when it is heavy": {version + "if [ $(number) = 2 ]; then " + sleepers + "fi; start \"$@\"", []string{"weigh"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			config, dir := fake(t, c.script)
			cases := bench(t, config).Cases(few)
			s, err := cases[0].Open()
			if err == nil {
				s.Close()
				t.Fatal("it is measured")
			}
			var not harness.NotMeasured
			if !errors.As(err, &not) {
				t.Fatalf("%v is no reason of a case that was not measured", err)
			}
			for _, word := range c.words {
				if !strings.Contains(not.Why, word) {
					t.Errorf("%q is not in the reason: %s", word, not.Why)
				}
			}
			if c.sleeps {
				if left := asleep(t, dir); len(left) > 0 {
					t.Errorf("the processes %v are still there", left)
				}
			}
		})
	}
}

// A start that hangs among others is a failure; they are measured.
func TestHangsOnce(t *testing.T) {
	const third = 2 + 3 // the first two look and weigh
	config, dir := fake(t, `case " $* " in *' --version '*) echo fake 1; exit;; *' delete '*) echo >>"$dir/deleted"; exit;; esac
if [ $(number) = 5 ]; then `+sleepers+`fi
start "$@"
`)
	s, err := bench(t, config).Cases(few)[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var failed []int
	n := 2
	s.Sample(5, func(values []sample.Value, err error) {
		n++
		switch {
		case err == nil && (len(values) == 0 || values[0].Unit != "ready-ns" || values[0].Value <= 0):
			t.Errorf("start %d: %v", n, values)
		case err != nil:
			failed = append(failed, n)
			if !strings.Contains(err.Error(), "in time") {
				t.Errorf("start %d: %v", n, err)
			}
		}
	})
	if n != 7 || len(failed) != 1 || failed[0] != third {
		t.Errorf("of the starts 3 to %d these failed: %v, want %d", n, failed, third)
	}
	if left := asleep(t, dir); len(left) > 0 {
		t.Errorf("the processes %v are still there", left)
	}
	if _, err := os.Stat(filepath.Join(dir, "deleted")); err != nil {
		t.Errorf("its container was not deleted: %v", err)
	}
}

// A start that is interrupted is no result; that its container could not be
// removed in time is said at the end, and what tried to is gone.
func TestInterrupted(t *testing.T) {
	config, dir := fake(t, `case " $* " in *' --version '*) echo fake 1; exit;; *' delete '*) echo $$ >>"$dir/pids"; exec sleep 300;; esac
if [ $(number) = 3 ]; then `+sleepers+`fi
start "$@"
`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config.Context, config.within = ctx, 0
	b := New(config)
	closed := false
	defer func() {
		if !closed {
			b.Close()
		}
	}()
	s, err := b.Cases(few)[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for text := []byte(nil); bytes.Count(text, []byte("\n")) < 3 && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			text, _ = os.ReadFile(filepath.Join(dir, "pids"))
		}
		cancel()
	}()
	s.Sample(1, func(values []sample.Value, err error) {
		t.Errorf("an interrupted start is a result: %v, %v", values, err)
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	closed = true
	err = b.Close()
	for _, word := range []string{"interrupted", "killed", "delete --force isoperf-"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in the error: %v", word, err)
		}
	}
	if left := asleep(t, dir); len(left) > 0 {
		t.Errorf("the processes %v are still there", left)
	}
}

// A runtime that is not there is a case that was not measured.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, p := range peers() {
		if p.locate != nil {
			continue
		}
		b := New(Config{Runtimes: []Choice{{Name: p.name}}})
		_, err := b.Cases(few)[0].Open()
		if not := (harness.NotMeasured{}); !errors.As(err, &not) || !strings.Contains(not.Why, "is not installed") {
			t.Errorf("%s: %v", p.name, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
