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

// missing are the places of a root that a start makes where they are missing, to
// mount on them, each behind the directory that it is in. After a start that
// failed they are removed again.
func missing(ct *spec.Container, o container.Options) []string {
	if ct.HostRoot || ct.Overlay {
		return nil
	}
	places := []string{ct.Process.Cwd}
	for _, m := range ct.Mounts {
		places = append(places, m.Destination)
	}
	for _, t := range o.Texts {
		places = append(places, t.Path)
	}
	var list []string
	for _, p := range places {
		var new []string
		for p = path.Clean("/" + p); p != "/" && !slices.Contains(list, p); p = path.Dir(p) {
			handle, err := pathrs.OpenInRoot(ct.RootPath(), p)
			if err == nil {
				handle.Close()
			}
			if !errors.Is(err, os.ErrNotExist) {
				break
			}
			new = append(new, p)
		}
		slices.Reverse(new)
		list = append(list, new...)
	}
	return list
}

// removeMade removes places that a start has made, as far as they are empty.
func removeMade(ct *spec.Container, places []string) {
	for _, p := range slices.Backward(places) {
		dir, err := pathrs.OpenInRoot(ct.RootPath(), path.Dir(p))
		if err != nil {
			continue // it was not made
		}
		// What cannot be removed is not empty, or is not the caller's.
		var st unix.Stat_t
		fd, name := int(dir.Fd()), path.Base(p)
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
