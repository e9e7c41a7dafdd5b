package main

import (
	"errors"
	"os"
	"path"
	"slices"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"

	"isoperf/runtime/container"
	"isoperf/runtime/spec"
)

// places are those of a root that a start makes where they are missing, to mount
// on them. After a start that failed they are removed again, unless another
// isoperf runs in the same root: it may have mounted on them meanwhile.
type places struct {
	root string
	lock *os.File // of the root, shared by all that run in it; nil: no place is to be removed
	list []string // each behind the directory that it is in
}

// missingPlaces finds them, before the start.
func missingPlaces(ct *spec.Container, o container.Options) *places {
	p := &places{root: ct.RootPath()}
	if ct.HostRoot || ct.Overlay {
		return p
	}
	lock, err := os.Open(p.root)
	if err != nil {
		return p // what is wrong with it, the start says
	}
	if unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil {
		lock.Close()
		return p
	}
	p.lock = lock
	p.look(ct.Process.Cwd)
	for _, m := range ct.Mounts {
		p.look(m.Destination)
	}
	for _, t := range o.Texts {
		p.look(t.Path)
	}
	return p
}

// look notes a place and the directories above it, as far as they are missing.
func (p *places) look(place string) {
	var found []string
	for place = path.Clean("/" + place); place != "/" && !slices.Contains(p.list, place); place = path.Dir(place) {
		handle, err := pathrs.OpenInRoot(p.root, place)
		if err == nil {
			handle.Close()
		}
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
		found = append(found, place)
	}
	slices.Reverse(found)
	p.list = append(p.list, found...)
}

// remove removes what was made, as far as it is empty.
func (p *places) remove() {
	if p.lock == nil || unix.Flock(int(p.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	for _, place := range slices.Backward(p.list) {
		dir, err := pathrs.OpenInRoot(p.root, path.Dir(place))
		if err != nil {
			continue // it was not made
		}
		// What cannot be removed is not empty, or is not the caller's.
		var st unix.Stat_t
		fd, name := int(dir.Fd()), path.Base(place)
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			switch {
			case st.Mode&unix.S_IFMT == unix.S_IFDIR:
				_ = unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
			case st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == 0:
				_ = unix.Unlinkat(fd, name, 0)
			}
		}
		dir.Close()
	}
}

// close lets others remove what they make.
func (p *places) close() {
	if p.lock != nil {
		p.lock.Close()
	}
}
