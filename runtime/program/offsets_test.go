package program

import (
	"math/rand/v2"
	"testing"
)

// The table knows what a map knows.
func TestOffsets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var table offsets
	table.grow(3)
	known, list := map[*block]uintptr{}, []*block{}
	for i := range 5000 {
		b := &block{n: i}
		if i%3 == 0 && i > 0 {
			b = list[random.IntN(len(list))]
		}
		_, there := known[b]
		if table.add(b, uintptr(i+1)) == there {
			t.Fatalf("block %d: new or not, the table has it wrong", i)
		}
		if !there {
			known[b], list = uintptr(i+1), append(list, b)
		}
	}
	for b, at := range known {
		if table.of(b) != at {
			t.Fatalf("a block is at %d, want %d", table.of(b), at)
		}
	}
	if table.of(&block{}) != 0 {
		t.Error("a block that was never added is somewhere")
	}
}
