package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/trace"
)

// TestTraceStatus: the status is the command's, 128 and its signal, or
// isoperf's own.
func TestTraceStatus(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		lost := s.write(t, "lost", "#!/no/such/interpreter\n", 0o755)
		text := s.write(t, "text", "not executable\n", 0o644)
		for _, c := range []struct {
			args []string
			code int
			want string
		}{
			{[]string{"true"}, 0, "true took "},
			{[]string{"--", "sh", "-c", "exit 7"}, 7, "sh took "},
			{[]string{"sh", "-c", "kill -KILL $$"}, 137, "sh took "},
			{[]string{"no-such"}, 127, `execute "no-such": no such file or directory; it is not in PATH (`},
			{[]string{"/no/such"}, 127, `execute "/no/such": no such file or directory; there is no such file`},
			{[]string{lost}, 127, "the interpreter or loader that it needs is missing"},
			{[]string{text}, 126, "it is not an executable file (chmod +x)"},
			{nil, 125, "no command; say what to profile\nTry 'isoperf trace --help'."},
			{[]string{""}, 125, "the command is empty"},
			{[]string{"--no-such-flag", "true"}, 125, "unknown flag: --no-such-flag"},
			{[]string{"--picture", "a.gif", "true"}, 125, "end it in .svg or .png"},
			{[]string{"--compare", "-1", "true"}, 125, "give a number from 0 to 1000"},
			{[]string{"--time", "-1s", "true"}, 125, "it is negative"},
			{[]string{"--timeline", "/no/such/file", "true"}, 125, "--timeline: open /no/such/file"},
		} {
			s.want(t, c.code, c.want, append([]string{"trace"}, c.args...)...)
		}
	})
}

// TestTraceReport: what a tree did is in the report, the timeline and the
// picture; standard output is the command's.
func TestTraceReport(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		report, timeline, picture := filepath.Join(s.dir, "report"), filepath.Join(s.dir, "t.json"), filepath.Join(s.dir, "p.svg")
		const script = `mount -t tmpfs tmpfs /mnt; echo inside`
		out := s.want(t, 0, "", "trace", "-o", report, "--timeline", timeline, "--picture", picture, "--compare", "1", "--", "unshare", "-r", "-m", "sh", "-c", script)
		if out != "inside\n" {
			t.Errorf("the output is %q, want the command's alone", out)
		}
		text := read(t, report)
		for _, want := range []string{
			`^unshare took [0-9.]+ [mu]?s; the longest part, .*, took [0-9.]+ %\.\n`, `\nnamed +[0-9.]+ % of it`, `\nthis trace +[0-9]+ stops x [0-9.]+ us = about `, `\ncompared +traced .*medians of 1 pairs`,
			`\nnamespaces +[0-9.]+ `, `\nmounts +[0-9.]+ `, `\nid maps +[0-9.]+ `, `\nthe whole +[0-9.]+ .* 100 %`, `\nunshare > sh\[[0-9]+\]`, `\nThe longest calls:\n`,
		} {
			if !regexp.MustCompile(want).MatchString(text) {
				t.Errorf("the report does not fit %q:\n%s", want, text)
			}
		}
		events, meta, err := trace.Read(strings.NewReader(read(t, timeline)))
		if err != nil || meta["status"] != "exit status 0" || !json.Valid([]byte(read(t, timeline))) {
			t.Errorf("%v, %v", meta, err)
		}
		mounted := false
		for _, e := range events {
			mounted = mounted || e.Name == "mount" && strings.Contains(e.Text, `"/mnt"`)
		}
		if !mounted {
			t.Errorf("the mount is not among the events: %v", events)
		}
		if svg := read(t, picture); !strings.Contains(svg, "<svg") || !strings.Contains(svg, "unshare &gt; sh[") {
			t.Errorf("the picture has no lane of sh")
		}
	})
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestTraceEnds: --time and Ctrl-C end the tree, all of it, and print what was
// seen.
func TestTraceEnds(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		const script = `trap "" TERM INT; echo up; setsid sleep 4321 & sleep 4321; sleep 4321`
		s.leavesNothing(t, func() {
			s.want(t, 137, "Its tree was ended, since the time of 200ms was up", "trace", "--time", "200ms", "sh", "-c", script)
		})
		s.leavesNothing(t, func() {
			cmd := exec.Command(s.bin, "trace", "sh", "-c", script)
			var errs bytes.Buffer
			cmd.Stderr = &errs
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			s.note(cmd)
			if _, err := out.Read(make([]byte, 8)); err != nil { // it runs
				t.Fatal(err)
			}
			kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
			defer kill.Stop()
			if err := cmd.Process.Signal(unix.SIGINT); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its status is checked
			if cmd.ProcessState.ExitCode() != 137 || !strings.Contains(errs.String(), "Its tree was ended, since it was interrupted") {
				t.Errorf("it ended with %v:\n%s", cmd.ProcessState, errs.String())
			}
		})
	})
}

// TestTraceDisarmed: an ordinary user is told why newuidmap fails.
func TestTraceDisarmed(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		needs(t, "su")
		out, _ := s.run(t, "trace", "su", "--version")
		if told := strings.Contains(out, "ran without that privilege because it is traced"); told != (s.user != "root") {
			t.Errorf("as %s:\n%s", s.user, out)
		}
	})
}

// TestTraceRunc: nearly all of runc's time has a name. One try of three counts,
// since the machine may be busy.
func TestTraceRunc(t *testing.T) {
	rootOnly(t, func(t *testing.T, s *stage) {
		needs(t, "runc")
		bundle := filepath.Dir(s.small(t)) + "/bundle"
		if err := os.Mkdir(bundle, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(s.dir+"/root", bundle+"/rootfs"); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("runc", "spec", "--bundle", bundle).CombinedOutput(); err != nil {
			t.Fatalf("runc spec: %v\n%s", err, out)
		}
		config := strings.Replace(strings.Replace(read(t, bundle+"/config.json"), `"terminal": true`, `"terminal": false`, 1), `"sh"`, `"true"`, 1)
		s.write(t, "bundle/config.json", config, 0o644)
		named := regexp.MustCompile(`\nnamed +([0-9.]+) %`)
		best, last := 0.0, ""
		for range 3 {
			out, code := s.run(t, "trace", "runc", "run", "--bundle", bundle, "traced-"+strconv.Itoa(os.Getpid()))
			if code != 0 {
				skip(t, "runc cannot run a container here: "+out)
			}
			share, err := strconv.ParseFloat(named.FindStringSubmatch(out)[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			best, last = max(best, share), out
		}
		if best < 95 || !strings.Contains(last, "\npivot ") && !strings.Contains(last, "smaller parts") || !strings.Contains(last, "\nmounts ") {
			t.Errorf("at best %.1f %% is named, want 95 or more:\n%s", best, last)
		}
	})
}
