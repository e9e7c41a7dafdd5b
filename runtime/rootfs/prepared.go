package rootfs

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// Preparing is what a mount needs that is made by the launcher; see package
// prepare.
type Preparing struct {
	CopyUp bool     // a tmpfs with what is there; otherwise a bind
	Mapped bool     // its ids are mapped
	Data   []string // the tmpfs's options
	Tree   bool     // the bind is of all that is mounted below, too
	All    bool     // and the ids are mapped in all of it
}

// Prepared says whether the launcher has to make a mount.
func Prepared(m specs.Mount) bool {
	if len(m.Options)+len(m.UIDMappings) == 0 {
		return false
	}
	o, err := parse(m)
	return err == nil && (o.mapped || o.copyUp)
}

// IsBind says whether a mount shows what the host has.
func IsBind(m specs.Mount) bool {
	o, err := parse(m)
	return err == nil && o.bind
}

// Preparation is what it takes.
func Preparation(m specs.Mount) (Preparing, error) {
	o, err := parse(m)
	return Preparing{CopyUp: o.copyUp, Mapped: o.mapped, Data: o.data, Tree: o.recursive, All: o.mapAll}, err
}

// attachPrepared puts a mount that the launcher has made in its place.
func (b *builder) attachPrepared(fd int, m specs.Mount, o options) {
	kind, name := Directory, "mount tmpfs "+m.Destination
	if o.bind {
		kind, name = hostKind(m.Source), "bind "+m.Destination
	}
	if o.propagation == 0 {
		// It was made among the host's mounts, whose peer it still is.
		o.propagation = unix.MS_PRIVATE | unix.MS_REC
	}
	b.make(m.Destination, kind)
	b.attach(program.Int(fd), m.Destination, name, o)
}
