package startup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"isoperf/bench/harness"
)

// engines are the peers that manage containers and have another runtime start
// them.
func engines() []peer {
	const below = "CPU and memory are podman's alone: conmon and the runtime below it are no children of it"
	return []peer{
		{name: "podman-crun", binary: "podman", about: "the engine without a daemon, above crun", takes: roots, slow: 5,
			before: readyPodman, launch: podman("crun"), variants: []string{"host-net"}, notes: []string{below}},
		{name: "podman-runc", binary: "podman", about: "the same above runc", takes: roots, slow: 5,
			before: readyPodman, launch: podman("runc"), variants: []string{"host-net"}, notes: []string{below}},
		{name: "docker", about: "the engine with a daemon that already runs", takes: roots, slow: 5,
			before: readyDocker, launch: docker, variants: []string{"host-net"},
			notes: []string{"CPU and memory are the client's alone: the daemon, its shim and its runtime are no children of it"}},
	}
}

// confined are the options by which podman and docker make the usual container
// out of theirs.
func confined(s setup) []string {
	net := "none"
	if s.variant.hostNet {
		net = "host"
	}
	options := []string{"--rm", "--name", s.id, "--network=" + net, "--ulimit", "nofile=1024:1024", "--read-only",
		"--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined", "--cap-drop=all"}
	for _, c := range usualCapabilities {
		options = append(options, "--cap-add="+strings.TrimPrefix(c, "CAP_"))
	}
	if net == "none" {
		options = append(options, "--hostname=runc")
	}
	return options
}

// podmanDir is where podman keeps its storage and state. Its name is short:
// podman allows 50 characters for the path of one of them.
func (w *world) podmanDir(p *peer) string {
	dir, ok := w.podmans[p.name]
	if !ok {
		dir = filepath.Join(w.dir, fmt.Sprintf("p%d", len(w.podmans)))
		w.podmans[p.name] = dir
	}
	return dir
}

// podmanCommand is podman with a place of its own and without what is for later
// commands: events, images. The storage driver that copies is never used to
// copy here, and needs no mount.
func (w *world) podmanCommand(p *peer, path string) []string {
	dir := w.podmanDir(p)
	return []string{path, "--root", dir + "/storage", "--runroot", dir + "/run", "--tmpdir", dir + "/tmp", "--storage-driver=vfs",
		"--events-backend=none", "--cgroup-manager=cgroupfs", "--log-level=error"}
}

// readyPodman has an ordinary user's podman start the process that holds its
// user namespace, which then stays, and is ended with the rest.
func readyPodman(w *world, p *peer, path string) error {
	places := []string{"/run/libpod", "/run/containers", "/var/lib/cni"}
	if err := w.leaves(places, []string{"libpod_parent"}); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		return nil
	}
	lock := fmt.Sprintf("/dev/shm/libpod_rootless_lock_%d", os.Geteuid())
	if !isFile(lock) {
		w.onClose(func() error {
			if err := os.Remove(lock); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("remove podman's lock: %w", err)
			}
			return nil
		})
	}
	env, err := w.environ(variant{}, nil)
	if err != nil {
		return err
	}
	known, err := adopted()
	if err != nil {
		return err
	}
	if _, err := answer(p.bound(), env, nil, append(w.podmanCommand(p, path), "unshare", "true")...); err != nil {
		return errors.Join(fmt.Errorf("ready podman for an ordinary user: %w", err), endOrphans(known))
	}
	return nil
}

// podman starts a command in a directory with one of the runtimes that it knows.
func podman(runtime string) func(w *world, s setup) (start, error) {
	return func(w *world, s setup) (start, error) {
		root, err := w.givenUp(s, "writes into its root")
		if err != nil {
			return start{}, err
		}
		// The runtime's state is with podman's: it stays when both are killed.
		argv := append(w.podmanCommand(&s.peer, s.path), "--runtime="+runtime, "--runtime-flag=root="+w.podmanDir(&s.peer)+"/"+runtime)
		env, err := w.environ(s.variant, nil)
		if err != nil {
			return start{}, err
		}
		remove := append(append([]string{}, argv...), "rm", "--force", "--ignore", "--time=0", s.id)
		argv = append(append(argv, "run"), confined(s)...)
		// Its standard output is the payload's; podman raises both limits otherwise,
		// which takes a capability that root has not everywhere.
		argv = append(argv, "--log-driver=passthrough", "--read-only-tmpfs=false", "--ulimit", "nproc=1024:1024")
		if w.rootless(s.variant) && runtime == "crun" {
			argv = append(argv, "--cgroups=disabled") // they are root's; runc leaves them out by itself
		}
		argv = append(append(argv, "--rootfs", root), s.args...)
		return start{argv: argv, clean: w.removal(env, remove)}, nil
	}
}

// givenUp is a root of the peer's own, unless there is one of the user's, or a
// bundle: then it says why that cannot be.
func (w *world) givenUp(s setup, why string) (string, error) {
	if _, _, err := w.plainRoot(s); err != nil {
		return "", err
	}
	if w.config.Rootfs != "" {
		return "", fmt.Errorf("start %s: it %s, so it cannot start in the root %q as that is; name the other runtimes with --runtime", s.peer.name, why, w.config.Rootfs)
	}
	return w.ownRoot(s)
}

// dockerVariables say which daemon is meant, and how it is spoken to (docker's
// reference of its command line, "Environment variables").
var dockerVariables = []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION", "DOCKER_CUSTOM_HEADERS"}

// dockerEnv is what docker needs beside the environment of every runtime. Its
// configuration, which names the user's context, is in the user's home: the
// runtimes have another one.
func dockerEnv() (env []string) {
	for _, name := range dockerVariables {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	config := os.Getenv("DOCKER_CONFIG")
	if home, err := os.UserHomeDir(); config == "" && err == nil {
		config = filepath.Join(home, ".docker")
	}
	if _, err := os.Stat(config); err == nil {
		env = append(env, "DOCKER_CONFIG="+config)
	}
	return env
}

// onThisMachine refuses a daemon of another one, whose clock is not ours. The
// client knows which one it is: DOCKER_HOST comes before a context.
func onThisMachine(p *peer, env []string, path string) error {
	out, err := answer(min(10*time.Second, p.bound()), env, nil, path, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	if err != nil {
		return harness.NotMeasured{Why: fmt.Sprintf("docker does not say which daemon is meant (see docker context ls): %v", err)}
	}
	if host := lastLine(out); !strings.HasPrefix(host, "unix://") {
		return harness.NotMeasured{Why: fmt.Sprintf("docker's daemon is at %q, and only one on this machine has its clock; docker context use default chooses that", host)}
	}
	return nil
}

// readyDocker asks whether a daemon runs, and gives it the root as an image. It
// starts none: a daemon changes routes and firewall rules of the machine.
func readyDocker(w *world, p *peer, path string) error {
	if w.config.Rootfs != "" || w.config.Bundle != "" {
		return nil // launch says why it cannot be
	}
	if err := w.leaves([]string{"/run/docker/netns"}, []string{"docker"}); err != nil {
		return err
	}
	env, err := w.environ(variant{}, dockerEnv())
	if err != nil {
		return err
	}
	if err := onThisMachine(p, env, path); err != nil {
		return err
	}
	// The client alone answers --version.
	if _, err := answer(min(10*time.Second, p.bound()), env, nil, path, "version"); err != nil {
		return harness.NotMeasured{Why: fmt.Sprintf("no daemon of docker answers: %v", err)}
	}
	image := fmt.Sprintf("isoperf-payload:%d-%d", os.Getpid(), len(w.images))
	archive, err := w.archive()
	if err != nil {
		return err
	}
	w.onClose(func() error {
		if out, err := answer(p.bound(), env, nil, path, "image", "rm", "--force", image); err != nil && !strings.Contains(string(out), "No such image") {
			return fmt.Errorf("remove the image %q: %w", image, err)
		}
		return nil
	})
	if _, err := answer(p.bound(), env, archive, path, "import", "-", image); err != nil {
		return fmt.Errorf("give docker the root as the image %q: %w", image, err)
	}
	w.images[p.name] = image
	return nil
}

// archive is the usual root as a tar file.
func (w *world) archive() (*bytes.Buffer, error) {
	var all bytes.Buffer
	t := tar.NewWriter(&all)
	text, err := os.ReadFile(w.payload)
	for _, name := range places {
		err = errors.Join(err, t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}))
	}
	err = errors.Join(err, t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.Base(payloadInside), Mode: 0o755, Size: int64(len(text))}))
	if err == nil {
		_, err = t.Write(text)
	}
	if err = errors.Join(err, t.Close()); err != nil {
		return nil, fmt.Errorf("pack the root: %w", err)
	}
	return &all, nil
}

// docker has the daemon start the payload's image. What the payload writes comes
// by the client, and is kept nowhere.
func docker(w *world, s setup) (start, error) {
	if _, err := w.givenUp(s, "takes images"); err != nil {
		return start{}, err
	}
	env, err := w.environ(s.variant, dockerEnv())
	if err != nil {
		return start{}, err
	}
	argv := append([]string{s.path, "run", "--log-driver=none"}, confined(s)...)
	argv = append(append(argv, w.images[s.peer.name]), s.args...)
	return start{argv: argv, env: dockerEnv(), clean: w.removal(env, []string{s.path, "rm", "--force", s.id})}, nil
}
