package rootfs

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Options say what the container is to see.
type Options struct {
	// Root is the directory that becomes "/", absolute. Empty: the host's tree
	// stays, in a mount namespace of its own.
	Root string
	// ReadOnly makes the root mount read-only, at the end.
	ReadOnly bool
	// Overlay puts a writable layer over Root that is in memory and gone with
	// the container (overlayfs on a tmpfs; for a user Linux 5.11 and 6.6).
	Overlay bool
	// Propagation is that of the root, and of all that is mounted below: one of
	// MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE, perhaps with MS_REC; 0:
	// everything is private.
	Propagation uintptr
	Mounts      []specs.Mount
	// Prepared are descriptors of those mounts, by their place in the list, that
	// the launcher has made; see package prepare.
	Prepared map[int]int
	// Devices are made in /dev beside those that every container has.
	Devices       []specs.LinuxDevice
	MaskedPaths   []string
	ReadOnlyPaths []string
	Sysctl        map[string]string
	// Texts are small files that the container gets; it takes a /dev of its own.
	Texts []Text
	// Dir is made when it is missing: the directory to start in.
	Dir string
	// User says that there is a user namespace: device nodes are the host's,
	// bound, since nobody may make any in there.
	User bool
	// Host says that the mounts are made in the host's mount namespace, below Root,
	// which becomes "/" by chroot(2). Unmount removes them.
	Host bool
	// CgroupNamespace says that there is one of the container's own: the
	// hierarchies are mounted, otherwise GroupDirs are bound.
	CgroupNamespace bool
	Hierarchies     []Hierarchy
	// Groups gives the Hierarchies; nil: those are known. It is called once, before the
	// first mount of control groups, which is made after the masks where that makes no
	// difference; without such a mount it is not.
	Groups func() ([]Hierarchy, error)
	// Enter adds the ops by which the child enters its own group, while the host's
	// files are still there, and gives the Group of the hierarchies that have none yet.
	// It is called once, after the mounts of the others, or before the pivot; nil: it
	// was born there.
	Enter func() (group string, err error)
	// Console is a unix socket of the launcher, over which the master of a
	// terminal made in the container's /dev/pts is sent; 0: no terminal. Owner
	// is the user who gets it, inside. Size is its size in characters; nil: it has
	// none before somebody sets it.
	Console int
	Owner   int
	Size    *specs.Box
	// Old chooses mount(2) even where the kernel has the descriptors' API.
	Old bool
	// Look says what a path inside Root is, before anything is mounted; nil:
	// look on the disk.
	Look func(path string) Kind
	// Made is called when all is in place but the root itself; nil: not.
	Made func()
	// Further is called where the ops that were added so far are complete in
	// themselves, so that they can be executed; nil: not.
	Further func() error
}

// Hierarchy is one mount of control groups on the host.
type Hierarchy struct {
	Name    string // the directory below /sys/fs/cgroup: "cpu,cpuacct"; "" when there is only v2
	V2      bool
	Options string // v1: the controllers, or "none,name=systemd"
	Group   string // the container's own directory there; what is bound without a cgroup namespace. "": Enter tells
}

// Kind is what stands at a path.
type Kind int

// What can be seen, and is known, about a path.
const (
	Unknown Kind = iota // it cannot be looked at from here
	Missing
	Directory
	File // all that is no directory
)

// lookAt looks below a directory as the container will, until it is closed.
func lookAt(root string) (look func(string) Kind, end func()) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return func(string) Kind { return Unknown }, func() {}
	}
	look = func(path string) Kind {
		fd, err := unix.Openat2(dir, relative(path), &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve})
		switch err {
		case nil:
		case unix.ENOENT, unix.ENOTDIR:
			return Missing
		default:
			return Unknown
		}
		defer unix.Close(fd)
		return kindOf(fd)
	}
	return look, func() { unix.Close(dir) }
}

func kindOf(fd int) Kind {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return Unknown
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return Directory
	}
	return File
}

// hostKind is what stands at a path of the host.
func hostKind(path string) Kind {
	var st unix.Stat_t
	switch err := unix.Stat(path, &st); {
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return Directory
	case err == nil:
		return File
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return Missing
	}
	return Unknown
}

// Exists says whether a path is there on the host.
func Exists(path string) bool { return hostKind(path) != Missing }
