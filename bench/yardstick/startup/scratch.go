package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/capability"
)

//go:embed c
var sources embed.FS

// scratch is a directory that is gone when the run ends: the programs that are
// compared, and the bundles.
type scratch struct{ dir string }

func newScratch() (*scratch, error) {
	dir, err := os.MkdirTemp("", "startup-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the programs: %w", err)
	}
	return &scratch{dir}, nil
}

func (s *scratch) path(name string) string { return filepath.Join(s.dir, name) }

func (s *scratch) remove() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove %q: %w", s.dir, err)
	}
	return nil
}

// removeOnSignal removes the directory when a signal ends the run early, until
// stop is called.
func (s *scratch) removeOnSignal() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE)
	go func() {
		if sig, ok := <-signals; ok {
			if err := s.remove(); err != nil {
				fmt.Fprintf(os.Stderr, "startup: %v\n", err)
			}
			os.Exit(128 + int(sig.(unix.Signal)))
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// compile makes a static program of an embedded source. plan is the text of
// plan.h, for frame.c.
func (s *scratch) compile(source, out, plan string, more ...string) error {
	text, err := sources.ReadFile("c/" + source)
	if err != nil {
		return fmt.Errorf("read embedded %q: %w", source, err)
	}
	dir := out + ".c"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make %q: %w", dir, err)
	}
	path := filepath.Join(dir, source)
	if err := errors.Join(os.WriteFile(path, text, 0o644), os.WriteFile(filepath.Join(dir, "plan.h"), []byte(plan), 0o644)); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	args := append([]string{"-O2", "-static", "-Wall", "-Wno-unused-label", "-o", out, path}, more...)
	if message, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compile %q with gcc: %w\n%sinstall gcc and the static C library (Debian: gcc, libc6-dev)", source, err, message)
	}
	return nil
}

// buildGo builds a command of this module as the Makefile does, which writes the
// program anew at once.
func (s *scratch) buildGo(what, out string) error {
	flags := "-s -w -X main.buildVersion=startup"
	if strings.HasSuffix(what, "/isorun") {
		flags += " -R 0x200000 -E isoperf/runtime/program/inherit.entry"
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", flags, "-o", out, what)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if message, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %q: %w\n%srun this inside the module", what, err, message)
	}
	program, err := os.ReadFile(out)
	if err == nil {
		err = os.Remove(out)
	}
	if err == nil {
		err = os.WriteFile(out, program, 0o755)
	}
	if err != nil {
		return fmt.Errorf("write %q anew: %w", what, err)
	}
	return nil
}

// emptyGo is the smallest Go program: what the language's own start costs.
const emptyGo = "package main\n\nfunc main() {}\n"

// bundle is a directory with a root file system and a config.json per command:
// the payload, and the witness in a bundle beside it with the same root.
type bundle struct{ payload, witness, root string }

// newBundle writes both; edit makes the configuration for a command.
func (s *scratch) newBundle(name string, edit func(command string) (any, error)) (*bundle, error) {
	b := &bundle{payload: s.path(name), witness: s.path(name + "-witness"), root: s.path(name + "-root")}
	for _, dir := range []string{b.payload, b.witness, b.root} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make a bundle: %w", err)
		}
	}
	for dir, command := range map[string]string{b.payload: "payload", b.witness: "witness"} {
		program, err := os.ReadFile(s.path(command))
		if err == nil {
			err = os.WriteFile(filepath.Join(b.root, command), program, 0o755)
		}
		if err != nil {
			return nil, fmt.Errorf("put %q into the bundle: %w", command, err)
		}
		config, err := edit("/" + command)
		if err != nil {
			return nil, err
		}
		text, err := json.MarshalIndent(config, "", "\t")
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
		}
		if err != nil {
			return nil, fmt.Errorf("write config.json: %w", err)
		}
	}
	return b, nil
}

// usualBundle is what "runc spec" writes, with another command, another root,
// and without a terminal. The version is one that every runtime takes.
func (s *scratch) usualBundle() (*bundle, error) {
	dir := s.path("spec")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a bundle: %w", err)
	}
	if message, err := exec.Command("runc", "spec", "--bundle", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("write a configuration with runc spec: %w %s(scripts/peers installs runc)", err, message)
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, fmt.Errorf("read what runc spec wrote: %w", err)
	}
	return s.newBundle("usual", func(command string) (any, error) {
		var c map[string]any
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("read what runc spec wrote: %w", err)
		}
		process, ok := c["process"].(map[string]any)
		root, ok2 := c["root"].(map[string]any)
		if !ok || !ok2 {
			return nil, errors.New("read what runc spec wrote: it has no process or no root")
		}
		process["terminal"], process["args"] = false, []string{command}
		root["path"] = s.path("usual-root")
		c["ociVersion"] = "1.0.2"
		return c, nil
	})
}

// bareBundle is a container without limits: all namespaces but user, /proc and
// a /dev in memory, all capabilities, as bubblewrap leaves them to root.
func (s *scratch) bareBundle() (*bundle, error) {
	last, err := capability.Last()
	if err != nil {
		return nil, err
	}
	have, err := capability.Permitted()
	if err != nil {
		return nil, err
	}
	all := (capability.UpTo(last) & have).Names()
	return s.newBundle("bare", func(command string) (any, error) {
		c := &specs.Spec{
			Version: "1.0.2",
			Process: &specs.Process{
				Args: []string{command}, Env: variables(), Cwd: "/", NoNewPrivileges: true,
				Capabilities: &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all},
			},
			Root: &specs.Root{Path: s.path("bare-root")},
			Mounts: []specs.Mount{
				{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev", "noexec"}},
				{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=755"}},
			},
			Linux: &specs.Linux{},
		}
		for _, kind := range []specs.LinuxNamespaceType{
			specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace,
			specs.MountNamespace, specs.CgroupNamespace, specs.TimeNamespace,
		} {
			c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
		}
		return c, nil
	})
}

// variables are the environment of every contender and of the containers.
func variables() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"}
}

// yardstick compiles the C program that does what isorun does for a bundle.
func (s *scratch) yardstick(isorun, bundle, out string) error {
	text, err := exec.Command(isorun, "run", "--plan", "-b", bundle, containerID).Output()
	if err != nil {
		return fmt.Errorf("print the plan of %q: %w", bundle, withStderr(err))
	}
	p, err := parsePlan(string(text))
	if err != nil {
		return err
	}
	header, err := p.translate(variables())
	if err != nil {
		return err
	}
	return s.compile("frame.c", out, header)
}

// withStderr adds what the command said.
func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
