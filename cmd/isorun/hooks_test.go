package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hooked are containers whose hooks write down what they see.
type hooked struct {
	*lives
	notes string // a directory with a file for each hook that ran, also inside
}

// note is a hook: it writes what it is told and where it is, and does more.
func (h *hooked) note(kind, more string) map[string]any {
	shell, notes := h.dir+"/rootfs/busybox", h.notes
	if kind == "startContainer" {
		shell, notes = "/busybox", "/notes"
	}
	script := fmt.Sprintf(`b=%s; f=%s/%s
		{ $b cat; echo; $b pwd; for n in mnt pid net user; do $b readlink /proc/self/ns/$n; done; $b env; } >$f.part; $b mv $f.part $f; %s`, shell, notes, kind, more)
	return map[string]any{"path": shell, "args": []string{"busybox", "sh", "-c", script}, "env": []string{"NAME=" + kind, "NOTES=" + h.notes}}
}

var kinds = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

func newHooked(t *testing.T, namespaces, script string) *hooked {
	h := &hooked{lives: &lives{bundle: newBundle(t), root: t.TempDir() + "/root"}, notes: t.TempDir()}
	h.write(namespaces, script)
	t.Cleanup(h.nothing)
	return h
}

// group is the control group of this test's containers.
func group() string { return fmt.Sprintf("isoperf-hooked-%d", os.Getpid()) }

// nothing is left of them.
func (h *hooked) nothing() {
	left, _ := filepath.Glob(h.root + "/*")
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		dirs, _ := filepath.Glob(pattern + group())
		left = append(left, dirs...)
	}
	if left = append(left, h.sleepers()...); len(left) > 0 {
		h.t.Errorf("left behind: %v", left)
		_ = exec.Command(h.isorun, "--root", h.root, "delete", "-f", "life").Run() // it is an error already
	}
}

// set changes the configuration.
func (h *hooked) set(change func(config map[string]any)) {
	h.t.Helper()
	name := h.dir + "/config.json"
	text, err := os.ReadFile(name)
	config := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err == nil {
		change(config)
		text, err = json.Marshal(config)
	}
	if err == nil {
		err = os.WriteFile(name, text, 0o644)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// hooks sets the hooks, and binds the directory of notes.
func (h *hooked) hooks(hooks map[string]any) {
	h.t.Helper()
	h.set(func(config map[string]any) {
		config["hooks"] = hooks
		if os.Geteuid() == 0 {
			config["linux"].(map[string]any)["cgroupsPath"] = "/" + group()
		}
		config["annotations"] = map[string]any{"a": "b"}
		config["mounts"] = append(config["mounts"].([]any), map[string]any{"destination": "/notes", "type": "bind", "source": h.notes, "options": []string{"bind"}})
	})
}

// noted is what a hook saw, and its environment; ok is false when it did not run.
func (h *hooked) noted(kind string) (s ociState, lines []string, ok bool) {
	h.t.Helper()
	text, err := os.ReadFile(h.notes + "/" + kind)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil, false
	}
	if err != nil {
		h.t.Fatal(err)
	}
	lines = strings.Split(strings.TrimSpace(string(text)), "\n")
	if err := json.Unmarshal([]byte(lines[0]), &s); err != nil {
		h.t.Fatalf("%s was told %q: %v", kind, lines[0], err)
	}
	return s, lines[1:], true
}

// ran are the kinds that ran.
func (h *hooked) ran() (list []string) {
	for _, kind := range kinds {
		if _, _, ok := h.noted(kind); ok {
			list = append(list, kind)
		}
	}
	return list
}

// forget removes the notes.
func (h *hooked) forget() {
	for _, kind := range kinds {
		_ = os.Remove(h.notes + "/" + kind) // it may not have run
	}
}

// each is all kinds with the same hook.
func (h *hooked) each(more map[string]string) map[string]any {
	all := map[string]any{}
	for _, kind := range kinds {
		all[kind] = []any{h.note(kind, more[kind])}
	}
	return all
}

// What each kind is told, where it runs, and when.
func TestHooks(t *testing.T) {
	h := newHooked(t, `{"type": "mount"}, {"type": "pid"}, {"type": "network"}`, "while :; do /busybox sleep 0.01; done")
	h.hooks(h.each(nil))
	h.create()
	pid := h.state().Pid
	if got, want := h.ran(), kinds[:3]; !slices.Equal(got, want) {
		t.Errorf("after create %v ran, want %v", got, want)
	}
	own := map[string]string{}
	for _, ns := range []string{"mnt", "pid", "net", "user"} {
		own[ns], _ = os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns))
	}
	h.must("start", "life")
	if got, want := h.ran(), kinds[:5]; !slices.Equal(got, want) {
		t.Errorf("after start %v ran, want %v", got, want)
	}
	h.must("kill", "life", "KILL")
	h.stops()
	h.must("delete", "life")
	for _, kind := range kinds {
		s, lines, ok := h.noted(kind)
		if !ok {
			t.Errorf("%s did not run", kind)
			continue
		}
		status := map[string]string{"startContainer": "created", "poststart": "running", "poststop": "stopped"}[kind]
		if status == "" {
			status = "creating"
		}
		inside := strings.HasSuffix(kind, "Container")
		want := pid
		switch {
		case inside:
			want = 1
		case kind == "poststop":
			want = 0
		}
		if s.Status != status || s.ID != "life" || s.Bundle != h.dir || s.OCIVersion != "1.0.2" || s.Pid != want || s.Annotations["a"] != "b" {
			t.Errorf("%s was told %+v, want status %s and pid %d", kind, s, status, want)
		}
		dir := map[string]string{"createContainer": h.dir + "/rootfs", "startContainer": "/"}[kind]
		if dir == "" {
			dir = h.dir
		}
		if lines[0] != dir {
			t.Errorf("%s ran in %q, want %q", kind, lines[0], dir)
		}
		for i, ns := range []string{"mnt", "pid", "net", "user"} {
			if want := own[ns]; inside != (lines[1+i] == want) && !(ns == "user" && os.Geteuid() == 0) {
				t.Errorf("%s ran in %s, the container is in %s", kind, lines[1+i], want)
			}
		}
		env := slices.DeleteFunc(lines[5:], func(s string) bool {
			return strings.HasPrefix(s, "PATH=") || strings.HasPrefix(s, "PWD=") || strings.HasPrefix(s, "OLDPWD=") || strings.HasPrefix(s, "SHLVL=")
		}) // the shell's
		slices.Sort(env)
		if !slices.Equal(env, []string{"NAME=" + kind, "NOTES=" + h.notes}) {
			t.Errorf("%s has the environment %q", kind, env)
		}
	}
}

// Hooks of one kind run in their order.
func TestHookOrder(t *testing.T) {
	h := newHooked(t, `{"type": "mount"}, {"type": "pid"}`, "true")
	all := map[string]any{}
	for _, kind := range kinds {
		shell, notes := h.dir+"/rootfs/busybox", h.notes
		if kind == "startContainer" {
			shell, notes = "/busybox", "/notes"
		}
		for i := range 3 {
			all[kind] = append(asList(all[kind]), map[string]any{"path": shell, "args": []string{"sh", "-c", fmt.Sprintf("echo %s%d >>%s/order", kind, i, notes)}})
		}
	}
	h.hooks(all)
	h.create()
	h.must("start", "life")
	h.stops()
	h.must("delete", "life")
	text, _ := os.ReadFile(h.notes + "/order")
	var want []string
	for _, kind := range kinds {
		for i := range 3 {
			want = append(want, kind+strconv.Itoa(i))
		}
	}
	if got := strings.Fields(string(text)); !slices.Equal(got, want) {
		t.Errorf("they ran in the order %v", got)
	}
}

func asList(v any) []any { list, _ := v.([]any); return list }

// A hook that fails ends the container, and the poststop hooks run; a poststop
// hook that fails is only told of. So it is in the foreground, too.
func TestHookFails(t *testing.T) {
	for i, kind := range kinds {
		for how, more := range map[string]string{"exit status 3": "echo why >&2; exit 3", "signal 9": "kill -9 $$"} {
			t.Run(kind+"/"+how, func(t *testing.T) {
				h := newHooked(t, `{"type": "mount"}, {"type": "pid"}`, "while :; do /busybox sleep 0.01; done")
				h.hooks(h.each(map[string]string{kind: more}))
				want := append(slices.Clone(kinds[:i+1]), "poststop")
				text := fmt.Sprintf("hooks.%s[0]: run %q: ", kind, h.dir+"/rootfs/busybox")
				if kind == "startContainer" {
					text = `hooks.startContainer[0]: run "/busybox": `
				}
				command := "create"
				if i >= 3 {
					h.create()
					command = "start"
				}
				if kind == "poststop" {
					want = want[:len(want)-1]
					h.must("start", "life")
					out, err := exec.Command(h.isorun, "--root", h.root, "delete", "-f", "life").CombinedOutput()
					if err != nil || !strings.Contains(string(out), "warning: "+text) || !strings.Contains(string(out), how) {
						t.Errorf("delete: %v: %s", err, out)
					}
				} else {
					_, err := h.run(command, "life")
					if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), how) {
						t.Errorf("%s: %v, want %q and %q", command, err, text, how)
					}
					if err != nil && strings.Contains(more, "why") && !strings.HasSuffix(kind, "Container") && !strings.Contains(err.Error(), `it printed "why"`) {
						t.Errorf("%s: %v, without what it printed", command, err)
					}
				}
				if got := h.ran(); !slices.Equal(got, want) {
					t.Errorf("%v ran, want %v", got, want)
				}
				h.fails("container does not exist", "state", "life")
				h.nothing()

				h.forget()
				h.write(`{"type": "mount"}, {"type": "pid"}`, "exit 7")
				h.hooks(h.each(map[string]string{kind: more}))
				cmd := exec.Command(h.isorun, "run", "-b", h.dir, "life")
				out, err := cmd.CombinedOutput()
				code := 125
				if kind == "poststop" {
					code = 7
				}
				if cmd.ProcessState.ExitCode() != code || !strings.Contains(string(out), text) {
					t.Errorf("run: %v: %s", err, out)
				}
				if got := h.ran(); !slices.Equal(got, want) {
					t.Errorf("in the foreground %v ran, want %v", got, want)
				}
			})
		}
	}
}

// In the foreground all of them run, once.
func TestHooksForeground(t *testing.T) {
	h := newHooked(t, `{"type": "mount"}, {"type": "pid"}`, "exit 7")
	h.hooks(h.each(nil))
	cmd := exec.Command(h.isorun, "run", "-b", h.dir, "life")
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 7 || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	if got := h.ran(); !slices.Equal(got, kinds) {
		t.Errorf("%v ran", got)
	}
	if s, _, ok := h.noted("poststart"); !ok || s.Status != "running" || s.Pid == 0 {
		t.Errorf("poststart was told %+v", s)
	}
}

// A container that is planned while it gets ready, and goes into its group by itself,
// waits for the hooks of the runtime all the same.
func TestHooksAhead(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root's goes there by itself
	}
	h := newHooked(t, `{"type": "mount"}, {"type": "pid"}`, "[ -e /notes/createRuntime ]")
	h.hooks(map[string]any{"createRuntime": []any{h.note("createRuntime", "")}})
	h.set(func(config map[string]any) {
		linux := config["linux"].(map[string]any)
		delete(linux, "cgroupsPath")
		linux["resources"] = map[string]any{"devices": []any{map[string]any{"allow": false, "access": "rwm"}}}
		config["mounts"] = append(config["mounts"].([]any), map[string]any{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"})
		hook := config["hooks"].(map[string]any)["createRuntime"].([]any)[0].(map[string]any)
		args := hook["args"].([]any)
		args[3] = "$0 sleep 0.3; " + args[3].(string)
		args = append(args, hook["path"])
		hook["args"] = args
	})
	if out, err := exec.Command(h.isorun, "run", "-b", h.dir, "life").CombinedOutput(); err != nil {
		t.Errorf("the command did not wait for the hook: %v: %s", err, out)
	}
}

// One that is not there is said so.
func TestHookMissing(t *testing.T) {
	for _, kind := range kinds[:5] {
		h := newHooked(t, `{"type": "mount"}, {"type": "pid"}`, "while :; do /busybox sleep 0.01; done")
		h.hooks(map[string]any{kind: []any{map[string]any{"path": "/nowhere"}}})
		command := "create"
		if kind == "startContainer" || kind == "poststart" {
			h.create()
			command = "start"
		}
		if _, err := h.run(command, "life"); err == nil || !strings.Contains(err.Error(), "hooks."+kind+"[0]: ") || !strings.Contains(err.Error(), `"/nowhere": `) || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// away is a process that gets away from its session and its parent, and notes its
// number.
const away = `$b setsid $b sh -c '$0 sleep 1000 & echo $! >>'$d/pids'; $0 sleep 1000' $b & $b sleep 1000 & echo $! >>$d/pids; while :; do $b sleep 1000; done`

func (h *hooked) awayHook(kind string, timeout int) map[string]any {
	n := h.note(kind, "")
	notes := h.notes
	if kind == "startContainer" {
		notes = "/notes"
	}
	script := n["args"].([]string)[3]
	n["args"] = []string{"busybox", "sh", "-c", script + " d=" + notes + "; " + away}
	if timeout > 0 {
		n["timeout"] = timeout
	}
	return n
}

// sleepers are the processes that hooks of this test have left.
func (h *hooked) sleepers() (list []string) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range all {
		text, err := os.ReadFile(p + "/cmdline")
		env, _ := os.ReadFile(p + "/environ")
		if err == nil && strings.Contains(string(env), "NOTES="+h.notes+"\x00") && strings.Contains(string(text), "sleep\x001000") {
			list = append(list, p+" "+strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return list
}

// gone waits for them to be gone.
func (h *hooked) gone() {
	h.t.Helper()
	var left []string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if left = h.sleepers(); len(left) == 0 {
			return
		}
	}
	h.t.Errorf("left behind: %v", left)
}

// A timeout ends a hook and all it has started, wherever that is.
func TestHookTimeout(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			h := newHooked(t, `{"type": "mount"}, {"type": "pid"}`, "while :; do /busybox sleep 0.01; done")
			h.hooks(map[string]any{kind: []any{h.awayHook(kind, 1)}, "poststop": asList(map[string]any{"poststop": []any{h.awayHook(kind, 1)}}[kind])})
			command := []string{"create", "life"}
			switch kind {
			case "startContainer", "poststart":
				h.create()
				command[0] = "start"
			case "poststop":
				h.create()
				out, err := exec.Command(h.isorun, "--root", h.root, "delete", "life").CombinedOutput()
				if err != nil || !strings.Contains(string(out), "its timeout, and was killed") {
					t.Errorf("delete: %v: %s", err, out)
				}
				h.gone()
				return
			}
			h.fails("it had not ended after 1 s, its timeout, and was killed", command...)
			h.gone()
			h.fails("container does not exist", "state", "life")
		})
	}
}

// A hook that hangs is ended by who deletes the container, and by the end of who
// runs it; nothing is left.
func TestHookHangs(t *testing.T) {
	for _, kind := range kinds[:5] {
		for _, kill := range []bool{false, true} {
			if kill && kind == "startContainer" {
				continue // it is the container's, which outlives start
			}
			t.Run(fmt.Sprintf("%s/kill=%v", kind, kill), func(t *testing.T) {
				h := newHooked(t, `{"type": "mount"}, {"type": "pid"}`, "while :; do /busybox sleep 0.01; done")
				hook := h.awayHook(kind, 0)
				if kill { // what gets away on purpose is not ended then
					args := hook["args"].([]string)
					args[3] = strings.ReplaceAll(args[3], "$b setsid $b sh", "$b sh")
				}
				h.hooks(map[string]any{kind: []any{hook}})
				args := []string{"--root", h.root, "create", "-b", h.dir, "life"}
				if kind == "startContainer" || kind == "poststart" {
					h.create()
					args = []string{"--root", h.root, "start", "life"}
				}
				cmd := exec.Command(h.isorun, args...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				for end := time.Now().Add(10 * time.Second); len(h.sleepers()) < 3 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				}
				if got := h.state().Status; got != map[string]string{"startContainer": "created", "poststart": "running"}[kind] && got != "creating" {
					t.Errorf("meanwhile it is %s", got)
				}
				if kill {
					if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
					cmd.Wait() // killed
				}
				h.must("delete", "-f", "life")
				if !kill {
					if err := cmd.Wait(); err == nil {
						t.Errorf("%v went well", args)
					}
				}
				h.gone()
				h.fails("container does not exist", "state", "life")
			})
		}
	}
}

// Ctrl-C ends a hook that hangs, in the foreground.
func TestHookInterrupted(t *testing.T) {
	for _, kind := range []string{"prestart", "createContainer", "startContainer", "poststart"} {
		h := newHooked(t, `{"type": "mount"}, {"type": "pid"}`, "while :; do /busybox sleep 0.01; done")
		h.hooks(map[string]any{kind: []any{h.awayHook(kind, 0)}})
		cmd := exec.Command(h.isorun, "run", "-b", h.dir, "life")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); len(h.sleepers()) < 3 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		}
		for range 2 { // a startContainer hook is the container, whose second signal kills
			_ = cmd.Process.Signal(unix.SIGINT) // it may have ended
			time.Sleep(100 * time.Millisecond)
		}
		if err := cmd.Wait(); err == nil {
			t.Errorf("%s: it went well", kind)
		}
		h.gone()
	}
}

// A hook that leaves something running on purpose has succeeded, and it stays.
func TestHookLeavesHelper(t *testing.T) {
	h := newHooked(t, `{"type": "mount"}, {"type": "pid"}`, "true")
	h.hooks(map[string]any{"createRuntime": []any{h.note("createRuntime", `$b setsid $b sleep 1000 >/dev/null 2>&1 & echo $! >`+h.notes+`/pid`)}})
	h.create()
	text, err := os.ReadFile(h.notes + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); len(h.sleepers()) < 1 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	if left := h.sleepers(); len(left) != 1 {
		t.Errorf("%v run on, want one", left)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	_ = unix.Kill(pid, unix.SIGKILL) // it is the test's business from here on
	h.gone()
	h.must("delete", "life")
}

// A filter is in force in startContainer hooks, whose file comes from the
// container.
func TestHookFiltered(t *testing.T) {
	for _, late := range []bool{true, false} {
		if !late && os.Geteuid() != 0 {
			continue // it takes a capability to load it
		}
		h := newHooked(t, `{"type": "mount"}, {"type": "pid"}`, "/busybox grep Seccomp: /proc/self/status >/notes/command")
		h.set(func(config map[string]any) {
			config["process"].(map[string]any)["noNewPrivileges"] = late
			config["linux"].(map[string]any)["seccomp"] = map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []any{map[string]any{"names": []string{"ptrace"}, "action": "SCMP_ACT_ERRNO"}}}
		})
		n := h.note("startContainer", `/busybox grep Seccomp: /proc/self/status >/notes/hook; /busybox grep NoNewPrivs: /proc/self/status >>/notes/hook; /busybox grep CapEff /proc/self/status >>/notes/hook`)
		n["timeout"] = 100
		h.hooks(map[string]any{"startContainer": []any{n}})
		h.create()
		h.must("start", "life")
		h.stops()
		h.must("delete", "life")
		text, err := os.ReadFile(h.notes + "/hook")
		want := fmt.Sprintf("Seccomp:\t2\nNoNewPrivs:\t%d\nCapEff:\t0000000000000000\n", map[bool]int{true: 1}[late])
		if err != nil || string(text) != want {
			t.Errorf("in the hook: %q, %v; want %q", text, err, want)
		}
		if text, err := os.ReadFile(h.notes + "/command"); err != nil || string(text) != "Seccomp:\t2\n" {
			t.Errorf("in the command: %q, %v", text, err)
		}
	}
}

// Without systemd, --systemd-cgroup is refused by what makes groups, and by nothing
// else.
func TestSystemdRefused(t *testing.T) {
	h := newHooked(t, `{"type": "mount"}, {"type": "pid"}`, "true")
	refused := map[string]string{"/a": `expected cgroupsPath to be of format "slice:prefix:name"`, "a.slice:b:c.slice": "is a slice"}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		refused["a.slice:b:c"] = "--systemd-cgroup: systemd does not manage this machine: /run/systemd/system is missing, so nobody can make b-c.scope in a.slice: leave the flag out"
	}
	for path, text := range refused {
		h.set(func(config map[string]any) { config["linux"].(map[string]any)["cgroupsPath"] = path })
		out, err := exec.Command(h.isorun, "--root", h.root, "--systemd-cgroup", "create", "-b", h.dir, "life").CombinedOutput()
		if err == nil || !strings.Contains(string(out), text) {
			t.Errorf("%s: %v: %s", path, err, out)
		}
	}
	if out, err := exec.Command(h.isorun, "--root", h.root, "--systemd-cgroup", "delete", "-f", "life").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
