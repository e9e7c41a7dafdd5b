package idmap

import (
	"fmt"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/capability"
	"isoperf/runtime/program"
)

// Self maps the caller's own user and group, and no others, to root of the
// user namespace of a process. Any user may write such a map; setgroups(2) is
// denied inside from then on.
func Self(pid int) error {
	return writeFiles(pid, Own(os.Geteuid(), os.Getegid()), [2]bool{true, true}, true)
}

// Write gives the user namespace of a process its maps, which can be done once.
// The caller must be in the parent of that namespace. What the caller may
// write, it writes itself; newuidmap and newgidmap write the rest, both at the
// same time, and look up the caller's ranges on their own. A group map that the
// caller writes without CAP_SETGID denies setgroups(2) inside. After an error
// one of the maps may have been written: end the process.
func (m Maps) Write(pid int) error {
	w, err := m.Start(pid)
	if err != nil {
		return err
	}
	return w.Wait()
}

// Start is Write as far as it goes without waiting: newuidmap and newgidmap
// take about a millisecond, in which the caller can do something else.
func (m Maps) Start(pid int) (*Writing, error) { return m.start(pid, findProgram) }

// Writing is maps that are being written. It is not safe for concurrent use.
type Writing struct{ writers []writer }

// Wait returns when both maps are written. It must be called once.
func (w *Writing) Wait() error {
	var first error
	for _, one := range w.writers {
		if err := one.wait(); first == nil {
			first = err
		}
	}
	return first
}

func (m Maps) start(pid int, find finder) (*Writing, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	caps, err := capability.Effective()
	if err != nil {
		return nil, err
	}
	setuid, setgid := caps.Has(capability.Of(unix.CAP_SETUID)), caps.Has(capability.Of(unix.CAP_SETGID))
	direct := [2]bool{
		setuid || isOwn(m.UIDs, os.Geteuid()),
		setgid || isOwn(m.GIDs, os.Getegid()),
	}
	// The helpers start first, and run while the files are written.
	w := &Writing{}
	w.writers, err = m.startWriters(pid, direct, find)
	if err == nil {
		err = writeFiles(pid, m, direct, !setgid)
	}
	if err != nil {
		_ = w.Wait() // what went wrong first says more
		return nil, err
	}
	return w, nil
}

// isOwn says whether a map is of one id outside, this one: any user may write
// it. For groups it takes denied setgroups(2) as well.
func isOwn(list []specs.LinuxIDMapping, id int) bool {
	return len(list) == 1 && list[0].Size == 1 && int(list[0].HostID) == id
}

// Ops has the child write its maps itself, after it has unshared or was cloned
// into its user namespace, with /proc mounted: so nobody has to wait for the
// other. Only maps of the own user and group alone can be written from inside;
// for others it is an error, and the way is Write. setgroups(2) is denied
// inside, even to root. The child must not have changed its user or group.
func (m Maps) Ops(p *program.Program) error {
	if err := m.Check(); err != nil {
		return err
	}
	if !isOwn(m.UIDs, os.Geteuid()) || !isOwn(m.GIDs, os.Getegid()) {
		return fmt.Errorf("write id maps from inside: they hold more than the own ids (%d and %d); write them from outside", os.Geteuid(), os.Getegid())
	}
	for _, f := range []struct{ name, text string }{
		{"uid_map", string(text(m.UIDs))}, {"setgroups", "deny"}, {"gid_map", string(text(m.GIDs))},
	} {
		fd := p.Add(program.Open("/proc/self/"+f.name, unix.O_WRONLY))
		write := program.Write(program.Result(fd), f.text)
		write.Name = "write " + f.name
		p.Add(write)
		p.Add(program.Close(program.Result(fd)))
	}
	return nil
}

// writeFiles writes the maps that may be written straight to /proc/PID. It uses
// the system calls themselves: os.WriteFile takes a quarter longer for the same.
func writeFiles(pid int, m Maps, direct [2]bool, denySetgroups bool) error {
	for i, side := range m.sides() {
		if !direct[i] {
			continue
		}
		if side.file == "gid_map" && denySetgroups {
			if err := writeFile(pid, "setgroups", []byte("deny")); err != nil {
				return err
			}
		}
		if err := writeFile(pid, side.file, text(side.list)); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(pid int, name string, content []byte) error {
	path := "/proc/" + strconv.Itoa(pid) + "/" + name
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %q: %w; %s", path, err, openHint(err))
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, content); err != nil {
		return fmt.Errorf("write %q to %q: %w; %s", content, path, err, writeHint(path))
	}
	return nil
}

func openHint(err error) string {
	switch err {
	case unix.ENOENT:
		return "the process has ended, /proc is not mounted, or the kernel lacks user namespaces"
	case unix.EACCES, unix.EPERM:
		return "the process is another user's, or cannot be dumped since it changed its user: write the maps before that"
	}
	return "see user_namespaces(7)"
}

// writeHint says why the kernel may have refused a map that Check let pass.
func writeHint(path string) string {
	if old, err := os.ReadFile(path); err == nil && len(old) > 0 {
		return "the namespace has this map already (or is the initial one), and it can be written once"
	}
	return "the caller must be in the parent user namespace, which must know every id outside, and " +
		"have CAP_SETUID, CAP_SETGID and, for id 0, CAP_SETFCAP there; without them, map the own id alone"
}
