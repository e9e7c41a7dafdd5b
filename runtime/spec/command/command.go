// Package command makes a container of a command line: what a person leaves
// out gets the value that container tools agree on.
//
//	Options ──Container──► spec.Container ──► container.New
//	  words of flags          words of OCI
//
// Every word is parsed here, and every error names the flag.
package command

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
	"isoperf/runtime/network"
	"isoperf/runtime/rootfs"
	"isoperf/runtime/spec"
)

// Options are the flags, as they were typed. Empty means the default.
type Options struct {
	ID         string   // empty: one is made up
	Args       []string // the command
	Rootfs     string   // a directory; empty: the host's tree
	Throwaway  bool     // what is written to Rootfs is gone afterwards
	Proc       *bool    // a private /proc; nil: with a pid namespace and a rootfs
	CPU        string
	CPUs       string
	CPUWeight  string
	Memory     string
	Pids       string
	IOMax      []string
	Net        network.Mode // empty: none, or the host's where Namespaces leaves net out
	Namespaces string       // empty: see Default
	Userns     string       // auto, keep or none
	MapRoot    bool
	CapAdd     []string
	CapDrop    []string
	Seccomp    string // default, strict, unconfined or a file
	Hostname   string
	Env        []string
	Workdir    string
	User       string
	Volumes    []string
	Tmpfs      []string
	ReadOnly   bool
	TTY        bool
	Init       bool
}

// Caller is who runs the container.
type Caller struct {
	UID, GID int
	Name     string
	Environ  []string
	Dir      string
}

// Self is this process's caller.
func Self(name string) Caller {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	return Caller{UID: os.Geteuid(), GID: os.Getegid(), Name: name, Environ: os.Environ(), Dir: dir}
}

// Container is the container that the options ask for, not checked yet.
func (o Options) Container(who Caller) (*spec.Container, error) {
	b := &builder{o: o, who: who, c: &spec.Container{
		ID: o.ID, Bundle: who.Dir, Init: o.Init, HostRoot: o.Rootfs == "", Overlay: o.Throwaway,
		Spec: &specs.Spec{Version: specs.Version, Process: &specs.Process{}, Linux: &specs.Linux{}},
	}}
	for _, step := range []func() error{
		b.namespaces, b.identity, b.root, b.process, b.limits, b.capabilities, b.mounts, b.seccomp,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b.c, nil
}

// builder fills a container in.
type builder struct {
	o     Options
	who   Caller
	c     *spec.Container
	flags uint64 // namespaces of its own
}

// namespaces decides which namespaces the container has of its own: all but
// time, net only unless it is to be the host's, user for an ordinary user.
func (b *builder) namespaces() error {
	var err error
	switch list := b.o.Namespaces; list {
	case "":
		b.flags = namespace.Flags("user", "time")
		if b.o.Net == network.Host {
			b.flags &^= unix.CLONE_NEWNET
		}
	default:
		if b.flags, err = namespace.ParseList(list); err != nil {
			return fmt.Errorf("--namespaces: %w", err)
		}
		if b.o.Net == network.Host && b.flags&unix.CLONE_NEWNET != 0 {
			return fmt.Errorf("--net host and --namespaces %s contradict each other: leave net out of the list", list)
		}
	}
	switch {
	case b.o.Net != "" && b.o.Net != network.Host:
		b.flags |= unix.CLONE_NEWNET // it is asked for
	case b.flags&unix.CLONE_NEWNET == 0:
		b.o.Net = network.Host
	case b.o.Net == "":
		b.o.Net = network.None
	}
	if b.o.Rootfs != "" || len(b.o.Volumes)+len(b.o.Tmpfs) > 0 || b.proc() {
		b.flags |= unix.CLONE_NEWNS // its mounts must not be the host's
	}
	if err := b.userNamespace(); err != nil {
		return err
	}
	for _, n := range namespace.All() {
		if b.flags&n.Flag != 0 {
			b.c.Linux.Namespaces = append(b.c.Linux.Namespaces, specs.LinuxNamespace{Type: spec.Type(n)})
		}
	}
	b.c.LoopbackUp = b.own(unix.CLONE_NEWNET)
	b.c.Connected = b.o.Net != network.None && b.o.Net != network.Host
	return nil
}

func (b *builder) own(flag uint64) bool { return b.flags&flag != 0 }

// proc says whether there is a private /proc.
func (b *builder) proc() bool {
	if b.o.Proc != nil {
		return *b.o.Proc
	}
	return b.o.Rootfs != "" && b.flags&unix.CLONE_NEWPID != 0
}

// root says what "/" is, and the names of the machine.
func (b *builder) root() error {
	if b.o.Rootfs == "" {
		if b.o.ReadOnly {
			return fmt.Errorf("--read-only: it is about a root of the container's own: give --rootfs")
		}
		if b.o.Throwaway {
			return fmt.Errorf("--throwaway: it is about a root of the container's own: give --rootfs")
		}
	} else {
		dir, err := filepath.Abs(b.o.Rootfs)
		if err != nil {
			return fmt.Errorf("--rootfs: %w", err)
		}
		b.c.Root = &specs.Root{Path: dir, Readonly: b.o.ReadOnly}
	}
	b.c.Hostname = b.o.Hostname
	if b.c.Hostname == "" && b.o.Rootfs != "" && b.own(unix.CLONE_NEWUTS) {
		b.c.Hostname = b.o.ID
	}
	switch {
	case len(b.o.Hostname) > 64:
		return fmt.Errorf("--hostname %q: it has %d characters, the most is 64", b.o.Hostname, len(b.o.Hostname))
	case b.o.Hostname != "" && !b.own(unix.CLONE_NEWUTS):
		return fmt.Errorf("--hostname %q: it would be the host's name without a uts namespace: add uts to --namespaces", b.o.Hostname)
	case b.proc() && b.own(unix.CLONE_NEWUSER) && !b.own(unix.CLONE_NEWPID):
		return errors.New("--proc: in a user namespace a private /proc shows a pid namespace of its own: add pid to --namespaces, or leave it out (--proc=false)")
	case b.o.Init && !b.own(unix.CLONE_NEWPID):
		return errors.New("--init: orphans come to the init of a pid namespace: add pid to --namespaces")
	}
	return nil
}

// process is the command and what surrounds it.
func (b *builder) process() error {
	p := b.c.Process
	p.Args, p.Terminal, p.NoNewPrivileges = b.o.Args, b.o.TTY, true
	env := map[string]string{}
	if b.o.Rootfs == "" {
		for _, e := range b.who.Environ {
			if name, value, ok := strings.Cut(e, "="); ok && name != "" {
				env[name] = value
			}
		}
	} else {
		env["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
		env["HOME"] = b.home()
		env["container"] = "isoperf"
		if b.o.TTY {
			env["TERM"] = "xterm"
			if term, ok := lookup(b.who.Environ, "TERM"); ok && term != "" {
				env["TERM"] = term
			}
		}
	}
	for _, e := range b.o.Env {
		name, value, given := strings.Cut(e, "=")
		if name == "" {
			return fmt.Errorf("--env %q: the name is empty", e)
		}
		if !given { // the caller's own
			if value, given = lookup(b.who.Environ, name); !given {
				continue
			}
		}
		env[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		p.Env = append(p.Env, name+"="+env[name])
	}
	p.Cwd = b.o.Workdir
	if p.Cwd == "" {
		p.Cwd = "/"
		if b.o.Rootfs == "" {
			p.Cwd = b.who.Dir
		}
	}
	if !path.IsAbs(p.Cwd) {
		return fmt.Errorf("--workdir %q: it is not absolute", p.Cwd)
	}
	return nil
}

func lookup(environ []string, name string) (string, bool) {
	for _, e := range environ {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// mounts are what every root of its own gets, and what was asked for.
func (b *builder) mounts() error {
	if b.o.Rootfs != "" {
		b.usual()
	} else if b.proc() {
		b.mount("proc", "proc", "/proc", "nosuid", "noexec", "nodev")
	}
	for _, t := range b.o.Tmpfs {
		dir, options, _ := strings.Cut(t, ":")
		if !path.IsAbs(dir) {
			return fmt.Errorf("--tmpfs %q: %q is not an absolute directory", t, dir)
		}
		list := []string{"nosuid", "nodev"}
		if options != "" {
			list = append(list, strings.Split(options, ",")...)
		}
		if word, ok := wrongSize(list); ok {
			return fmt.Errorf("--tmpfs %q: %q is not a size such as size=64m or size=10%%", t, word)
		}
		if err := b.place(dir); err != nil {
			return fmt.Errorf("--tmpfs %q: %w", t, err)
		}
		b.mount("tmpfs", "tmpfs", dir, list...)
	}
	for _, v := range b.o.Volumes {
		if err := b.volume(v); err != nil {
			return err
		}
	}
	return nil
}

// place says whether there is something to mount on: in a root of its own it can
// be made, but the host's tree is not to be changed.
func (b *builder) place(target string) error {
	if b.o.Rootfs == "" && !rootfs.Exists(target) {
		return fmt.Errorf("there is no %q on the host, whose files are seen without --rootfs: make it, or name a place that is there", target)
	}
	return nil
}

// wrongSize finds a size= that the kernel would refuse; see tmpfs(5).
func wrongSize(options []string) (word string, wrong bool) {
	for _, word := range options {
		size, ok := strings.CutPrefix(word, "size=")
		if digits := strings.TrimRight(strings.ToLower(size), "kmgtpe%"); ok && (digits == "" || len(size)-len(digits) > 1 || strings.Trim(digits, "0123456789") != "") {
			return word, true
		}
	}
	return "", false
}

func (b *builder) mount(kind, source, target string, options ...string) {
	b.c.Mounts = append(b.c.Mounts, specs.Mount{Type: kind, Source: source, Destination: target, Options: options})
}

// usual are the file systems and the places of a Linux system that a container
// has of its own, and those it is not to touch. The lists are Docker's.
func (b *builder) usual() {
	if b.proc() {
		b.mount("proc", "proc", "/proc", "nosuid", "noexec", "nodev")
		b.c.Linux.MaskedPaths = []string{
			"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
			"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
		}
		b.c.Linux.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
	}
	b.mount("tmpfs", "tmpfs", "/dev", "nosuid", "strictatime", "mode=755", "size=65536k")
	pts := []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
	if b.mapped(5) {
		pts = append(pts, "gid=5") // group tty
	}
	b.mount("devpts", "devpts", "/dev/pts", pts...)
	b.mount("tmpfs", "shm", "/dev/shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k")
	if b.own(unix.CLONE_NEWIPC) {
		b.mount("mqueue", "mqueue", "/dev/mqueue", "nosuid", "noexec", "nodev")
	}
	if b.own(unix.CLONE_NEWUSER) && !b.own(unix.CLONE_NEWNET) {
		// The kernel lets only the owner of the network namespace mount one.
		b.mount("bind", "/sys", "/sys", "rbind", "rro", "nosuid", "noexec", "nodev")
	} else {
		b.mount("sysfs", "sysfs", "/sys", "nosuid", "noexec", "nodev", "ro")
		if b.own(unix.CLONE_NEWCGROUP) && rootfs.Exists("/sys/fs/cgroup") {
			b.mount("cgroup", "cgroup", "/sys/fs/cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
		}
	}
	if b.own(unix.CLONE_NEWNET) && b.proc() {
		last := "2147483647"
		if b.own(unix.CLONE_NEWUSER) {
			last = fmt.Sprint(b.lastGroup())
		}
		b.c.Linux.Sysctl = map[string]string{"net.ipv4.ping_group_range": "0 " + last}
	}
}

// volume is SOURCE:TARGET[:OPTIONS].
func (b *builder) volume(text string) error {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) < 2 || parts[0] == "" || !path.IsAbs(parts[1]) {
		return fmt.Errorf("--volume %q: it is SOURCE:TARGET[:ro,…], with an absolute target", text)
	}
	source, err := filepath.Abs(parts[0])
	if err != nil {
		return fmt.Errorf("--volume %q: %w", text, err)
	}
	if !rootfs.Exists(source) {
		return fmt.Errorf("--volume %q: %q does not exist on the host", text, source)
	}
	if err := b.place(parts[1]); err != nil {
		return fmt.Errorf("--volume %q: %w", text, err)
	}
	options := []string{"rbind", "rprivate"}
	if len(parts) == 3 {
		for word := range strings.SplitSeq(parts[2], ",") {
			switch {
			case word == "ro":
				word = "rro" // all that is below, too
			case !slices.Contains(volumeWords(), word) && !propagates(word):
				return fmt.Errorf("--volume %q: %q is no option: ro, rw, nosuid, nodev, noexec, noatime and private, slave, shared are", text, word)
			}
			options = append(options, word)
		}
	}
	b.mount("bind", source, parts[1], options...)
	return nil
}

// volumeWords are the options of a volume beside its propagation; a leading r
// means all that is below, too.
func volumeWords() []string {
	return []string{
		"rw", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "strictatime", "nosymfollow", "suid", "dev", "exec",
		"rro", "rrw", "rnosuid", "rnodev", "rnoexec", "rnoatime", "bind", "rbind",
	}
}

func propagates(word string) bool {
	_, ok := rootfs.Propagation(word)
	return ok
}
