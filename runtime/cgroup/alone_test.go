package cgroup

import (
	"strings"
	"testing"
)

// A group alone is in its hierarchy and in no other, carries its owner, and
// goes.
func TestAlone(t *testing.T) {
	h := realHost(t)
	me, err := self()
	if err != nil {
		t.Fatal(err)
	}
	for _, tree := range h.trees() {
		name := tree.name()
		if !tree.v2 {
			name = tree.controllers[0]
		}
		p, err := h.Alone(name, "alone")
		if err != nil {
			t.Fatal(err)
		}
		g, err := p.Create()
		if err != nil {
			t.Fatal(err)
		}
		dir := g.Dir(name)
		if len(g.parts) != 1 || !strings.HasPrefix(dir, tree.mount+"/") || !exists(dir) {
			t.Errorf("%s: %d parts, directory %q", name, len(g.parts), dir)
		}
		if o, _, ok := parseName(dir[strings.LastIndexByte(dir, '/')+1:]); !ok || o != me {
			t.Errorf("%s: Sweep does not know %q", name, dir)
		}
		if err := g.Remove(); err != nil || exists(dir) {
			t.Errorf("%s: %v; %q is there: %v", name, err, dir, exists(dir))
		}
	}
	if _, err := h.Alone("weather", "alone"); err == nil || !strings.Contains(err.Error(), "weather controller") {
		t.Errorf("%v", err)
	}
}
