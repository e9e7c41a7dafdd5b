package spec

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
)

// Type is OCI's name of a namespace.
func Type(n namespace.Namespace) specs.LinuxNamespaceType {
	switch n.Name {
	case "mnt":
		return specs.MountNamespace
	case "net":
		return specs.NetworkNamespace
	}
	return specs.LinuxNamespaceType(n.Name)
}

// allTypes are all kinds of namespaces.
func allTypes() []specs.LinuxNamespaceType {
	var list []specs.LinuxNamespaceType
	for _, n := range namespace.All() {
		list = append(list, Type(n))
	}
	return list
}

// Flag is the clone flag of a namespace in OCI's spelling.
func Flag(t specs.LinuxNamespaceType) (uint64, bool) {
	name := string(t)
	switch t {
	case specs.MountNamespace:
		name = "mnt"
	case specs.NetworkNamespace:
		name = "net"
	}
	n, ok := namespace.ByName(name)
	if !ok || Type(n) != t { // "mnt" is not OCI's spelling
		return 0, false
	}
	return n.Flag, true
}

// resource is the number of a limit that config.json calls "RLIMIT_NOFILE".
func resource(name string) (int, bool) {
	for i, n := range []string{"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"} {
		if strings.TrimPrefix(name, "RLIMIT_") == n && name != n {
			return i, true // the numbers of amd64 and arm64; see getrlimit(2)
		}
	}
	return 0, false
}

// Resource is the number of a limit of a checked container.
func Resource(name string) int {
	n, _ := resource(name)
	return n
}

// Flags are the namespaces that are to be created, and the paths of those that
// are joined.
func (c *Container) Flags() (create uint64, join []specs.LinuxNamespace) {
	for _, n := range c.Linux.Namespaces {
		if n.Path != "" {
			join = append(join, n)
			continue
		}
		flag, _ := Flag(n.Type)
		create |= flag
	}
	return create, join
}

// Creates says whether the container gets a namespace of its own.
func (c *Container) Creates(flag uint64) bool {
	create, _ := c.Flags()
	return create&flag != 0
}

// Rootless says whether there is a user namespace of the container's own.
func (c *Container) Rootless() bool { return c.Creates(unix.CLONE_NEWUSER) }
