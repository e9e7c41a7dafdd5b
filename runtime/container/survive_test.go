package container

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// footprint is what must not grow.
type footprint struct {
	processes  int // children, to which orphans come too
	groups     int
	mounts     string
	namespaces int // in use by this process and all below it
	fds        int
	threads    int
	arenas     int
}

func measure(t testing.TB) footprint {
	t.Helper()
	f := footprint{processes: len(children()), groups: len(groups(fmt.Sprintf("test%d-", os.Getpid())))}
	table, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.Lines(string(table)) {
		if !strings.Contains(line, " /run/user/") { // a session's, which logind unmounts some time after its end
			f.mounts += line
		}
	}
	f.namespaces = len(namespacesBelow("self"))
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	f.fds = len(fds)
	tasks, err := os.ReadDir("/proc/self/task")
	must(t, err)
	f.threads = len(tasks)
	mappings, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	f.arenas = strings.Count(string(mappings), "isoperf-")
	return f
}

// namespacesBelow are those of a process and all its descendants.
func namespacesBelow(pid string) map[string]bool {
	seen := map[string]bool{}
	links, _ := filepath.Glob("/proc/" + pid + "/ns/*")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil {
			seen[to] = true
		}
	}
	for _, child := range childrenOf(pid) {
		maps.Copy(seen, namespacesBelow(child))
	}
	return seen
}

// comparable takes away what may differ. Memory for programs is kept for the
// next one, with a descriptor each; threads come and go by a few, since Go makes
// them when it likes.
func (f footprint) comparable(before footprint) footprint {
	if kept := f.arenas - before.arenas; kept > 0 && kept <= 64 {
		f.arenas, f.fds = f.arenas-kept, f.fds-kept
	}
	if f.threads <= before.threads+8 {
		f.threads = before.threads
	}
	return f
}

// unchanged measures again until all is as before. It gives what dies slowly two
// seconds: the kernel takes network namespaces apart later.
func (f footprint) unchanged(t testing.TB) {
	t.Helper()
	var after footprint
	for range 100 {
		after = measure(t)
		if after.comparable(f) == f {
			break
		}
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("before: %d groups, %d namespaces, %d descriptors, %d threads; after: %d, %d, %d, %d",
		f.groups, f.namespaces, f.fds, f.threads, after.groups, after.namespaces, after.fds, after.threads)
	if after.comparable(f) != f {
		t.Errorf("something is left:\n%+v, then\n%+v", f, after)
	}
}

// quick is a container that ends at once, and touches all there is: control
// groups too where this user may make them.
func quick(t testing.TB, k kind) *box {
	b := newBox(t, k).withShell()
	b.Process.Args = []string{"/bin/busybox", "true"}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { null.Close() })
	fd := int(null.Fd())
	b.options.Stdio = [3]int{fd, fd, fd}
	if os.Geteuid() == 0 {
		b.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: number(int64(64 << 20))}, Pids: &specs.LinuxPids{Limit: number(int64(50))}}
	}
	return b
}

// once starts a box and waits for its end. The caller is locked to its thread.
func (b *box) once() error {
	plan, err := b.plan()
	if err != nil {
		return err
	}
	c, err := plan.Start(context.Background(), nil)
	if err != nil {
		return err
	}
	defer c.Release()
	status, err := c.Wait()
	if err == nil && !status.Success() {
		err = fmt.Errorf("it ended with %v", status)
	}
	return err
}

// TestManyStarts: ten thousand starts in a row leave nothing behind.
func TestManyStarts(t *testing.T) {
	total := 10_000
	if testing.Short() {
		total = 300
	}
	if os.Getenv(secondEnv) != "" {
		total /= 10
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	list := kinds(t)
	boxes := make([]*box, len(list))
	for i, k := range list {
		boxes[i] = quick(t, k)
		must(t, boxes[i].once())
	}
	limits := boxes[0].Linux.Resources
	before := measure(t)
	for i := range total {
		b := boxes[0]
		if i%16 == 7 { // user namespaces take their time, and so do control groups
			b = boxes[len(boxes)-1]
		}
		b.Init, b.Overlay = i%16 == 1, i%16 == 2
		b.Linux.Resources = nil
		if i%8 == 1 {
			b.Linux.Resources = limits
		}
		if err := b.once(); err != nil {
			t.Fatalf("start %d: %v", i, err)
		}
	}
	before.unchanged(t)
}

// TestManyAtOnce: sixty-four at once do not either.
func TestManyAtOnce(t *testing.T) {
	const threads = 64
	rounds := 4
	if testing.Short() || os.Getenv(secondEnv) != "" {
		rounds = 1
	}
	k := plain(t)
	boxes := make([]*box, threads)
	for i := range boxes {
		boxes[i] = quick(t, k)
	}
	// As Start wants it: on version 1 the thread is in the group for a moment, and
	// a goroutine that changes threads there would leave it in.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	must(t, boxes[0].once())
	before := measure(t)
	var all sync.WaitGroup
	fail := make([]error, threads)
	for i := range threads {
		all.Add(1)
		go func() {
			defer all.Done()
			runtime.LockOSThread() // and never unlocked: the thread ends
			for range rounds {
				fail[i] = errors.Join(fail[i], boxes[i].once())
			}
		}()
	}
	all.Wait()
	if err := errors.Join(fail...); err != nil {
		t.Fatal(err)
	}
	before.unchanged(t)
}

// TestChildKilled: a child that is killed at any moment of its start is an
// error, or a status, and leaves nothing.
func TestChildKilled(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		rounds := 120
		if testing.Short() || os.Getenv(secondEnv) != "" {
			rounds = 40
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		b := quick(t, k)
		b.Process.Args = []string{"/bin/busybox", "sleep", "1000"}
		before := measure(t)
		started := map[bool]int{}
		for i := range rounds {
			b.Init = i%3 == 0
			plan, err := b.plan()
			must(t, err)
			// It is killed by somebody else, who looks for it by its parent.
			stop := make(chan struct{})
			var killer sync.WaitGroup
			killer.Add(1)
			delay := time.Duration(rand.Intn(6000)) * time.Microsecond
			go func() {
				defer killer.Done()
				time.Sleep(delay)
				for {
					for _, pid := range children() {
						if n, err := strconv.Atoi(pid); err == nil {
							_ = unix.Kill(n, unix.SIGKILL) // it may be gone
						}
					}
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
				}
			}()
			c, err := plan.Start(context.Background(), nil)
			started[err == nil]++
			if err == nil {
				status, werr := c.Wait()
				if werr == nil && status.Signal != unix.SIGKILL {
					t.Errorf("round %d: it ended with %v", i, status)
				}
				c.Release()
			}
			close(stop)
			killer.Wait()
		}
		t.Logf("%d started, %d did not", started[true], started[false])
		before.unchanged(t)
	})
}

// TestOpFails: a start that fails leaves nothing, whatever it had made.
func TestOpFails(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		null := quick(t, k).options.Stdio // made before, and open until the test ends
		before := measure(t)
		for _, change := range []func(*box){
			func(b *box) { b.Process.Args = []string{"/nowhere"} },
			func(b *box) {
				b.Mounts = append(b.Mounts, specs.Mount{Destination: "/x", Type: "nosuchfs", Source: "x"})
			},
			func(b *box) {
				b.Mounts = append(b.Mounts, specs.Mount{Destination: "/x", Type: "tmpfs", Source: "x", Options: []string{"size=abc"}})
			},
			func(b *box) { b.Connected = true }, // and nobody connects it
			func(b *box) { b.Linux.Sysctl = map[string]string{"kernel.shmmni": "abc"} },
			func(b *box) {
				b.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1 << 40, Hard: 1 << 40}}
			},
			func(b *box) { b.Linux.Namespaces[0].Path = "/dev/null" },
		} {
			b := newBox(t, k)
			b.options.Stdio = null
			b.Process.Args = []string{"/probe", "true"}
			change(b)
			if err := b.once(); err == nil {
				t.Error("it started")
			}
		}
		before.unchanged(t)
	})
}
