package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/moby/sys/user"
	"github.com/spf13/cobra"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/cgroup/systemd"
	"isoperf/runtime/container"
	"isoperf/runtime/explain"
	"isoperf/runtime/foreground"
	"isoperf/runtime/network"
	"isoperf/runtime/program"
	"isoperf/runtime/rootfs"
	"isoperf/runtime/spec"
	"isoperf/runtime/spec/command"
)

// Exit statuses of isoperf run itself, as docker and podman have them.
const (
	exitOwn           = 125
	exitNotExecutable = 126
	exitNotFound      = 127
)

// runFlags are the flags of isoperf run.
type runFlags struct {
	command.Options
	net, timeline string
	proc          bool
	publish       []string
	stopTimeout   time.Duration
	plan, explain bool
	profile       bool
	hostLoopback  bool
	trace         *traceFile // nil: no --timeline
}

// run is the command that runs a container.
func (c *cli) run() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run [flags] [--] CMD [ARG...]",
		Short: "Run a command in a container, and say what its start cost",
		Long: `Run a command in a container: its own namespaces, root file system, limits,
network and privileges, as root or as an ordinary user. Without --rootfs it
sees the host's files. The start is one program of system calls, which can be
printed (--plan), explained (--explain) and timed, op by op (--profile,
--timeline).

--volume, --tmpfs, --env, --publish, --io-max, --cap-add and --cap-drop can be
given several times.

Own failures exit with 125; a command that cannot be executed with 126, one
that is not found with 127; a command that signal N ended with 128+N.`,
		Example: `  isoperf run -- bash                          a shell in namespaces of its own
  isoperf run -r ./debian -t -- bash           in another root, on a terminal
  isoperf run -r debian.tar.xz -c 20% -m 256M -p 64 -- stress -c 1
  isoperf run -r ./debian -n slirp4netns -- apt-get update
  isoperf run --namespaces user,pid,mnt --map-root -P -- bash
                                               as: unshare --fork --user --pid
                                               --map-root-user --mount-proc bash
  isoperf run -r ./debian --profile -- true    where the time of a start goes`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Args = args
			if cmd.Flags().Changed("proc") {
				f.Proc = &f.proc
			}
			err := f.check(cmd)
			if err == nil {
				err = c.container(f)
			}
			var s status
			if err != nil && !errors.As(err, &s) {
				err = status{code: exitOwn, err: err}
			}
			return err
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return status{exitOwn, nearFlag(cmd, err), true} })
	f.bind(cmd)
	return cmd
}

// bind defines the flags.
func (f *runFlags) bind(cmd *cobra.Command) {
	s := cmd.Flags()
	s.SetInterspersed(false)
	s.SortFlags = false
	s.StringVarP(&f.Rootfs, "rootfs", "r", "", "root file system: a `DIR` (in which places to mount on are made), or a tar (plain, gz, xz, zst), of which changes are thrown away")
	s.BoolVar(&f.Throwaway, "throwaway", false, "throw away what is written to the root file system (a layer in memory)")
	s.BoolVar(&f.ReadOnly, "read-only", false, "make the root file system read-only")
	s.BoolVarP(&f.proc, "proc", "P", false, "mount a private /proc (default with a pid namespace and --rootfs)")
	s.StringArrayVar(&f.Volumes, "volume", nil, "show a directory or file SRC of the host as DST inside: `SRC:DST[:ro]`")
	s.StringArrayVar(&f.Tmpfs, "tmpfs", nil, "mount an empty file system in memory on a `DIR`, or on DIR:size=64m,mode=700")
	s.StringVarP(&f.CPU, "cpu", "c", "", "CPU `LIMIT`: 20% or 20 of one CPU, 200m, or \"QUOTA PERIOD\" as in cpu.max")
	s.StringVar(&f.CPUWeight, "cpu-weight", "", "share of the CPU against others: an `N` from 1 to 10000 (cpu.weight)")
	s.StringVar(&f.CPUs, "cpuset", "", "CPUs to use: a `LIST` such as 0-1,3")
	s.StringVarP(&f.Memory, "memory", "m", "", "memory limit: a `SIZE` such as 512k, 64M, 1.5G")
	s.StringVarP(&f.Pids, "pids", "p", "", "at most `N` processes and threads")
	s.StringArrayVar(&f.IOMax, "io-max", nil, "I/O `LIMIT` of a disk: /dev/sda:rbps=1M,wiops=100 (io.max)")
	s.StringVarP(&f.net, "net", "n", "", "network `MODE`: none (but a loopback), host (the host's), slirp4netns or pasta (for everybody; with IPv6 where the host has it), bridge (for root; IPv4 only) (default none)")
	s.StringArrayVar(&f.publish, "publish", nil, "let a port of the host lead to one of the container: `HOST:PORT`, as 8080:80, or IP:8080:80/udp")
	s.BoolVar(&f.hostLoopback, "host-loopback", false, "let the container reach the host's loopback through its gateway")
	s.StringVar(&f.Namespaces, "namespaces", "", "namespaces of its own: a `LIST` such as pid,mnt or all,-time, of user pid net mnt uts ipc cgroup time; or none (default all but time, and user for ordinary users only)")
	s.StringVar(&f.Userns, "userns", "auto", "user namespace, a `MODE`: auto (for ordinary users), keep (the caller's ids stay what they are), none")
	s.BoolVar(&f.MapRoot, "map-root", false, "map the caller to root inside, and nobody else (it needs no ranges of ids)")
	s.StringVar(&f.User, "user", "", "`USER[:GROUP]` to run as, names or numbers")
	s.StringSliceVar(&f.CapAdd, "cap-add", nil, "give a `CAPABILITY` beside the usual fourteen, or ALL")
	s.StringSliceVar(&f.CapDrop, "cap-drop", nil, "take a `CAPABILITY` away, or ALL")
	s.StringVar(&f.Seccomp, "seccomp", "default", "system call `FILTER`: default (Docker's), strict (read and write only, with a built-in command that copies input to output), unconfined, or a file of JSON as in OCI bundles")
	s.StringVar(&f.Hostname, "hostname", "", "`NAME` of the machine inside")
	s.StringArrayVar(&f.Env, "env", nil, "set a variable: `NAME=VALUE`, or NAME for the caller's")
	s.StringVar(&f.Workdir, "workdir", "", "`DIR` to start in")
	s.BoolVarP(&f.TTY, "tty", "t", false, "give the command a terminal")
	s.BoolVar(&f.Init, "init", false, "put a process before the command that reaps orphans; the command is process 2")
	s.DurationVar(&f.stopTimeout, "stop-timeout", 0, "kill so long after the first SIGINT or SIGTERM: a `TIME` such as 10s (default: the second one kills)")
	s.BoolVar(&f.plan, "plan", false, "print the program of system calls, run nothing")
	s.BoolVar(&f.explain, "explain", false, "print the program with a sentence on each call, run nothing")
	s.BoolVar(&f.profile, "profile", false, "print on stderr where the time of the start went, when the command has ended")
	s.StringVar(&f.timeline, "timeline", "", "write the start as a trace to `FILE` (JSON, for Perfetto and Chrome)")
	for name, words := range map[string][]string{
		"net": {"none", "host", "slirp4netns", "pasta", "bridge"}, "userns": {"auto", "keep", "none"}, "seccomp": {"default", "strict", "unconfined"},
	} {
		directive := cobra.ShellCompDirectiveNoFileComp
		if name == "seccomp" { // or a file
			directive = cobra.ShellCompDirectiveDefault
		}
		// It fails for a flag that is not defined only.
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, directive))
	}
}

// container plans and runs one.
func (c *cli) container(f *runFlags) error {
	f.ID = fmt.Sprintf("iso-%08x", rand.Uint32())
	var err error
	if f.Net, err = parseNet(f.net); err != nil {
		return err
	}
	who := command.Self(callerName())
	if err := c.openRootfs(f, who); err != nil {
		return err
	}
	ct, err := f.Container(who)
	if err != nil {
		return err
	}
	o := foreground.Options{
		Container: container.Options{Record: recordDir()}, StopTimeout: f.stopTimeout, Timed: f.profile || f.timeline != "",
		In: file(c.stdin, os.Stdin), Out: file(c.stdout, os.Stdout), Err: file(c.stderr, os.Stderr),
		Warn: func(text string) { fmt.Fprintf(c.stderr, "isoperf: warning: %s\n", text) },
	}
	link := &linking{}
	if err := link.plan(f, ct, &o); err != nil {
		return err
	}
	if err := ct.Check(); err != nil {
		return err
	}
	if f.plan || f.explain {
		return c.show(f, ct, o)
	}
	return c.execute(f, ct, o, link)
}

// show prints the plan.
func (c *cli) show(f *runFlags, ct *spec.Container, o foreground.Options) error {
	plan, err := foreground.Prepare(ct, o)
	if err != nil {
		return err
	}
	if f.explain {
		return explain.Program(c.stdout, plan.Program())
	}
	if scoped, err := f.scoped(); err == nil && scoped {
		if _, err := fmt.Fprintf(c.stdout, "launcher: ask systemd for %s, and make the control group in it\n", f.scope()); err != nil {
			return fmt.Errorf("print the plan: %w", err)
		}
	}
	if ct.Connected {
		if _, err := fmt.Fprintf(c.stdout, "launcher: connect the network with %s (once the child waits for it)\n", f.Net); err != nil {
			return fmt.Errorf("print the plan: %w", err)
		}
	}
	return plan.Print(c.stdout)
}

// execute runs the container and reports on it.
func (c *cli) execute(f *runFlags, ct *spec.Container, o foreground.Options, link *linking) (err error) {
	end, err := delegated(c.ctx, f, &o)
	if err != nil {
		return fmt.Errorf("--%s: %w", f.limit(), err)
	}
	defer func() { err = errors.Join(err, end()) }()
	if f.timeline != "" {
		if f.trace, err = openTrace(f.timeline); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.trace.close()) }()
	}
	made := missingPlaces(ct, o.Container)
	defer made.close()
	start := program.Now()
	runtime.LockOSThread() // the container dies with this thread
	result, err := foreground.Run(ct, o)
	err = errors.Join(err, link.close())
	sweep(c.stderr, o.Container.Record, ct)
	if result.Container != nil {
		if terr := c.reportStart(f, result, link, start); err == nil {
			err = terr
		}
	}
	if err != nil {
		if op := (*program.OpError)(nil); result.Container == nil || errors.As(err, &op) { // nothing has run
			made.remove()
		}
		return f.failed(ct, err)
	}
	if code := result.Status.ExitCode(); code != 0 {
		return status{code: code}
	}
	return nil
}

// sweep removes what runtimes left that were killed. It is done after this
// one's container, which need not wait for it.
func sweep(stderr io.Writer, record string, ct *spec.Container) {
	if ct.Connected {
		if _, err := network.Sweep(record); err != nil {
			fmt.Fprintf(stderr, "isoperf: warning: %v\n", err)
		}
	}
}

// scoped says whether the limits that are asked for take a control group from
// systemd.
func (f *runFlags) scoped() (bool, error) {
	root := os.Geteuid() == 0
	if !f.Limited() || root && !systemd.Manages() {
		return false, nil
	}
	host, err := cgroup.Detect()
	switch {
	case err != nil:
		return false, err
	case host.Mode() == "v2" || root:
		return host.Mode() == "v2", nil
	}
	return false, errors.New("limits for an ordinary user take control groups of version 2 that are delegated, and this machine has version 1: run as root, or without limits (isoperf doctor)")
}

// scope names it.
func (f *runFlags) scope() string { return "isoperf-" + f.ID + ".scope" }

// delegated gets that control group. Root can do without, at a price.
func delegated(ctx context.Context, f *runFlags, o *foreground.Options) (end func() error, err error) {
	none := func() error { return nil }
	if scoped, err := f.scoped(); err != nil || !scoped {
		return none, err
	}
	dir, end, err := cgroup.Delegate(ctx, f.scope(), os.Getpid())
	if err != nil && os.Geteuid() == 0 {
		o.Warn(fmt.Sprintf("%v; the limits hold until systemd reloads (systemctl daemon-reload)", err))
		return none, nil
	}
	if err != nil {
		return nil, err
	}
	o.Container.Parent = dir
	return end, nil
}

// linking is the network of one container, from plan to end.
type linking struct {
	config network.Config
	link   *network.Link
}

// plan prepares the network.
func (l *linking) plan(f *runFlags, ct *spec.Container, o *foreground.Options) error {
	l.config = network.Config{Mode: f.Net, Hostname: ct.Hostname, HostLoopback: f.hostLoopback, Record: o.Container.Record, ID: f.ID}
	for _, p := range f.publish {
		port, err := network.ParsePort(p)
		if err != nil {
			return fmt.Errorf("--publish: %w", err)
		}
		l.config.Publish = append(l.config.Publish, port)
	}
	if !ct.Connected {
		if f.hostLoopback {
			return errors.New("--host-loopback: this network has no gateway: choose --net slirp4netns or pasta")
		}
		if len(f.publish) > 0 {
			return errors.New("--publish: this network has nothing to publish a port with: choose --net slirp4netns, pasta or bridge")
		}
		return l.files(ct, o, nil, nil)
	}
	resolv, hosts, err := network.HostFiles()
	if err != nil {
		return err
	}
	if l.config, err = l.config.Settle(resolv); err != nil {
		return err
	}
	if err := l.config.Check(); err != nil {
		return err
	}
	if err := l.files(ct, o, resolv, hosts); err != nil {
		return err
	}
	o.Connect = func(ctx context.Context, pid, userns, netns int) (err error) {
		l.link, err = network.Connect(ctx, l.config, network.Target{PID: pid, User: userns, Net: netns})
		return err
	}
	return nil
}

// files gives a root of its own its resolv.conf and hosts.
func (l *linking) files(ct *spec.Container, o *foreground.Options, resolv, hosts []byte) error {
	if ct.HostRoot {
		return nil
	}
	if !ct.LoopbackUp { // the host's network
		var err error
		if resolv, hosts, err = network.HostFiles(); err != nil {
			return err
		}
	}
	resolv, hosts = l.config.Files(resolv, hosts)
	o.Container.Texts = []rootfs.Text{{Path: "/etc/hosts", Content: hosts}}
	if !ct.LoopbackUp || ct.Connected {
		o.Container.Texts = append(o.Container.Texts, rootfs.Text{Path: "/etc/resolv.conf", Content: resolv})
	}
	return nil
}

func (l *linking) close() error {
	if l.link == nil {
		return nil
	}
	return l.link.Close()
}

func parseNet(text string) (network.Mode, error) {
	if text == "" {
		return "", nil
	}
	mode, err := network.ParseMode(text)
	if err != nil {
		return "", fmt.Errorf("--net: %w", err)
	}
	return mode, nil
}

// callerName is the user's name, "" when there is none in /etc/passwd.
func callerName() string {
	u, err := user.LookupUid(os.Geteuid())
	if err != nil {
		return ""
	}
	return u.Name
}

// recordDir is where the traces of containers lie that a killed runtime leaves.
func recordDir() string {
	if os.Geteuid() == 0 {
		return "/run/isoperf"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return dir + "/isoperf"
	}
	return fmt.Sprintf("%s/isoperf-%d", strings.TrimSuffix(os.TempDir(), "/"), os.Geteuid())
}

// file is a stream as a file; tests give others.
func file(stream any, std *os.File) *os.File {
	if f, ok := stream.(*os.File); ok {
		return f
	}
	return std
}
