package startup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
)

// sandboxes are the peers that start a command in a directory, beside bwrap and
// unshare.
func sandboxes() []peer {
	return []peer{
		{name: "lxc", binary: "lxc-start", about: "LXC, a system container from a file of settings", takes: roots,
			before: readyLXC, launch: lxc, variants: []string{"host-net"},
			notes: []string{"lxc-start does not pass the payload's exit status on: that it wrote its stamp counts"}},
		{name: "firejail", about: "firejail, a setuid sandbox for programs of the desktop", takes: roots, slow: 2,
			before: readyFirejail, launch: firejail, variants: []string{"host-net"}},
		{name: "systemd-nspawn", about: "a container as systemd makes it, without a unit", takes: roots, slow: 4,
			before: readyNspawn, launch: nspawn, variants: []string{"host-net"}},
	}
}

func readyLXC(w *world, _ *peer, _ string) error {
	return w.leaves([]string{"/run/lxc"}, []string{"lxc.pivot"})
}

// lxc is "lxc-start" in the foreground. The root is read-only, so that the
// payload can be shown in one of the user's.
func lxc(w *world, s setup) (start, error) {
	root, show, err := w.plainRoot(s)
	if err != nil {
		return start{}, err
	}
	if len(w.config.Exec) > 0 {
		return start{}, errors.New("start lxc: it does not pass the exit status on, so a command of yours that fails would count; name the other runtimes with --runtime")
	}
	settings := []string{"lxc.rootfs.path = dir:" + root, "lxc.rootfs.options = ro", "lxc.mount.auto = proc:mixed", "lxc.init.cmd = " + strings.Join(s.args, " "),
		"lxc.console.path = none", "lxc.tty.max = 0", "lxc.pty.max = 1", "lxc.no_new_privs = 1", "lxc.prlimit.nofile = 1024",
		"lxc.cap.keep = " + strings.ToLower(strings.ReplaceAll(strings.Join(usualCapabilities, " "), "CAP_", ""))}
	if show {
		settings = append(settings, "lxc.mount.entry = "+w.payload+" "+strings.TrimPrefix(payloadShown, "/")+" none bind,ro,create=file 0 0")
	}
	if s.variant.hostNet {
		settings = append(settings, "lxc.net.0.type = none")
	} else {
		settings = append(settings, "lxc.net.0.type = empty", "lxc.uts.name = runc")
	}
	if w.rootless(s.variant) {
		settings = append(settings, fmt.Sprintf("lxc.idmap = u 0 %d 1", w.uid(s.variant)), fmt.Sprintf("lxc.idmap = g 0 %d 1", w.gid(s.variant)))
	}
	home, err := w.home(s.variant)
	if err != nil {
		return start{}, err
	}
	path := filepath.Join(home, s.id+".conf")
	if err := os.WriteFile(path, []byte(strings.Join(settings, "\n")+"\n"), 0o644); err != nil {
		return start{}, fmt.Errorf("write the settings of lxc: %w", err)
	}
	return start{argv: []string{s.path, "-F", "-P", home, "-n", s.id, "-f", path}}, nil
}

// firejailAt is where firejail keeps its state, in mounts that it makes in the
// mount namespace of who calls it, even for its version.
const firejailAt = "/run/firejail"

// readyFirejail has close undo the mounts. Only root can: an ordinary user's
// firejail is started where they are there already.
func readyFirejail(w *world, _ *peer, _ string) error {
	before, err := mountsBelow(firejailAt)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		if len(before) == 0 {
			return harness.NotMeasured{Why: "firejail would leave mounts below " + firejailAt + ", which only root can undo; start it once yourself, and it is measured"}
		}
		return nil
	}
	_, err = os.Stat(firejailAt)
	fresh := errors.Is(err, os.ErrNotExist)
	files, err := filepath.Glob(firejailFiles)
	if err != nil {
		return fmt.Errorf("list what firejail has left before: %w", err)
	}
	if err := w.leaves([]string{firejailAt}, nil); err != nil {
		return err
	}
	w.onClose(func() error { return undoFirejail(before, files, fresh) })
	return nil
}

// firejailFiles are those of the sandboxes, by the number of their process.
const firejailFiles = firejailAt + "/*/[0-9]*"

// undoFirejail undoes what was not there before: mounts, files of sandboxes that
// were killed, and, when the directory is new, those that are always in it.
func undoFirejail(mounts, files []string, fresh bool) error {
	after, err := mountsBelow(firejailAt)
	errs := []error{err}
	for _, place := range after[min(len(mounts), len(after)):] { // the later ones come last
		if err := unix.Unmount(place, 0); err != nil {
			errs = append(errs, fmt.Errorf("unmount %q, which firejail has mounted: %w", place, err))
		}
	}
	left, err := filepath.Glob(firejailFiles)
	errs = append(errs, err)
	left = slices.DeleteFunc(left, func(path string) bool {
		pid, _, _ := strings.Cut(filepath.Base(path), "-")
		return slices.Contains(files, path) || isThere("/proc/"+pid)
	})
	if fresh {
		left = append(left, firejailAt+"/firejail.ro.file", firejailAt+"/firejail-run.lock")
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove what firejail has left: %w", err))
		}
	}
	return errors.Join(errs...)
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// mountsBelow are the places in a directory where something is mounted, in the
// order in which it was; see proc(5), mountinfo.
func mountsBelow(dir string) (list []string, err error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find the mounts below %q: %w", dir, err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			list = append(list, f[4])
		}
	}
	return list, nil
}

// firejail starts the payload where it is: a root of its own is forbidden unless
// the machine's settings for firejail allow it.
func firejail(w *world, s setup) (start, error) {
	if _, err := w.givenUp(s, "has no root of its own"); err != nil {
		return start{}, err
	}
	argv := []string{s.path, "--quiet", "--noprofile", "--ipc-namespace", "--nonewprivs", "--rlimit-nofile=1024",
		"--caps.keep=" + strings.ToLower(strings.ReplaceAll(strings.Join(usualCapabilities, ","), "CAP_", ""))}
	if !s.variant.hostNet {
		argv = append(argv, "--net=none", "--hostname=runc")
	}
	return start{argv: append(append(argv, w.payload), s.args[1:]...)}, nil
}

func readyNspawn(w *world, _ *peer, _ string) error {
	if os.Geteuid() != 0 {
		return nil // it says itself that it needs root
	}
	place := "/run/systemd/nspawn"
	if _, err := os.Stat(filepath.Dir(place)); errors.Is(err, os.ErrNotExist) {
		place = filepath.Dir(place) // where systemd runs, the rest is its own
	}
	locks := filepath.Join(place, "locks", "inode-*") // of roots; a killed one's stays
	before, err := filepath.Glob(locks)
	if err != nil {
		return fmt.Errorf("list the locks of systemd-nspawn: %w", err)
	}
	if err := w.leaves([]string{place, "/run/mount"}, []string{"payload", "supervisor"}); err != nil {
		return err
	}
	w.onClose(func() error {
		after, err := filepath.Glob(locks)
		for _, file := range after {
			if !slices.Contains(before, file) {
				err = errors.Join(err, os.Remove(file))
			}
		}
		return err
	})
	return nil
}

// nspawn is systemd-nspawn without systemd: no unit, no registration. Its
// output is the payload's, not that of a terminal. The root is read-only; it
// has what a system has that nspawn looks for.
func nspawn(w *world, s setup) (start, error) {
	root, show, err := w.plainRoot(s)
	if err != nil {
		return start{}, err
	}
	if w.config.Rootfs == "" {
		if root, err = w.ownRoot(s, "run", "tmp", "root", "usr", "etc", "var"); err == nil {
			err = os.WriteFile(filepath.Join(root, "etc", "os-release"), nil, 0o644)
		}
		if err != nil {
			return start{}, fmt.Errorf("make a root for systemd-nspawn: %w", err)
		}
	}
	argv := []string{s.path, "--register=no", "--keep-unit", "--quiet", "--console=pipe", "--link-journal=no", "--timezone=off", "--resolv-conf=off", "--read-only",
		"--machine=" + s.id, "--hostname=runc", "--rlimit=NOFILE=1024", "--no-new-privileges=yes", "--drop-capability=all", "--capability=" + strings.Join(usualCapabilities, ",")}
	if show {
		argv = append(argv, "--bind-ro="+w.payload+":"+payloadShown)
	}
	if !s.variant.hostNet {
		argv = append(argv, "--private-network")
	}
	return start{argv: append(append(argv, "-D", root), s.args...)}, nil
}
