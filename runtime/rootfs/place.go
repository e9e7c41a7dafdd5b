package rootfs

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// at opens a place in the container. close it with done.
func (b *builder) at(p string, flags int) program.Arg {
	return program.Result(b.Add(b.open(p, flags)))
}

// place is where something is to be mounted, and what opens it for that is closed by
// end. What was made in a fresh file system, and is no link, need not be opened.
func (b *builder) place(p string, flags int) (at program.Place, end func()) {
	p = absolute(p)
	if dir, ok := b.freshAt(path.Dir(p)); ok && b.made[p] && !b.links[p] {
		return program.Place{Dir: dir, Path: path.Base(p)}, func() {}
	}
	fd := b.at(p, flags)
	return program.Place{Dir: fd}, func() { b.done(fd) }
}

// directoryAt is a directory of the container, and what closes it, where it had to be
// opened.
func (b *builder) directoryAt(p string) (dir program.Arg, end func()) {
	if p = absolute(p); p == "/" {
		return b.root, func() {}
	}
	if dir, ok := b.freshAt(p); ok {
		return dir, func() {}
	}
	dir = b.at(p, unix.O_PATH|unix.O_DIRECTORY)
	return dir, func() { b.done(dir) }
}

// fresh is a file system in memory, and the descriptor of its root.
type fresh struct {
	at  string
	dir program.Arg
}

// freshAt is the descriptor of the one that is at a clean path.
func (b *builder) freshAt(p string) (dir program.Arg, ok bool) {
	for _, f := range b.fresh {
		if f.at == p {
			return f.dir, true
		}
	}
	return dir, false
}

// forget closes the fresh file systems at a path and below, which are mounted over,
// or needed no more.
func (b *builder) forget(p string) {
	b.fresh = slices.DeleteFunc(b.fresh, func(f fresh) bool {
		rest, below := strings.CutPrefix(f.at, strings.TrimSuffix(p, "/"))
		gone := below && (rest == "" || rest[0] == '/')
		if gone {
			b.done(f.dir)
		}
		return gone
	})
}

// open is the op that opens a place in the container.
func (b *builder) open(p string, flags int) program.Op {
	for _, h := range b.hows {
		if h.flags == flags {
			return program.Openat2(program.Place{Dir: b.root, Path: relative(p)}, h.how)
		}
	}
	b.hows = append(b.hows, how{flags, program.How(flags, 0, resolve)})
	return b.open(p, flags)
}

// how is a way to open places; the ops that open so share it.
type how struct {
	flags int
	how   program.Arg
}

func (b *builder) done(fds ...program.Arg) {
	for _, fd := range fds {
		b.Add(program.Close(fd))
	}
}
