// Package idmap makes the id maps of a user namespace and writes them: without
// a map nobody in it has a name, may execute as root, or may make another one.
//
//	Own ───────────────────────┐                        ┌─ may write ──► /proc/PID/{uid_map,setgroups,gid_map}
//	/etc/subuid ─► Subordinate ┼─► Maps ──Check──► Write ┤
//	               Keep ───────┘                        └─ may not ────► newuidmap ∥ newgidmap
//
// See user_namespaces(7), newuidmap(1) and subuid(5).
package idmap

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Maps are the two maps of a user namespace: which ids inside (ContainerID)
// are which outside (HostID), as the user namespace of the writer has them.
type Maps struct {
	UIDs, GIDs []specs.LinuxIDMapping
}

// Own maps one user and one group to root inside, and no others. Any user may
// write it, of the own ids; setgroups(2) is denied inside from then on, as the
// kernel demands.
func Own(uid, gid int) Maps {
	return Maps{UIDs: single(0, uid), GIDs: single(0, gid)}
}

func single(inside, host int) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: uint32(inside), HostID: uint32(host), Size: 1}}
}

// Keep is m with the host's uid and gid under their own numbers inside, and all
// others of m around them: from 0 up to the number, and on behind it. With few
// others the map has a gap below the number, and without any there is no root
// inside.
func Keep(m Maps, uid, gid int) Maps {
	return Maps{UIDs: keep(m.UIDs, uint32(uid)), GIDs: keep(m.GIDs, uint32(gid))}
}

func keep(list []specs.LinuxIDMapping, id uint32) []specs.LinuxIDMapping {
	ordered := slices.Clone(list)
	slices.SortStableFunc(ordered, func(a, b specs.LinuxIDMapping) int {
		return compare(a.ContainerID, b.ContainerID)
	})
	others := without(ordered, id)
	var below, above []specs.LinuxIDMapping
	next := uint32(0)
	for _, m := range others {
		if next < id {
			n := min(m.Size, id-next)
			below = append(below, specs.LinuxIDMapping{ContainerID: next, HostID: m.HostID, Size: n})
			next, m.HostID, m.Size = next+n, m.HostID+n, m.Size-n
		}
		if m.Size > 0 {
			next = max(next, id+1)
			above = append(above, specs.LinuxIDMapping{ContainerID: next, HostID: m.HostID, Size: m.Size})
			next += m.Size
		}
	}
	own := specs.LinuxIDMapping{ContainerID: id, HostID: id, Size: 1}
	return slices.Concat(below, []specs.LinuxIDMapping{own}, above)
}

// without is the list with one id of the host cut out.
func without(list []specs.LinuxIDMapping, host uint32) []specs.LinuxIDMapping {
	var rest []specs.LinuxIDMapping
	for _, m := range list {
		if !covers(m.HostID, m.Size, host) {
			rest = append(rest, m)
			continue
		}
		before := host - m.HostID
		if before > 0 {
			rest = append(rest, specs.LinuxIDMapping{HostID: m.HostID, Size: before})
		}
		if m.Size > before+1 {
			rest = append(rest, specs.LinuxIDMapping{HostID: host + 1, Size: m.Size - before - 1})
		}
	}
	return rest
}

func covers(first, size, id uint32) bool { return id >= first && id-first < size }

func compare(a, b uint32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// HostUID is the id outside of a user inside; false when it has none.
func (m Maps) HostUID(inside int) (int, bool) { return outward(m.UIDs, inside) }

// HostGID is the id outside of a group inside; false when it has none.
func (m Maps) HostGID(inside int) (int, bool) { return outward(m.GIDs, inside) }

// InsideUID is the id inside of a user outside; false when it has none, and
// inside is the overflow id (65534) then.
func (m Maps) InsideUID(host int) (int, bool) { return inward(m.UIDs, host) }

// InsideGID is the id inside of a group outside; false when it has none.
func (m Maps) InsideGID(host int) (int, bool) { return inward(m.GIDs, host) }

func outward(list []specs.LinuxIDMapping, inside int) (int, bool) {
	for _, m := range list {
		if inside >= 0 && inside <= maxID && covers(m.ContainerID, m.Size, uint32(inside)) {
			return int(m.HostID) + inside - int(m.ContainerID), true
		}
	}
	return 0, false
}

func inward(list []specs.LinuxIDMapping, host int) (int, bool) {
	for _, m := range list {
		if host >= 0 && host <= maxID && covers(m.HostID, m.Size, uint32(host)) {
			return int(m.ContainerID) + host - int(m.HostID), true
		}
	}
	return 0, false
}

const (
	maxID    = 1<<32 - 2 // 2³²-1 is "no id"
	maxLines = 340       // UID_GID_MAP_MAX_EXTENTS, Linux 4.15
)

// Check says what the kernel would refuse of the maps with a bare EINVAL: no
// ids, a range of none, ranges that overlap inside or outside, ids past 2³²-2,
// more than 340 ranges, and a text of a page or more. Id 0 need not be there.
func (m Maps) Check() error {
	for _, side := range m.sides() {
		if err := checkList(side.list); err != nil {
			return fmt.Errorf("check %s: %w", side.field, err)
		}
	}
	return nil
}

func checkList(list []specs.LinuxIDMapping) error {
	switch {
	case len(list) == 0:
		return fmt.Errorf("it is empty; map one id at least")
	case len(list) > maxLines:
		return fmt.Errorf("it has %d ranges, the kernel takes %d; join some", len(list), maxLines)
	}
	for i, m := range list {
		switch {
		case m.Size == 0:
			return fmt.Errorf("range %d (%s) has size 0; take it away", i, show(m))
		case uint64(m.ContainerID)+uint64(m.Size)-1 > maxID || uint64(m.HostID)+uint64(m.Size)-1 > maxID:
			return fmt.Errorf("range %d (%s) goes past the highest id, %d; make it smaller", i, show(m), maxID)
		}
		for j, other := range list[:i] {
			switch {
			case overlap(m.ContainerID, m.Size, other.ContainerID, other.Size):
				return fmt.Errorf("ranges %d (%s) and %d (%s) overlap inside; an id has one meaning", j, show(other), i, show(m))
			case overlap(m.HostID, m.Size, other.HostID, other.Size):
				return fmt.Errorf("ranges %d (%s) and %d (%s) overlap outside; an id has one meaning", j, show(other), i, show(m))
			}
		}
	}
	if n := len(text(list)); n >= os.Getpagesize() {
		return fmt.Errorf("its %d ranges take %d bytes of text, and the kernel takes less than a page (%d); join some", len(list), n, os.Getpagesize())
	}
	return nil
}

func overlap(a, sizeA, b, sizeB uint32) bool { return covers(a, sizeA, b) || covers(b, sizeB, a) }

func show(m specs.LinuxIDMapping) string {
	return fmt.Sprintf("%d %d %d", m.ContainerID, m.HostID, m.Size)
}

// text is the map as the kernel reads it: a line "inside outside size" a range.
func text(list []specs.LinuxIDMapping) []byte {
	b := make([]byte, 0, 24*len(list))
	for _, m := range list {
		b = strconv.AppendUint(b, uint64(m.ContainerID), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(m.HostID), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(m.Size), 10)
		b = append(b, '\n')
	}
	return b
}

// side is what differs between users and groups.
type side struct {
	list    []specs.LinuxIDMapping
	field   string // of config.json
	file    string // in /proc/PID
	program string // that writes it for who may not
	subid   string // the file of ranges
	what    string
}

func (m Maps) sides() [2]side {
	return [2]side{
		{m.UIDs, "linux.uidMappings", "uid_map", "newuidmap", "subuid", "user"},
		{m.GIDs, "linux.gidMappings", "gid_map", "newgidmap", "subgid", "group"},
	}
}
