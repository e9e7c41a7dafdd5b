// Package prepare makes the mounts of a container that its own process cannot
// make, or not with ops alone. The launcher has each ready, attached nowhere,
// behind a descriptor that the child is born with; the child attaches it in its
// turn, with its attributes, like any other.
//
//	IDMapped  open_tree ─► a user namespace with the map ─► mount_setattr(MOUNT_ATTR_IDMAP) ─► descriptor
//	Bind      open_tree ─► descriptor
//	CopyUp    fsopen(tmpfs) ─► fsmount ─► copy the directory into it ─► descriptor
//
// The root of a user namespace cannot reach what lies in directories that are
// closed to others. Ids are mapped by who rules the file system, which a container
// with a user namespace of its own does not (mount_setattr(2), Linux 5.12). And a
// copy walks a tree of which nobody knows the size before.
package prepare

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/idmap"
	"isoperf/runtime/program"
)

// Users are user namespaces with maps, each made once. The zero value has none.
type Users struct{ known map[string]int }

// Close gives them back.
func (u *Users) Close() {
	for _, fd := range u.known {
		unix.Close(fd)
	}
	u.known = nil
}

// get is a descriptor of a user namespace with the maps, which stays u's.
func (u *Users) get(maps idmap.Maps) (int, error) {
	key := fmt.Sprint(maps)
	if fd, ok := u.known[key]; ok {
		return fd, nil
	}
	p := program.New(program.Stub, unix.CLONE_NEWUSER)
	mapped := p.Wait("ids mapped")
	p.Add(program.Exit(0))
	proc, err := program.Start(p)
	if err != nil {
		return -1, err
	}
	defer proc.Release()
	fd := -1
	if err = maps.Write(proc.Pid()); err == nil {
		fd, err = unix.Open("/proc/"+strconv.Itoa(proc.Pid())+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	proc.Open(mapped)
	if _, werr := proc.Wait(); err == nil {
		err = werr
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("make a user namespace for its ids: %w", err)
	}
	if u.known == nil {
		u.known = map[string]int{}
	}
	u.known[key] = fd
	return fd, nil
}

// Bind is a bind of a path: of the topmost mount, or of the whole tree below it.
func Bind(source string, tree bool) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if tree {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, flags)
	if err != nil {
		return -1, fmt.Errorf("copy the mount of %q: %w%s", source, err, powers(err))
	}
	return fd, nil
}

// IDMapped is a bind of a path whose ids are mapped: of the whole tree below it,
// and its ids mapped in all of that or in the topmost mount. The maps are those of
// a user namespace: what the file system calls ContainerID is HostID for everybody.
func (u *Users) IDMapped(source string, tree, all bool, uids, gids []specs.LinuxIDMapping) (int, error) {
	user, err := u.get(idmap.Maps{UIDs: uids, GIDs: gids})
	if err != nil {
		return -1, err
	}
	fd, err := Bind(source, tree)
	if err != nil {
		return -1, err
	}
	at := uint(unix.AT_EMPTY_PATH)
	if all {
		at |= unix.AT_RECURSIVE
	}
	if err := unix.MountSetattr(fd, "", at, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(user)}); err != nil {
		unix.Close(fd)
		advice := powers(err)
		if errors.Is(err, unix.EINVAL) {
			advice = "; its file system cannot have its ids mapped on this kernel"
		}
		return -1, fmt.Errorf("map the ids of %q: %w%s", source, err, advice)
	}
	return fd, nil
}

func powers(err error) string {
	if errors.Is(err, unix.EPERM) {
		return "; it takes CAP_SYS_ADMIN where the file system was mounted"
	}
	return ""
}

// CopyUp is a tmpfs with the options data, which has what is in a directory of the
// root file system now. Its own mode and owner are the directory's, unless data
// says otherwise. A directory that is not there is an empty one.
func CopyUp(root, dir string, data []string) (int, error) {
	from, err := openIn(root, dir)
	if err != nil && err != unix.ENOENT {
		return -1, fmt.Errorf("open %q in the root file system: %w", dir, err)
	}
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("make a tmpfs: %w; tmpcopyup takes CAP_SYS_ADMIN in who starts the container", err)
	}
	defer unix.Close(fs)
	chosen := map[string]bool{}
	for _, word := range append([]string{"source=tmpfs"}, data...) {
		key, value, has := strings.Cut(word, "=")
		chosen[key] = true
		if err := configure(fs, key, value, has); err != nil {
			return -1, fmt.Errorf("make a tmpfs: option %q: %w", word, err)
		}
	}
	if err := fsconfig(fs, unix.FSCONFIG_CMD_CREATE, nil, nil); err != nil {
		return -1, fmt.Errorf("make a tmpfs: %w", err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("mount a tmpfs: %w; tmpcopyup takes CAP_SYS_ADMIN in who starts the container", err)
	}
	if from >= 0 {
		defer unix.Close(from)
		top, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			c := &copier{top: chosen}
			err = c.fill(from, top)
			unix.Close(top)
		}
		if err != nil {
			unix.Close(mount)
			return -1, fmt.Errorf("copy %q into a tmpfs: %w", dir, err)
		}
	}
	return mount, nil
}

// configure sets a parameter of a file system that is not made yet.
func configure(fs int, key, value string, has bool) error {
	k, err := unix.BytePtrFromString(key)
	if err != nil {
		return err
	}
	if !has {
		return fsconfig(fs, unix.FSCONFIG_SET_FLAG, k, nil)
	}
	v, err := unix.BytePtrFromString(value)
	if err != nil {
		return err
	}
	return fsconfig(fs, unix.FSCONFIG_SET_STRING, k, v)
}

func fsconfig(fs, command int, key, value *byte) error {
	_, _, errno := unix.Syscall6(unix.SYS_FSCONFIG, uintptr(fs), uintptr(command), uintptr(unsafe.Pointer(key)), uintptr(unsafe.Pointer(value)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// openIn opens a directory inside the root, as the container will.
func openIn(root, dir string) (int, error) {
	at, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(at)
	return unix.Openat2(at, dir, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
}
