package startup

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isoperf/bench/harness"
)

// Every name is there once, and is one that the result file can hold.
func TestNames(t *testing.T) {
	b := New(Config{})
	seen := map[string]bool{}
	for _, cases := range [][]harness.Case{b.Cases(harness.Full()), b.AtOnce(harness.Full()), b.Open(harness.Full())} {
		for _, c := range cases {
			if seen[c.Name] {
				t.Errorf("%s is there twice", c.Name)
			}
			seen[c.Name] = true
			if strings.ContainsAny(c.Name, " \t") || c.Samples < 3 {
				t.Errorf("%q, %d samples", c.Name, c.Samples)
			}
		}
	}
	for _, want := range []string{
		"Startup/runtime=fork-exec/with=usual/pacing=burst", "Startup/runtime=runc/with=usual/pacing=paced",
		"StartupSpans/runtime=isorun/with=usual/pacing=burst", "StartupAtOnce/runtime=crun/n=1", "StartupOpen/runtime=isorun/load=90",
	} {
		if !seen[want] {
			t.Errorf("%s is not there", want)
		}
	}
}

func TestParseChoice(t *testing.T) {
	for text, want := range map[string]Choice{
		"runc": {Name: "runc"}, "old=/usr/bin/runc": {Name: "old", Path: "/usr/bin/runc"}, "crun=./crun": {Name: "crun", Path: "./crun"},
	} {
		if got, err := ParseChoice(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "=x", "runc=", "nonsense", "a b=/x", "a/b=/x", "a@b=/x"} {
		if got, err := ParseChoice(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, got)
		}
	}
	for choice, launches := range map[Choice]kind{{Name: "old", Path: "/usr/bin/runc"}: bundles, {Name: "mine", Path: "/x/bwrap"}: roots, {Name: "new", Path: "/x/unknown"}: bundles, {Name: "head", As: "bwrap"}: roots} {
		if p := choice.peer(); p.name != choice.Name || p.takes != launches {
			t.Errorf("%v is the peer %q, which takes %d", choice, p.name, p.takes)
		}
	}
}

// The usual bundle is the one that runc writes.
func TestUsualIsRuncSpec(t *testing.T) {
	if _, err := exec.LookPath("runc"); err != nil {
		t.Fatalf("%v (scripts/setup installs it)", err)
	}
	dir := t.TempDir()
	if out, err := exec.Command("runc", "spec", "-b", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := json.Marshal(usualSpec("rootfs", []string{"sh"}))
	if err != nil {
		t.Fatal(err)
	}
	var theirs, mine map[string]any
	if err := json.Unmarshal(text, &theirs); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(ours, &mine); err != nil {
		t.Fatal(err)
	}
	mine["process"].(map[string]any)["terminal"] = true
	for _, m := range []map[string]any{mine, theirs} {
		delete(m, "ociVersion")
		delete(m["linux"].(map[string]any), "maskedPaths") // longer with each version
		delete(m["process"].(map[string]any)["capabilities"].(map[string]any), "ambient")
	}
	if diff := cmp.Diff(theirs, mine); diff != "" {
		t.Errorf("the usual bundle (-runc +ours):\n%s", diff)
	}
}

// The payload says what each runtime made, and its stamp lies inside the start.
func TestStarts(t *testing.T) {
	c := Config{}
	saw := seen(&c)
	b := bench(t, c)
	cases := b.Cases(few)
	for name, lacks := range map[string][]string{
		"fork-exec": usualWants, "isorun": nil, "runc": nil, "library": nil, "isoperf-run": {"cgroup"},
		"unshare": {"cgroup", "ban on new privileges", "drop of capabilities"},
	} {
		if !asRoot() {
			lacks = without(lacks, "cgroup")
			if name == "fork-exec" {
				lacks = append([]string{"user namespace"}, lacks...)
			}
		}
		full := "Startup/runtime=" + name + "/with=usual/pacing=burst"
		for _, s := range samples(t, cases, full, 3) {
			if !(0 < s["ready-ns"] && s["ready-ns"] < s["total-ns"]) || s["user-ns"]+s["sys-ns"] <= 0 {
				t.Errorf("%s: %v", full, s)
			}
			if heavy := name != "fork-exec" && name != "library"; heavy != (s["peak-B"] > 500_000) {
				t.Errorf("%s: its peak is %v bytes", full, s["peak-B"])
			}
		}
		if got := saw[full]; name != "library" && !slices.Equal(got.Lacks, lacks) {
			if asRoot() || !slices.Equal(without(got.Lacks, "cgroup", "drop of capabilities"), without(lacks, "drop of capabilities")) {
				t.Errorf("%s lacks %q, want %q", full, got.Lacks, lacks)
			}
		}
	}
}

// Each variant differs in what it is named for.
func TestVariants(t *testing.T) {
	c := Config{}
	saw := seen(&c)
	b := bench(t, c)
	cases := b.Variants(few)
	for _, v := range b.which() {
		if v.cold && !asRoot() {
			continue // it takes root
		}
		name := "StartupVariants/runtime=isorun/with=" + v.name + "/pacing=burst"
		samples(t, cases, name, 1)
		if lacks := saw[name].Lacks; len(lacks) > 0 || !saw[name].Looked {
			t.Errorf("%s lacks %q", name, lacks)
		}
		for what, in := range map[string]string{"seccomp filter": "seccomp", "user namespace": "rootless"} {
			if asRoot() && slices.Contains(saw[name].Made, what) != (v.name == in) {
				t.Errorf("%s made %q", name, saw[name].Made)
			}
		}
		if slices.Contains(saw[name].Made, "net namespace") != (v.name != "host-net") {
			t.Errorf("%s made %q", name, saw[name].Made)
		}
	}
}

// The parts of a start are the whole.
func TestSpans(t *testing.T) {
	b := bench(t, Config{})
	for _, s := range samples(t, b.Cases(few), "StartupSpans/runtime=isorun/with=usual/pacing=burst", 4) {
		sum := s["residual-ns"]
		for unit, ns := range s {
			if strings.HasPrefix(unit, "span.") {
				sum += ns
			}
		}
		if sum != s["total-ns"] || s["residual-ns"] < 0 || s["residual-ns"] > s["total-ns"]/100 {
			t.Errorf("the parts are %v of %v, the residual %v", sum, s["total-ns"], s["residual-ns"])
		}
		for _, part := range []string{"exec-of-the-runtime", "start-of-go", "configuration", "plan-and-load", "clone-and-stub", "mounts", "pivot", "execve", "payload-and-teardown", "exit-of-the-runtime"} {
			if s["span."+part+"-ns"] <= 0 {
				t.Errorf("there is no part %q in %v", part, s)
			}
		}
		if s["plain-ns"] <= 0 {
			t.Errorf("no start beside it: %v", s)
		}
	}
}

// Several at a time each have a container of their own, and the open loop counts
// the wait for a turn.
func TestCrowds(t *testing.T) {
	b := bench(t, Config{})
	for i, s := range samples(t, b.AtOnce(few), "StartupAtOnce/runtime=isorun/n=2", 8) {
		if (s["wall-ns"] > 0) != (i == 0) || s["total-ns"] < s["ready-ns"] || s["wall-ns"] > 8*s["total-ns"] {
			t.Error(s)
		}
	}
	for _, s := range samples(t, b.Open(few), "StartupOpen/runtime=isorun/load=90", 12) {
		if s["response-ns"] != s["late-ns"]+s["total-ns"] || s["interval-ns"] <= 0 {
			t.Error(s)
		}
	}
}

// A bundle of the user's is used as it is, and not written to.
func TestOwnBundle(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "tree")
	for _, d := range []string{"proc", "dev", "sys", "bin"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatalf("%v (scripts/setup installs it)", err)
	}
	text, err := os.ReadFile(busybox)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "bin", "true"), text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(edit func(map[string]any)) {
		spec := usualSpec("tree", []string{"sh"})
		if !asRoot() {
			asUser(spec, os.Getuid(), os.Getgid())
		}
		var config map[string]any
		text, err := json.Marshal(spec)
		if err == nil {
			err = json.Unmarshal(text, &config)
		}
		if err != nil {
			t.Fatal(err)
		}
		edit(config)
		if text, err = json.Marshal(config); err == nil {
			err = os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(func(map[string]any) {})
	choices := []Choice{{Name: "isorun"}, {Name: "runc"}}
	for _, c := range []Config{{Bundle: dir}, {Bundle: dir, Exec: []string{"/bin/true"}}, {Rootfs: root}, {Rootfs: root, Exec: []string{"/bin/true"}}} {
		c.Runtimes = choices
		t.Run(strings.Join(append([]string{filepath.Base(c.Rootfs)}, c.Exec...), " "), func(t *testing.T) {
			b := bench(t, c)
			with := b.which()[0].name
			for _, runtime := range choices {
				for _, s := range samples(t, b.Cases(few), "Startup/runtime="+runtime.Name+"/with="+with+"/pacing=burst", 2) {
					if (s["ready-ns"] > 0) != (len(c.Exec) == 0) || s["total-ns"] <= 0 {
						t.Errorf("%s with %+v: %v", runtime.Name, c, s)
					}
				}
			}
		})
	}
	var files []string
	err = filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		files = append(files, strings.TrimPrefix(path, root))
		return err
	})
	if want := []string{"", "/bin", "/bin/true", "/dev", "/proc", "/sys"}; err != nil || !slices.Equal(files, want) {
		t.Errorf("the user's root has %q, %v; want %q", files, err, want)
	}
	write(func(config map[string]any) {
		config["mounts"] = slices.DeleteFunc(config["mounts"].([]any), func(m any) bool { return m.(map[string]any)["destination"] == "/dev" })
	})
	b := bench(t, Config{Bundle: dir, Runtimes: choices})
	if _, err := b.Cases(few)[0].Open(); err == nil || !strings.Contains(err.Error(), "say --exec") {
		t.Errorf("a bundle without a /dev in memory: %v", err)
	}
}

// What a killed run left is removed by the next one; a living one's stays.
func TestSweep(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	gone, err := os.MkdirTemp("", prefix+strconv.Itoa(dead.Process.Pid)+"-")
	if err != nil {
		t.Fatal(err)
	}
	alive, err := os.MkdirTemp("", prefix+strconv.Itoa(os.Getppid())+"-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(alive)
	if err := sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(gone); err == nil {
		t.Errorf("%s is still there", gone)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Error(err)
	}
}

// The machine's root has what the kernel looks for, in the form it unpacks.
func TestArchive(t *testing.T) {
	text := string(archive([]byte("payload")))
	var names []string
	for rest := text; ; {
		if !strings.HasPrefix(rest, "070701") || len(rest) < 110 {
			t.Fatalf("no header in %q", rest)
		}
		field := func(i int) int {
			n, err := strconv.ParseInt(rest[6+8*i:14+8*i], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		size, name := field(6), rest[110:110+field(11)-1]
		names = append(names, name)
		data := (110 + field(11) + 3) &^ 3
		switch {
		case name == "init" && (rest[data:data+size] != "payload" || field(1) != 0o100755):
			t.Errorf("init is %q, mode %o", rest[data:data+size], field(1))
		case name == "dev/console" && (field(1) != 0o020600 || field(9) != 5 || field(10) != 1):
			t.Errorf("the console is mode %o, device %d:%d", field(1), field(9), field(10))
		}
		if name == "TRAILER!!!" {
			break
		}
		rest = rest[(data+size+3)&^3:]
	}
	if want := []string{"dev", "dev/console", "init", "TRAILER!!!"}; !slices.Equal(names, want) || len(text)%4 != 0 {
		t.Errorf("the archive has %q in %d bytes, want %q", names, len(text), want)
	}
}
