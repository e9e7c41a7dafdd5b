package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"isoperf/runtime/trace"
)

// --timeline is a trace that is read back, --profile says first how long the
// start took and with what, and the parts of the table add up.
func TestRunTimeline(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		root := s.small(t)
		for _, flags := range [][]string{nil, {"-r", root}, {"-r", root, "--init"}, {"-r", root, "--throwaway", "--net", "slirp4netns"}, {"-r", root, "-t"}} {
			name := s.dir + "/trace.json"
			s.write(t, "trace.json", strings.Repeat("what was there before\n", 100_000), 0o644)
			out := s.matches(t, `^(?s)The container started in [0-9.]+ [mu]?s; the longest part, [a-z /&]+, took \d+ %\.\n.*\nthe whole +[0-9.]+ [mu]?s +100 %\npeak memory of the runtime: [0-9.]+ MiB\n$`,
				append(append([]string{"run", "--profile", "--timeline", name}, flags...), "true")...)
			for _, phase := range []string{"plan and load", "clone and stub", "credentials & capabilities"} {
				if !strings.Contains(out, "\n"+phase+" ") {
					t.Errorf("%q: there is no %s in\n%s", flags, phase, out)
				}
			}
			text, err := os.ReadFile(name)
			if err != nil || !json.Valid(text) {
				t.Fatalf("%q: %v, or no JSON", flags, err)
			}
			events, meta, err := trace.Read(strings.NewReader(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			lanes := map[string]int{}
			for _, e := range events {
				lanes[e.Lane]++
			}
			if lanes[trace.Launcher] < 4 || lanes[trace.Container] < 40 || meta["command"] != "true" || !regexp.MustCompile(`^iso-[0-9a-f]{8}$`).MatchString(meta["container"]) {
				t.Errorf("%q: the trace has %v of %v", flags, lanes, meta)
			}
			for _, p := range trace.Phases(events) {
				if p.Name == "other" && p.Ops > 0 {
					t.Errorf("%q: %d events belong to no phase", flags, p.Ops)
				}
			}
		}
	})
}

// A trace is kept of a start that fails, and no file is made for what never
// started.
func TestRunTimelineFailed(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		s.want(t, 127, "execute", "run", "--timeline", "failed.json", "no-such")
		text, err := os.ReadFile("failed.json")
		if err != nil || !json.Valid(text) {
			t.Errorf("the trace of a start that failed: %v", err)
		}
		s.want(t, 125, "", "run", "--timeline", "never.json", "-n", "slirp4netns", "--publish", "1:1", "--publish", "1:1", "true")
		if _, err := os.Stat("never.json"); err == nil {
			t.Error("there is a file of what never started")
		}
	})
}

// --plan prints what would be done, the same each time but for the name, and
// does nothing; --explain says a sentence on each.
func TestRunPlan(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		root := s.small(t)
		id := regexp.MustCompile(`iso-[0-9a-f]{8}`)
		var plans []string
		s.leavesNothing(t, func() {
			for range 2 {
				plans = append(plans, id.ReplaceAllString(s.matches(t, "", "run", "-r", root, "--throwaway", "-t", "-n", "slirp4netns", "--plan", "--", "touch", "/made"), "ID"))
			}
		})
		if plans[0] != plans[1] {
			t.Errorf("the plan is\n%s\nand then\n%s", plans[0], plans[1])
		}
		last := 0
		for _, step := range []string{
			"launcher: connect the network with slirp4netns", "clone3({CLONE_VM|", "enter stub", "die with parent", "lo up", "mounts private", "mount overlay",
			"mount proc /proc", "mount tmpfs /dev", "pivot_root", "drop old root", "sethostname", "network connected", "keyring", "drop CAP_SYS_ADMIN", "capset",
			"no new privileges", "setsid", "controlling terminal", "confirm", "seccomp", "execve(\"/usr/local/sbin/touch\"",
		} {
			at := strings.Index(plans[0][last:], step)
			if at < 0 {
				t.Errorf("%q is not there, or too early", step)
				continue
			}
			last += at
		}
		text := s.matches(t, "", "run", "-r", root, "--explain", "--", "touch", "/made")
		for _, want := range []string{"pivot_root(2)", "CLONE_NEWPID: ", "seccomp(2)"} {
			if !strings.Contains(text, want) {
				t.Errorf("--explain does not say %q", want)
			}
		}
		for line := range strings.Lines(text) {
			// Calls are as long as they are, sentences not.
			if strings.HasPrefix(line, "      ") && !strings.Contains(line, "(") && len(line) > 81 {
				t.Errorf("more than 80 columns: %q", line)
			}
		}
		if _, err := os.Stat(root + "/made"); err == nil {
			t.Error("the command was run")
		}
	})
}
