package container

import (
	"fmt"
	"os"
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
	"isoperf/runtime/rootfs"
	"isoperf/runtime/rootfs/prepare"
)

// prepared are mounts that the launcher makes, by their place in the list. Until
// Start, each descriptor is that of nothing, which keeps the number.
type prepared map[int]*os.File

// reserve keeps the descriptors that the child is to be born with.
func (pl *Plan) reserve() error {
	for i, m := range pl.spec.Mounts {
		if !rootfs.Prepared(m) && !pl.closed(m) {
			continue
		}
		f, err := os.Open("/dev/null")
		if err != nil {
			return err
		}
		if pl.prepared == nil {
			pl.prepared = prepared{}
		}
		pl.prepared[i] = f
		pl.program.Keep(int(f.Fd()))
	}
	return nil
}

// closed says whether the source of a bind lies in a directory that the root of a
// user namespace may not pass, while this process may. Others are left to the child:
// what it binds itself has the attributes of the host's mount for good.
func (pl *Plan) closed(m specs.Mount) bool {
	if !pl.spec.Rootless() || unix.Geteuid() != 0 || !rootfs.IsBind(m) {
		return false
	}
	for dir := path.Dir(m.Source); ; dir = path.Dir(dir) {
		var st unix.Stat_t
		if unix.Stat(dir, &st) != nil {
			return false // who binds it says so
		}
		if st.Mode&unix.S_IXOTH == 0 && !(mapped(pl.maps.UIDs, st.Uid) && mapped(pl.maps.GIDs, st.Gid)) {
			return true
		}
		if dir == "/" || dir == "." {
			return false
		}
	}
}

// mapped says whether an id of the host has a name in the user namespace.
func mapped(list []specs.LinuxIDMapping, id uint32) bool {
	for _, m := range list {
		if id >= m.HostID && uint64(id) < uint64(m.HostID)+uint64(m.Size) {
			return true
		}
	}
	return false
}

// fds are the descriptors' numbers.
func (p prepared) fds() map[int]int {
	list := map[int]int{}
	for i, f := range p {
		list[i] = int(f.Fd())
	}
	return list
}

func (p prepared) close() {
	for _, f := range p {
		f.Close()
	}
}

// prepareMounts makes them.
func (c *Container) prepareMounts() error {
	pl := c.plan
	if len(pl.prepared) == 0 {
		return nil
	}
	start := program.Now()
	var users prepare.Users
	defer users.Close()
	for i, m := range pl.spec.Mounts {
		place, ok := pl.prepared[i]
		if !ok {
			continue
		}
		fd, err := pl.prepareMount(&users, m)
		if err == nil {
			err = unix.Dup3(fd, int(place.Fd()), unix.O_CLOEXEC)
			unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("mounts[%d]: prepare mount %q: %w", i, m.Destination, err)
		}
	}
	c.event("prepare mounts", start)
	return nil
}

func (pl *Plan) prepareMount(users *prepare.Users, m specs.Mount) (int, error) {
	o, err := rootfs.Preparation(m)
	if err != nil {
		return -1, err
	}
	if o.CopyUp {
		return prepare.CopyUp(pl.spec.RootPath(), m.Destination, o.Data)
	}
	if !o.Mapped {
		return prepare.Bind(m.Source, o.Tree)
	}
	uids, gids := m.UIDMappings, m.GIDMappings
	if len(uids) == 0 {
		uids, gids = pl.spec.Linux.UIDMappings, pl.spec.Linux.GIDMappings
	}
	return users.IDMapped(m.Source, o.Tree, o.All, uids, gids)
}
