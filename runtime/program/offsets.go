package program

import "unsafe"

// offsets are where an image has its blocks: a hash table that is smaller than a
// map. A launcher that lives for one start has to fault every page of it in.
type offsets struct {
	keys   []*block
	values []uint32 // arenas are smaller than 4 GiB
	n      int
}

// grow makes room for n blocks.
func (t *offsets) grow(n int) {
	size := 8
	for size < 2*n {
		size *= 2
	}
	old := *t
	*t = offsets{keys: make([]*block, size), values: make([]uint32, size)}
	for i, b := range old.keys {
		if b != nil {
			t.add(b, uintptr(old.values[i]))
		}
	}
}

// slot is where b is, or would be. Go does not move what is allocated.
func (t *offsets) slot(b *block) int {
	mask := len(t.keys) - 1
	h := uint64(uintptr(unsafe.Pointer(b))>>3) * 0x9e3779b97f4a7c15
	i := int(h>>32) & mask
	for t.keys[i] != nil && t.keys[i] != b {
		i = (i + 1) & mask
	}
	return i
}

// add places a block, once: it says whether it was new.
func (t *offsets) add(b *block, at uintptr) bool {
	if 2*t.n >= len(t.keys) {
		t.grow(len(t.keys))
	}
	i := t.slot(b)
	if t.keys[i] == b {
		return false
	}
	t.keys[i], t.values[i] = b, uint32(at)
	t.n++
	return true
}

// of is where a block is, from the arena's start. It must have been added.
func (t *offsets) of(b *block) uintptr { return uintptr(t.values[t.slot(b)]) }
