package rootfs

import (
	"slices"
	"strings"
)

// When the control groups are looked at, and the child enters its own: as late as
// what is mounted allows, since both take the launcher a while.

// lastMount is the place in the list of a mount that is made after the masks: the
// last one, when it shows control groups, which may still have to be found out, and
// no mask is above or below it. Otherwise it is behind the list.
func (b *builder) lastMount() int {
	n := len(b.o.Mounts)
	if n == 0 || b.o.Groups == nil || !strings.HasPrefix(b.o.Mounts[n-1].Type, "cgroup") {
		return n
	}
	at := absolute(b.o.Mounts[n-1].Destination)
	for _, p := range slices.Concat(b.o.MaskedPaths, b.o.ReadOnlyPaths) {
		if p = absolute(p); p == at || p == "/" || strings.HasPrefix(at, p+"/") || strings.HasPrefix(p, at+"/") {
			return n
		}
	}
	return n - 1
}

// groups settles what control groups there are to see.
func (b *builder) groups() (err error) {
	if b.o.Groups != nil {
		b.o.Hierarchies, err = b.o.Groups()
		b.o.Groups = nil
	}
	return err
}

// enter has the child enter its own group, once, and gives its directory.
func (b *builder) enter() (group string, err error) {
	if b.o.Enter != nil {
		group, err = b.o.Enter()
		b.o.Enter = nil
	}
	return group, err
}

// enterUnseen is enter where no mount has shown the container its groups.
func (b *builder) enterUnseen() error {
	if b.o.Enter == nil {
		return nil
	}
	if err := b.further(); err != nil {
		return err
	}
	_, err := b.enter()
	return err
}
