// Package spec says what a container is, in the words of the OCI runtime
// specification, whether it came from a command line or from a bundle's
// config.json; and checks it once, so that whoever reads it later can trust it.
//
//	config.json ──Load──┐
//	                    ├──► Container ──Check──► what cannot be honoured is an error that names the field
//	flags ──► command ──┘
//
// There is one description, so a container that flags describe can be written
// down as a bundle, and runs the same.
package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Container is what is to run.
type Container struct {
	*specs.Spec
	// ID names it; letters, digits and "_+-.".
	ID string
	// Bundle is the directory that relative paths in the Spec are taken from.
	Bundle string

	// What OCI has no word for:

	// Init puts a process that reaps orphans before the command.
	Init bool
	// Overlay keeps what the container writes in memory, and the root as it is.
	Overlay bool
	// Strict is seccomp's first mode: the built-in payload alone, which copies
	// standard input to standard output.
	Strict bool
	// LoopbackUp brings the loopback interface of a new network namespace up.
	LoopbackUp bool
	// Connected says that the launcher connects the network namespace: the
	// command waits until it has.
	Connected bool
	// HostRoot says that there is no root of the container's own: it sees the
	// host's tree, in a mount namespace of its own. Root is not looked at.
	HostRoot bool
}

// Load reads a bundle.
func Load(bundle string) (*Container, error) {
	c, _, err := LoadText(bundle)
	return c, err
}

// LoadText is Load that also returns the text of config.json, for those who keep
// it: what it says later does not matter to a container that was created.
func LoadText(bundle string) (*Container, string, error) {
	dir, err := filepath.Abs(bundle)
	if err != nil {
		return nil, "", fmt.Errorf("find bundle %q: %w", bundle, err)
	}
	name := filepath.Join(dir, "config.json")
	text, err := read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("read bundle %q: it has no config.json (`runc spec` writes one)", bundle)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read bundle %q: %w", bundle, err)
	}
	s, err := decode(text)
	if err != nil {
		return nil, "", fmt.Errorf("parse %q: %w", name, err)
	}
	return &Container{Spec: s, Bundle: dir}, text, nil
}

// read reads a file with three system calls; an os.File would set the poller
// up for it, which a short process feels.
func read(name string) (string, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	text := make([]byte, 0, 4<<10)
	for {
		n, err := unix.Read(fd, text[len(text):cap(text)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return "", &fs.PathError{Op: "read", Path: name, Err: err}
		case n == 0:
			return unsafe.String(unsafe.SliceData(text), len(text)), nil
		}
		if text = text[:len(text)+n]; len(text) == cap(text) {
			text = slices.Grow(text, len(text))
		}
	}
}

// RootPath is the root file system on the host, absolute; empty: the host's.
func (c *Container) RootPath() string {
	if c.HostRoot || c.Root == nil {
		return ""
	}
	return c.path(c.Root.Path)
}

// path is a path of the spec on the host.
func (c *Container) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(c.Bundle, p)
}

// Namespace finds the namespace of a kind, in OCI's spelling ("network").
func (c *Container) Namespace(kind specs.LinuxNamespaceType) (specs.LinuxNamespace, bool) {
	if c.Linux != nil {
		for _, n := range c.Linux.Namespaces {
			if n.Type == kind {
				return n, true
			}
		}
	}
	return specs.LinuxNamespace{}, false
}
