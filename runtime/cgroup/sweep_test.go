package cgroup

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helpCreate creates a group with a process that outlives it, prints what it
// made, and waits to be killed.
func helpCreate(args []string) error {
	var o Options
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	h, err := Detect()
	if err != nil {
		return err
	}
	p, err := h.Plan(o)
	if err != nil {
		return err
	}
	g, err := p.Create()
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sleep", "60")
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := g.Attach(cmd.Process.Pid); err != nil {
		return err
	}
	fmt.Println(strings.Join(g.State().Dirs, " "), cmd.Process.Pid)
	time.Sleep(60 * time.Second)
	return nil
}

// killed runs helpCreate, kills it, and returns its groups' directories and the
// process that is left in them.
func killed(t *testing.T, o Options, meanwhile func()) (dirs []string, pid int) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", string(text))
	cmd.Env = append(os.Environ(), helperEnv+"=create")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		t.Fatal(err, cmd.Wait())
	}
	meanwhile()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	meanwhileZombie := strings.Fields(line)
	if _, err := fmt.Sscan(meanwhileZombie[len(meanwhileZombie)-1], &pid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // it stays a zombie until then
	for _, word := range meanwhileZombie[:len(meanwhileZombie)-1] {
		dirs = append(dirs, strings.Split(word, "\t")...)
	}
	return dirs, pid
}

// TestSweep: the groups of a killed runtime go with the next start, those of a
// running one stay, be they known by name or by record.
func TestSweep(t *testing.T) {
	h := realHost(t)
	record := filepath.Join(t.TempDir(), "records", "cgroup")
	for name, o := range map[string]Options{
		"name":   {ID: "swept", Resources: everything(), Always: true},
		"record": {ID: "swept", Resources: everything(), Always: true, Record: record, Path: testPath("swept") + "/x"},
	} {
		t.Run(name, func(t *testing.T) {
			mine := create(t, h, Options{ID: "mine", Always: true, Record: record})
			records := 0
			if mine.record != "" { // this process is not at the top
				records = 1
			}
			var early []string
			dirs, pid := killed(t, o, func() {
				removed, err := Sweep(h, record)
				if err != nil {
					t.Error(err)
				}
				early = removed
			})
			for _, dir := range dirs {
				if slices.Contains(early, dir) {
					t.Errorf("%q was swept while its runtime was running", dir)
				}
				if !exists(dir) {
					t.Errorf("%q is not there", dir)
				}
			}
			if o.Path != "" {
				if list, err := os.ReadDir(record); err != nil || len(list) != 1+records {
					t.Errorf("records: %v, %v", list, err)
				}
			}
			var removed []string
			eventually(func() bool { // until the kill has been carried out
				list, err := Sweep(h, record)
				if err != nil {
					t.Error(err)
				}
				removed = append(removed, list...)
				return len(removed) >= len(dirs)
			})
			for _, dir := range dirs {
				if !slices.Contains(removed, dir) || exists(dir) {
					t.Errorf("%q was not swept", dir)
				}
			}
			if _, state, _, err := processStart(fmt.Sprint(pid)); err == nil && state != 'Z' && state != 'X' {
				t.Errorf("the process that was left in them is in state %c", state)
			}
			if list, err := os.ReadDir(record); err == nil && len(list) != records {
				t.Errorf("records are left: %v", list)
			}
			for _, p := range mine.parts {
				if !exists(p.dir) {
					t.Errorf("the sweep took %q, which is in use", p.dir)
				}
			}
		})
	}
}

// TestSweepFrozen: what a killed runtime has left frozen by version 1's freezer
// goes at once, from every hierarchy.
func TestSweepFrozen(t *testing.T) {
	h := realHost(t)
	if tree := h.find(&freezer); tree == nil || tree.v2 {
		return // version 2 kills the frozen as well
	}
	tree := h.find(&freezer)
	place, err := tree.place()
	if err != nil {
		t.Fatal(err)
	}
	record := filepath.Join(t.TempDir(), "records", "cgroup")
	path := testPath("frozen") + "/x"
	for name, test := range map[string]struct {
		o       Options
		pattern string
	}{
		"name":   {Options{ID: "frozen", Also: []string{"cpu", "freezer"}}, place + "/isoperf-*-frozen"},
		"record": {Options{ID: "frozen", Also: []string{"cpu", "freezer"}, Record: record, Path: path}, tree.mount + path},
	} {
		t.Run(name, func(t *testing.T) {
			dirs, _ := killed(t, test.o, func() {
				list, err := filepath.Glob(test.pattern)
				if err != nil || len(list) != 1 {
					t.Fatalf("%q, %v", list, err)
				}
				if err := os.WriteFile(list[0]+"/freezer.state", []byte("FROZEN"), 0); err != nil {
					t.Fatal(err)
				}
			})
			var failed error
			eventually(func() bool { // until the kill has been carried out
				_, failed = Sweep(h, record)
				return failed != nil || !slices.ContainsFunc(dirs, exists)
			})
			if failed != nil || slices.ContainsFunc(dirs, exists) {
				t.Errorf("left are %q: %v", slices.DeleteFunc(dirs, func(dir string) bool { return !exists(dir) }), failed)
			}
		})
	}
}

// TestSweepForeign: groups of another pid namespace, of nobody, and of other
// names stay.
func TestSweepForeign(t *testing.T) {
	h := realHost(t)
	tree := requireController(t, h, &pids) // the first may be name=systemd, which is not swept
	me, err := self()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, nobody := owner{me.namespace + 1, 1 << 21, 7}, owner{me.namespace, 0, 0}
	for _, name := range []string{elsewhere.name("x"), nobody.name("y"), "isoperf-test-" + fmt.Sprint(os.Getpid())} {
		dir := tree.mount + "/" + name
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(dir)
		removed, err := Sweep(h, "")
		if err != nil || slices.Contains(removed, dir) || !exists(dir) {
			t.Errorf("%s was swept: %v", name, err)
		}
	}
	dead := tree.mount + "/" + owner{me.namespace, me.pid, me.start + 1}.name("dead") // our id, another's start
	if err := os.Mkdir(dead, 0o755); err != nil {
		t.Fatal(err)
	}
	if removed, err := Sweep(h, ""); err != nil || !slices.Contains(removed, dead) {
		_ = os.Remove(dead)
		t.Errorf("Sweep = %q, %v", removed, err)
	}
}

// TestSetOwner: a detached group lives as long as its first process.
func TestSetOwner(t *testing.T) {
	h := realHost(t)
	record := t.TempDir()
	g := create(t, h, Options{Always: true, Detached: true, Record: record})
	cmd := sleeper(t)
	if err := g.SetOwner(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := Sweep(h, record); err != nil || !exists(g.parts[0].dir) {
		t.Fatalf("it was swept while its owner runs: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	removed, err := Sweep(h, record)
	if err != nil || !slices.Contains(removed, g.parts[0].dir) {
		t.Errorf("Sweep = %q, %v", removed, err)
	}
	plain := create(t, h, Options{Always: true})
	if err := plain.SetOwner(os.Getpid()); err == nil || !strings.Contains(err.Error(), "no record") {
		t.Errorf("SetOwner = %v", err)
	}
}

func TestName(t *testing.T) {
	o := owner{4026531836, 42, 99}
	got, id, ok := parseName(o.name("a-b-c"))
	if !ok || got != o || id != "a-b-c" {
		t.Errorf("%v %q %v", got, id, ok)
	}
	for _, name := range []string{"", "isoperf-", "isoperf-1-2-x-id", "isoperf-1-2-3", "docker-1-2-3-4", "isoperf-1--2-3-4", "isoperf-test-1-2-3"} {
		if _, _, ok := parseName(name); ok {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

// TestSweepRecords: a record that was cut short names nothing, one whose path a
// living owner has taken since leaves it, and one that points elsewhere is an
// error.
func TestSweepRecords(t *testing.T) {
	h := realHost(t)
	record := t.TempDir()
	me, err := self()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Path: testPath("taken"), Always: true, Record: record}
	g := create(t, h, o)
	dir := g.parts[0].dir
	put := func(start uint64, text string) string {
		name := record + "/" + owner{me.namespace, me.pid, start}.name("dead")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	bare := create(t, h, Options{Always: true}) // without a record that would protect it
	cut, taken, elsewhere := put(1, bare.parts[0].dir+"\n"+dir+"\n/sys"), put(2, dir+"\nend\n"), put(3, t.TempDir()+"\nend\n")
	removed, err := Sweep(h, record)
	if !exists(dir) || !exists(bare.parts[0].dir) {
		t.Errorf("Sweep removed %q", removed)
	}
	if err == nil || !strings.Contains(err.Error(), "not below a mounted hierarchy") {
		t.Errorf("Sweep = %v", err)
	}
	for _, file := range []string{cut, taken} {
		if exists(file) {
			t.Errorf("%s is still there", file)
		}
	}
	if !exists(elsewhere) || !exists(g.record) {
		t.Error("a record that was not dealt with is gone")
	}
}

// TestSweepOrdinary: groups of another user are passed over.
func TestSweepOrdinary(t *testing.T) {
	h := realHost(t)
	me, err := self()
	if err != nil {
		t.Fatal(err)
	}
	dead := requireController(t, h, &pids).mount + "/" + owner{me.namespace, me.pid, 1}.name("dead")
	if err := os.Mkdir(dead, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dead)
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 54321, ^uintptr(0)); errno != 0 {
		t.Fatal(errno)
	}
	_, err = Sweep(h, "")
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 0, ^uintptr(0)); errno != 0 {
		t.Fatal(errno)
	}
	if err != nil || !exists(dead) {
		t.Errorf("Sweep = %v, and the group is there: %v", err, exists(dead))
	}
}
