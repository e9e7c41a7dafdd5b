package startup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// peers is the table of what can be compared, in the order of the results.
func peers() []peer {
	return slices.Concat(runtimes(), sandboxes(), engines())
}

// runtimes are the quick ones, and those that take bundles.
func runtimes() []peer {
	oci := []string{"seccomp", "limits", "host-net", "bare", "rootless", "cold"}
	return []peer{
		{name: "fork-exec", about: "the payload alone: a process, no container", takes: programs,
			version: nothing, locate: itself, launch: forkExec, variants: []string{"cold"}},
		{name: "isorun", about: "this project's runtime", takes: bundles, ours: true, locate: ours, launch: ociRun, variants: oci},
		{name: "library", about: "the same, started by a process that stays", takes: inside, version: nothing, locate: thisProgram, launch: ociRun,
			notes: []string{"from the call that reads the bundle; no process of its own is started for the runtime"}},
		{name: "isoperf-run", about: "the same runtime in the profiler", takes: roots, locate: thisProgram, launch: isoperfRun,
			variants: []string{"seccomp", "limits", "host-net", "rootless"}},
		{name: "runc", about: "the reference runtime", takes: bundles, launch: ociRun, variants: oci},
		{name: "crun", about: "the runtime in C", takes: bundles, launch: ociRun, variants: oci},
		{name: "youki", about: "the runtime in Rust", takes: bundles, launch: ociRun, variants: oci},
		{name: "runsc", about: "gVisor, a kernel in user space", takes: bundles, slow: 4, launch: runsc},
		{name: "bwrap", about: "bubblewrap, a sandbox without bundles", takes: roots, launch: bwrap, variants: []string{"host-net", "bare", "rootless", "cold"}},
		{name: "unshare", about: "unshare(1), namespaces and chroot", takes: roots, launch: unshare, variants: []string{"host-net", "rootless"}},
		machine("qemu-kvm", "a virtual machine: QEMU's microvm, by the processor's own means", "kvm", 8*time.Second),
		machine("qemu-tcg", "the same, emulated", "tcg", 20*time.Second),
	}
}

func nothing(string) (string, error)       { return "", nil }
func itself(w *world) (string, error)      { return w.payload, nil }
func thisProgram(w *world) (string, error) { return w.config.Self, nil }
func forkExec(_ *world, s setup) (start, error) {
	return start{argv: append([]string{s.path}, s.args[1:]...)}, nil
}

// ociRun is "RUNTIME run -b BUNDLE ID", as runc has it. An ordinary user has a
// place of its own for the runtime's state.
func ociRun(w *world, s setup) (start, error) {
	dir, err := w.bundle(s)
	if err != nil {
		return start{}, err
	}
	argv := []string{s.path}
	if w.rootless(s.variant) && !s.peer.ours {
		home, err := w.home(s.variant)
		if err != nil {
			return start{}, err
		}
		argv = append(argv, "--root", home+"/"+s.peer.name)
	}
	clean := func() error { return nil }
	if !s.peer.ours {
		remove := append(append([]string{}, argv[1:]...), "delete", "--force", s.id)
		env, err := w.environ(s.variant, nil) // some keep their state where it says
		if err != nil {
			return start{}, err
		}
		clean = w.removal(env, append([]string{s.path}, remove...))
	}
	return start{argv: append(argv, "run", "-b", dir, s.id), clean: clean}, nil
}

// runsc has a clock of its own inside, and a network of its own or none. It
// makes the place of a file that is shown in the root, even where something in
// memory covers it.
func runsc(w *world, s setup) (start, error) {
	if len(w.config.Exec) == 0 && (w.config.Rootfs != "" || s.variant.base != "") {
		return start{}, errors.New("start runsc: to show the payload in a root of yours it writes to it; say --exec with a command that the root has")
	}
	dir, err := w.bundle(s)
	if err != nil {
		return start{}, err
	}
	home, err := w.home(s.variant)
	if err != nil {
		return start{}, err
	}
	argv := []string{s.path, "--root=" + home + "/" + s.peer.name, "--network=none"}
	if w.rootless(s.variant) {
		argv = append(argv, "--rootless", "--ignore-cgroups")
	}
	remove := append(append([]string{}, argv[1:]...), "delete", "-force", s.id)
	env, err := w.environ(s.variant, nil)
	if err != nil {
		return start{}, err
	}
	return start{argv: append(argv, "run", "-bundle", dir, s.id), outside: true, takesInput: true, clean: w.removal(env, append([]string{s.path}, remove...))}, nil
}

// isoperfRun is the same container as a command line.
func isoperfRun(w *world, s setup) (start, error) {
	root, err := w.withHosts(s)
	if err != nil {
		return start{}, err
	}
	argv := []string{s.path, "run", "--read-only", "--hostname", "runc"}
	if w.config.Rootfs != "" {
		argv = append(argv, "--volume", w.payload+":"+payloadShown+":ro")
	}
	argv = append(argv, "--rootfs", root)
	filter, net, own := "unconfined", "none", "pid,mnt,uts,ipc"
	switch s.variant.name {
	case "seccomp":
		filter = "default"
	case "limits":
		argv = append(argv, "--cpu", "100%", "--memory", "256M", "--pids", "100")
	case "host-net":
		net = "host"
	}
	if net == "none" {
		own += ",net"
	}
	if w.rootless(s.variant) {
		own += ",user"
		argv = append(argv, "--map-root")
	}
	argv = append(argv, "--namespaces", own, "--seccomp", filter, "--net", net, "--")
	return start{argv: append(argv, s.args...)}, nil
}

// withHosts is a root with the files that "isoperf run" binds something over,
// which it makes where they are not.
func (w *world) withHosts(s setup) (string, error) {
	root, _, err := w.plainRoot(s)
	if err != nil {
		return "", err
	}
	given := w.config.Rootfs != ""
	if !given {
		if root, err = w.ownRoot(s, "etc"); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"etc/hosts", "etc/resolv.conf"} {
		path := filepath.Join(root, name)
		switch {
		case isFile(path):
		case given:
			return "", fmt.Errorf("start %s: it makes %q in the root %q, which nothing is written to; make it yourself, or name the other runtimes with --runtime", s.peer.name, name, root)
		default:
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				return "", fmt.Errorf("make a root for %s: %w", s.peer.name, err)
			}
		}
	}
	return root, nil
}

// bwrap makes the usual container as near as it can: it has no control groups,
// and as root leaves all capabilities unless told otherwise.
func bwrap(w *world, s setup) (start, error) {
	root, shown, err := w.plainRoot(s)
	if err != nil {
		return start{}, err
	}
	argv := []string{s.path, "--unshare-pid", "--unshare-uts", "--unshare-ipc", "--as-pid-1", "--die-with-parent", "--new-session",
		"--hostname", "runc", "--ro-bind", root, "/", "--proc", "/proc", "--tmpfs", "/dev"}
	if shown {
		argv = append(argv, "--ro-bind", w.payload, payloadShown)
	}
	if !s.variant.hostNet {
		argv = append(argv, "--unshare-net")
	}
	if s.variant.bare {
		argv = append(argv, "--unshare-cgroup")
	} else {
		argv = append(argv, "--cap-drop", "ALL", "--cap-add", "CAP_KILL", "--cap-add", "CAP_NET_BIND_SERVICE", "--cap-add", "CAP_AUDIT_WRITE")
	}
	if w.rootless(s.variant) {
		argv = append(argv, "--unshare-user")
	}
	return start{argv: append(argv, s.args...)}, nil
}

// unshare makes namespaces and a chroot; it can show nothing in another root.
func unshare(w *world, s setup) (start, error) {
	root, shown, err := w.plainRoot(s)
	if err != nil {
		return start{}, err
	}
	if shown {
		return start{}, fmt.Errorf("start unshare: it cannot show the payload in the root %q; say --exec with a command that it has", root)
	}
	argv := []string{s.path, "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--mount-proc", "--root=" + root}
	if !s.variant.hostNet {
		argv = append(argv, "--net")
	}
	if w.rootless(s.variant) {
		argv = append(argv, "--user", "--map-root-user")
	}
	return start{argv: append(argv, s.args...)}, nil
}

// plainRoot is the root of peers that take no bundle, and whether the payload
// has to be shown in it.
func (w *world) plainRoot(s setup) (root string, show bool, err error) {
	if s.variant.base != "" {
		return "", false, fmt.Errorf("start %s: it takes no bundle", s.peer.name)
	}
	if w.config.Rootfs != "" {
		return w.config.Rootfs, len(w.config.Exec) == 0, nil
	}
	return w.root, false, nil
}
