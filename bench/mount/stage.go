package mount

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// scene is what a stage has beside its root.
type scene struct {
	tree   int  // mounts below /tree
	layers int  // directories below /layer
	shared bool // every mount is shared, as where systemd runs
	peers  bool // /mnt is shared
	host   bool // inside a user namespace, proc and sysfs are visible
}

// The stage's places. Each mount point has a file in it that a mount hides, and
// each mount one that it shows.
const (
	source  = "/src"     // a directory, with the file "inside"
	target  = "/dst"     // where things are mounted; with the file "under"
	mounted = "/mnt"     // a tmpfs, with the file "inside" and the directory "dst"; "under" is under it
	newRoot = "/newroot" // a tmpfs, with the file "inside"
	layers  = "/layer"   // the directories 1, 2, …, each with a file of its name
	tree    = "/tree"    // the directories 0, 1, …, each a mount of the source
)

// stage is a thread in a mount namespace of its own, which ends with it.
type stage struct {
	*program.Launcher
	proc int   // the host's /proc
	held []int // mount namespaces
}

// newStage makes a namespace of exactly n mounts; more when the scene needs
// them.
func newStage(n int, s scene) (*stage, error) {
	g := &stage{Launcher: harness.NewThread(), proc: -1}
	var err error
	g.Do(func() { err = g.prepare(n, s) })
	if err != nil {
		g.close()
		return nil, fmt.Errorf("make the stage: %w", err)
	}
	return g, nil
}

func (g *stage) close() error {
	var all error
	for _, fd := range append(g.held, g.proc) {
		if fd >= 0 {
			all = errors.Join(all, unix.Close(fd))
		}
	}
	g.held, g.proc = nil, -1
	g.Close()
	return all
}

// maker does one thing after the other until one fails.
type maker struct{ err error }

func (m *maker) do(what string, f func() error) {
	if m.err != nil {
		return
	}
	if err := f(); err != nil {
		m.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (m *maker) mount(from, at, fstype string, flags uintptr, data string) {
	m.do("mount "+fstype+" on "+at, func() error { return unix.Mount(from, at, fstype, flags, data) })
}

// dir makes a directory with an empty file in it.
func (m *maker) dir(path, file string) {
	m.do("mkdir "+path, func() error { return unix.Mkdir(path, 0o755) })
	if file != "" {
		m.file(path + "/" + file)
	}
}

func (m *maker) file(path string) {
	m.do("create "+path, func() error { return unix.Mknod(path, unix.S_IFREG|0o644, 0) })
}

// prepare runs on the stage's thread.
func (g *stage) prepare(n int, s scene) error {
	m := &maker{}
	m.do("open /proc", func() (err error) {
		g.proc, err = unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	m.do("unshare the mount namespace", func() error { return unix.Unshare(unix.CLONE_NEWNS) })
	m.mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	m.mount("isoperf", "/tmp", "tmpfs", 0, "size=8m,mode=755")
	m.do("chdir /tmp", func() error { return unix.Chdir("/tmp") })
	count := 3 // the root, mounted, newRoot
	if s.host && inUserNamespace() {
		for _, name := range []string{"proc", "sys"} {
			m.dir(name, "")
			m.mount("/"+name, name, "", unix.MS_BIND|unix.MS_REC, "")
		}
		count += 2
	}
	m.do("pivot_root", func() error { return unix.PivotRoot(".", ".") })
	m.do("detach the old root", func() error { return unix.Unmount(".", unix.MNT_DETACH) })
	m.do("chdir /", func() error { return unix.Chdir("/") })
	m.dir(source, "inside")
	for _, at := range []string{target, mounted, newRoot} {
		m.dir(at, "under")
	}
	m.mount("isoperf", mounted, "tmpfs", 0, "size=1m,mode=755")
	m.file(mounted + "/inside")
	m.dir(mounted+target, "under")
	m.mount("isoperf", newRoot, "tmpfs", 0, "size=1m,mode=755")
	m.file(newRoot + "/inside")
	m.binds(tree, s.tree)
	m.layers(s.layers)
	m.binds("/fill", n-count-s.tree)
	if s.shared {
		m.mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
	}
	if s.peers {
		m.mount("", mounted, "", unix.MS_SHARED, "")
	}
	return m.err
}

// binds mounts the source n times, on a directory each.
func (m *maker) binds(dir string, n int) {
	m.dir(dir, "")
	for i := range max(0, n) {
		at := dir + "/" + strconv.Itoa(i)
		m.dir(at, "")
		m.mount(source, at, "", unix.MS_BIND, "")
	}
}

func (m *maker) layers(n int) {
	m.dir(layers, "")
	for i := range n {
		m.dir(layers+"/"+strconv.Itoa(i+1), strconv.Itoa(i+1))
	}
}

// inUserNamespace says whether ids are mapped, or some are not.
func inUserNamespace() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && !slices.Equal(strings.Fields(string(text)), []string{"0", "0", "4294967295"})
}

// hold leaves the thread in a copy of its mount namespace, n times, and keeps
// each that it leaves.
func (g *stage) hold(n int) (err error) {
	g.Do(func() {
		for range n {
			var fd int
			if fd, err = unix.Openat(g.proc, "thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
				err = fmt.Errorf("hold mount namespace %d: %w", len(g.held)+1, err)
				return
			}
			g.held = append(g.held, fd)
			if err = unix.Unshare(unix.CLONE_NEWNS); err != nil {
				err = fmt.Errorf("make mount namespace %d: %w", len(g.held), err)
				return
			}
		}
	})
	return err
}

// rest is how a run begins.
type rest struct {
	settle time.Duration // the pause before a burst run
	paced  bool          // none, and nothing to warm up: the harness paces
}

// sampler runs one program on a stage.
type sampler struct {
	stage *stage
	img   *program.Image
	rest  rest
	read  func(program.Times) []sample.Value
}

// open prepares an act on a stage of n mounts.
func open(a act, n int, r rest) (harness.Sampler, error) {
	g, err := newStage(n, a.scene)
	if err != nil {
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	return openOn(g, a, r)
}

// openOn prepares an act on a stage, which is closed with it.
func openOn(g *stage, a act, r rest) (harness.Sampler, error) {
	p, img, err := load(a)
	if err != nil {
		g.close()
		return nil, err
	}
	return begin(&sampler{g, img, r, func(program.Times) []sample.Value { return p.values(img) }})
}

// load builds an act's program.
func load(a act) (*plan, *program.Image, error) {
	p := &plan{Program: program.New(program.Stub, unix.CLONE_NEWNS|a.flags)}
	a.build(p)
	p.Add(program.Exit(0))
	img, err := program.Load(p.Program)
	return p, img, err
}

// begin runs the program once: what the kernel refuses is not measured.
func begin(s *sampler) (harness.Sampler, error) {
	var err error
	s.stage.Do(func() { _, err = s.one() })
	if err != nil {
		return nil, errors.Join(harness.NotMeasured{Why: err.Error()}, s.Close())
	}
	return s, nil
}

func (s *sampler) one() ([]sample.Value, error) {
	t, err := s.img.Cycle()
	if err != nil {
		return nil, err
	}
	return s.read(t), nil
}

// Sample hands the work to the stage's thread, which that has woken: it settles
// again before a burst.
func (s *sampler) Sample(n int, emit func([]sample.Value, error)) {
	s.stage.Do(func() {
		if !s.rest.paced {
			harness.Rest(s.rest.settle)
			for range harness.WarmUp {
				_, _ = s.one() // a failure will show again
			}
		}
		for range n {
			emit(s.one())
		}
	})
}

// Close ends the thread, and its namespaces with it.
func (s *sampler) Close() error {
	s.img.Close()
	return s.stage.close()
}
