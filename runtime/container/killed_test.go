package container

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
	"isoperf/runtime/rootfs"
	"isoperf/runtime/spec"
)

// insert puts ops before the op at index k, which must not be an early one:
// everything that names an op behind it by number, or passes over it, is told.
func insert(p *program.Program, k int, ops ...program.Op) {
	n, last := len(ops), len(p.Ops())
	for i, op := range p.Ops() {
		for a, arg := range op.Args {
			for to := k; to < i; to++ {
				if arg == program.Result(program.Ref(to)) {
					p.Ops()[i].Args[a] = program.Result(program.Ref(to + n))
				}
			}
		}
		for _, skip := range []*int{&p.Ops()[i].Skip, &p.Ops()[i].Zero} {
			switch to := i + *skip; {
			case *skip > 0 && i < k && to >= k:
				*skip += n
			case *skip < 0 && i >= k && to < k:
				*skip -= n
			}
		}
	}
	for _, op := range ops {
		p.Add(op)
	}
	list := p.Ops()
	copy(list[k+n:], list[k:last])
	copy(list[k:], ops)
}

// whilePlanning stands for no op: the child waits for them.
const whilePlanning = -2

// partKilled starts a container whose child writes a line before op k, and
// then takes a while: long enough for whoever reads it to kill this process.
// The container's description is the first argument.
func partKilled(args []string) error {
	var b box
	b.Container = &spec.Container{}
	if err := json.Unmarshal([]byte(args[0]), b.Container); err != nil {
		return err
	}
	k, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	b.options.Stdio = [3]int{0, 1, 2}
	runtime.LockOSThread()
	if k == whilePlanning {
		b.options.Look = func(string) rootfs.Kind {
			fmt.Fprintln(os.Stderr, "here")
			time.Sleep(time.Minute)
			return rootfs.Unknown
		}
		_, err := Start(context.Background(), b.Container, b.options, nil)
		return err
	}
	plan, err := b.plan()
	if err != nil {
		return err
	}
	early := 0 // from where on the ops are the stub's
	for i, op := range plan.program.Ops() {
		if op.Name == "die with parent" {
			early = i
			break
		}
	}
	if k < 0 {
		fmt.Println(early, len(plan.program.Ops()))
		return nil
	}
	insert(plan.program, k, program.Write(program.Int(2), "here\n"), program.Sleep(200e6))
	c, err := plan.Start(context.Background(), nil)
	if err != nil {
		return err
	}
	_, err = c.Wait()
	return err
}

// TestLauncherKilled: kill -9 of the launcher at every op of its child leaves
// no process, and what is left of control groups is swept.
func TestLauncherKilled(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, variant := range []struct {
			name   string
			change func(*box)
		}{
			{"default", func(*box) {}},
			{"init", func(b *box) { b.Init = true }},
		} {
			t.Run(variant.name, func(t *testing.T) { killEverywhere(t, k, variant.change) })
		}
	})
}

func killEverywhere(t *testing.T, k kind, change func(*box)) {
	b := quick(t, k)
	change(b)
	// Its first start makes the places to mount on, which the others find.
	runtime.LockOSThread()
	must(t, b.once())
	runtime.UnlockOSThread()
	b.Process.Args = []string{"/bin/busybox", "sleep", "1000"}
	text, err := json.Marshal(b.Container)
	must(t, err)
	start := time.Now()
	out, err := launcher(string(text), -1).Output()
	must(t, err)
	patience := max(time.Second, 100*time.Since(start)) // 16 share the processors
	var early, total int
	_, err = fmt.Sscan(string(out), &early, &total)
	must(t, err)
	step := 1
	if testing.Short() {
		step = 12
	}
	before := children()
	var all sync.WaitGroup
	slots := make(chan bool, 16)
	reached := make([]bool, total)
	for i := early; i < total; i += step {
		all.Add(1)
		slots <- true
		go func() {
			defer all.Done()
			reached[i] = killAt(t, string(text), i, patience)
			<-slots
		}()
	}
	all.Wait()
	if !killAt(t, string(text), whilePlanning, patience) {
		t.Error("the launcher was not killed while it planned")
	}
	n := 0
	for _, r := range reached {
		if r {
			n++
		}
	}
	t.Logf("%d ops, the launcher was killed at %d of them", total, n)
	if n < (total-early)/step*3/4 {
		t.Errorf("too few were reached")
	}
	for _, pid := range children() {
		if n, err := strconv.Atoi(pid); err == nil && !strings.Contains(strings.Join(before, " "), pid) {
			collect(t, n)
		}
	}
	host, err := cgroup.Detect()
	if err != nil || os.Geteuid() != 0 {
		return
	}
	if len(groups(b.ID)) == 0 {
		t.Error("no group was left: the launchers cannot have been killed")
	}
	if _, err := cgroup.Sweep(host, ""); err != nil {
		t.Errorf("sweep: %v", err)
	}
	if left := groups(b.ID); len(left) > 0 {
		t.Errorf("after the sweep there is %v", left)
	}
}

// collect waits for an orphan that came here: it has closed its files already,
// so it must be ending.
func collect(t *testing.T, pid int) {
	t.Helper()
	for range 500 {
		if got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil || got == pid {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	t.Errorf("process %d is left: %q", pid, name)
	_ = unix.Kill(pid, unix.SIGKILL) // it may have ended now
	_, _ = unix.Wait4(pid, nil, 0, nil)
}

func launcher(text string, k int) *exec.Cmd {
	cmd := exec.Command(world.binary, "killed", text, strconv.Itoa(k))
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	return cmd
}

// killAt kills a launcher when its child is at an op, and says whether it got
// there within a time. All that the child could be holds the pipe's other end.
func killAt(t *testing.T, text string, k int, patience time.Duration) bool {
	cmd := launcher(text, k)
	r, w, err := os.Pipe()
	if err != nil {
		t.Error(err)
		return false
	}
	defer r.Close()
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Error(err)
		return false
	}
	defer null.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Error(err)
		return false
	}
	end := time.AfterFunc(20*time.Second+patience, func() {
		t.Errorf("op %d: there is still a process after %v", k+1, 20*time.Second+patience)
		_ = cmd.Process.Kill()
		r.Close()
	})
	defer end.Stop()
	in := bufio.NewReader(r)
	// An op that is passed over, or is behind a filter, says nothing: then the
	// command runs, and the launcher is killed there.
	_ = r.SetReadDeadline(time.Now().Add(patience))
	line, rerr := in.ReadString('\n')
	_ = r.SetReadDeadline(time.Time{})
	if rerr == nil && line != "here\n" {
		t.Errorf("op %d: %s", k+1, line)
	}
	_ = cmd.Process.Kill() // it may have ended
	_, _ = cmd.Process.Wait()
	rest, err := io.ReadAll(in)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(rest), ":") {
		t.Errorf("op %d: %q, %v", k+1, rest, err)
	}
	return rerr == nil
}
