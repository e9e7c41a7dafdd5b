package checkup

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const noUser = "/proc/sys/kernel/unprivileged_userns_clone is 0: only root may make user namespaces"

var (
	release = Finding{Group: "kernel", Name: "kernel release", State: OK, Detail: "6.12.48-amd64"}
	clone3  = Finding{Group: "kernel", Name: "clone3", State: NotHere,
		Why: "clone3 answers ENOSYS: a seccomp filter hides it (Seccomp: 2 in /proc/self/status)",
		Fix: "docker run --security-opt seccomp=unconfined"}
	netns   = Finding{Group: "namespaces", Name: "net namespace", State: NotHere, Why: noUser, Fix: "sudo sysctl -w kernel.unprivileged_userns_clone=1"}
	mntns   = Finding{Group: "namespaces", Name: "mnt namespace", State: NotHere, Why: noUser, Fix: netns.Fix}
	userns  = Finding{Group: "namespaces", Name: "user namespace", State: OK, Detail: "limit 96365"}
	unified = Finding{Group: "cgroups", Name: "cgroup v2", State: NotHere,
		Why: "v1 holds the controllers: /sys/fs/cgroup/unified/cgroup.controllers has only hugetlb",
		Fix: "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all"}
	clock = Finding{Group: "measuring", Name: "clocksource", State: NotHere,
		Why: "/sys/devices/system/clocksource/clocksource0/current_clocksource is hpet: the slower clock is used",
		Fix: "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource"}
	runc   = Finding{Group: "programs", Name: "runc", State: NotHere, Why: "not on PATH", Fix: "sudo apt install runc"}
	crun   = Finding{Group: "programs", Name: "crun", State: NotHere, Why: "not on PATH", Fix: "sudo apt install crun"}
	podman = Finding{Group: "programs", Name: "podman", State: Failed,
		Why: "/usr/bin/podman --version did not answer within 2s", Fix: "run it by hand; to reinstall: sudo apt install podman"}
	stress = Finding{Group: "programs", Name: "stress-ng", State: OK,
		Detail: "stress-ng, version 0.15.06 (gcc 12.2.0, x86_64 Linux 6.12.48) \x1b[31m\u00b5\nsecond line"}
)

func tables() map[string]struct {
	findings []Finding
	summary  Summary
} {
	type input = struct {
		findings []Finding
		summary  Summary
	}
	whole := func(names ...string) (families []Family) {
		for _, name := range names {
			families = append(families, Family{Name: name, Measurable: true})
		}
		return families
	}
	return map[string]input{
		"all": {[]Finding{release, userns}, Summary{
			Machine:  "Linux 6.12.48, x86-64, 8 CPUs, no virtual machine, ordinary user",
			Families: whole("clone", "mount", "startup", "limits", "network"),
			Next:     "isoperf bench   |   isoperf list",
		}},
		"part": {
			[]Finding{release, clone3, userns, netns, mntns, unified, clock, runc, crun, podman, stress},
			Summary{
				Machine: "Linux 6.12.48",
				Families: append(whole("clone", "mount"),
					Family{"startup", true, []Finding{runc, crun, podman}},
					Family{"limits", true, []Finding{unified}},
					Family{"network", false, []Finding{netns, mntns}}),
				Next: "isoperf bench",
			},
		},
		"nothing": {[]Finding{netns, mntns}, Summary{Families: []Family{
			{"clone", false, []Finding{netns}}, {"mount", false, []Finding{mntns}},
		}}},
		"bare": {nil, Summary{}},
	}
}

func TestWrite(t *testing.T) {
	for name, in := range tables() {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Write(&out, in.findings, in.summary); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", out.Bytes())
			for line := range strings.Lines(out.String()) {
				line = strings.TrimSuffix(line, "\n")
				if len(line) > columns {
					t.Errorf("%d columns: %q", len(line), line)
				}
				if strings.TrimRight(line, " ") != line {
					t.Errorf("spaces at the end: %q", line)
				}
				if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("not plain ASCII: %q", line)
				}
			}
		})
	}
}

func TestJSON(t *testing.T) {
	for name, in := range tables() {
		var out bytes.Buffer
		if err := JSON(&out, in.findings, in.summary); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", out.Bytes())
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(out.Bytes(), &keys); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"schema", "answer", "families", "findings"} {
			if text := string(keys[key]); text == "" || text == "null" {
				t.Errorf("%s: %s is %q", name, key, text)
			}
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestAnswer(t *testing.T) {
	lost := func(name string, by ...Finding) Family { return Family{name, false, by} }
	some := func(name string, by ...Finding) Family { return Family{name, true, by} }
	long := Finding{Name: "x", Why: strings.Repeat("because of this ", 20)}
	reason := func(why string) Finding { return Finding{Name: why, Why: why} }
	tests := []struct {
		families []Family
		want     string
	}{
		{[]Family{some("clone")}, "Everything can be measured here: clone."},
		{[]Family{some("clone"), some("limits", unified)},
			"Everything in the clone family can be measured here, and part of limits; cgroup v2 cannot: " + unified.Why + "."},
		{[]Family{some("clone"), lost("limits", unified)},
			"Everything in the clone family can be measured here; nothing in the limits family: " + unified.Why + "."},
		{[]Family{some("startup", runc, crun, runc), lost("limits", unified)},
			"Part of the startup family can be measured here; nothing in the limits family: " + unified.Why +
				"; runc and crun cannot: not on PATH."},
		{[]Family{some("startup", reason("a"), reason("b"), reason("c"), reason("d"), reason("e"))},
			"Part of the startup family can be measured here; a cannot: a; b cannot: b; c cannot: c; 2 more below."},
		{[]Family{lost("clone", long)}, "Nothing can be measured here: " + strings.Repeat("because of this ", 7) + "because ..."},
		{[]Family{lost("clone")}, "Nothing can be measured here."},
	}
	for _, test := range tests {
		if got := Answer(test.families); got != test.want {
			t.Errorf("answer:\n got %q\nwant %q", got, test.want)
		}
	}
	if got := list([]string{"a", "b", "c", "d", "e"}, 3); got != "a, b, c and 2 others" {
		t.Errorf("list: %q", got)
	}
	if got := list([]string{"a", "b", "c", "d"}, 3); got != "a, b, c and d" {
		t.Errorf("list: %q", got)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriterFails(t *testing.T) {
	for _, write := range []func() error{
		func() error { return Write(fullDisk{}, nil, Summary{}) },
		func() error { return JSON(fullDisk{}, nil, Summary{}) },
	} {
		if err := write(); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("the error is %v", err)
		}
	}
}
