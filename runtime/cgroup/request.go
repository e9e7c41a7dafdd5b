package cgroup

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// request is what one hierarchy has to hold.
type request struct {
	tree   *hierarchy
	enable []string // version 2's controllers
	spare  []string // those that are nice to have, for limits that may come later
	writes writes
	late   []write
}

// sort turns resources into requests: version 1's hierarchies in the order of
// their mounts, then version 2.
func (h *Host) sort(r *specs.LinuxResources) ([]*request, error) {
	if r == nil {
		return nil, nil
	}
	keys, err := split(r.Unified)
	if err != nil {
		return nil, err
	}
	var all []*request
	for _, c := range controllers() {
		mine := keys[c.v2]
		if c.v2 == "" {
			mine = nil
		}
		delete(keys, c.v2)
		if !c.asked(r) && len(mine) == 0 {
			continue
		}
		if all, err = h.request(all, c, r, mine); err != nil {
			return nil, err
		}
	}
	if own := keys["cgroup"]; len(own) > 0 && h.v2 != nil {
		var q *request
		all, q = requestOf(all, h.v2)
		if err := planKeys(&freezer, true, own, r.Unified, &q.writes); err != nil {
			return nil, err
		}
		delete(keys, "cgroup")
	}
	for _, rest := range keys {
		return nil, refuse(fmt.Sprintf("unified[%q]", rest[0]), "no controller of this machine has it (there are %s); leave it out", strings.Join(h.Controllers(), " "))
	}
	slices.SortStableFunc(all, func(a, b *request) int { return h.rank(a.tree) - h.rank(b.tree) })
	return all, nil
}

func (h *Host) rank(tree *hierarchy) int {
	for i := range h.v1 {
		if tree == &h.v1[i] {
			return i
		}
	}
	return len(h.v1)
}

func requestOf(all []*request, tree *hierarchy) ([]*request, *request) {
	for _, q := range all {
		if q.tree == tree {
			return all, q
		}
	}
	q := &request{tree: tree}
	return append(all, q), q
}

// request adds a controller's limits.
func (h *Host) request(all []*request, c *controller, r *specs.LinuxResources, keys []string) ([]*request, error) {
	tree := h.find(c)
	v2 := tree == nil || tree.v2
	plan := c.plan1
	if v2 {
		plan = c.plan2
	}
	var w writes
	if c.asked(r) {
		if err := plan(r, &w); err != nil {
			return nil, err
		}
	}
	if err := planKeys(c, v2, keys, r.Unified, &w); err != nil {
		return nil, err
	}
	if len(w.list) == 0 && len(w.filter) == 0 { // only fields that say nothing, such as false
		return all, nil
	}
	if tree == nil {
		field := c.name
		if len(w.list) > 0 {
			field = w.list[0].field
		}
		return nil, refuse(field, "the %s controller is not available (there are %s); mount it, or leave the limit out", c.name, strings.Join(h.Controllers(), " "))
	}
	all, q := requestOf(all, tree)
	if v2 && c.v2 != "" {
		q.enable = append(q.enable, c.v2)
	}
	q.writes.list = slices.Grow(q.writes.list, len(w.list))
	for _, w := range w.list {
		if w.late = late(w.file, v2); w.late {
			q.late = append(q.late, w)
		} else {
			q.writes.list = append(q.writes.list, w)
		}
	}
	q.writes.filter = append(q.writes.filter, w.filter...)
	return all, nil
}

// late says which limits wait until the child is on its own. Version 1's
// pids.max would count the launching thread. And a child whose memory runs out
// while it shares the launcher's, before it has entered its stub, has the OOM
// killer kill both.
func late(file string, v2 bool) bool {
	switch file {
	case "pids.max":
		return !v2
	case "memory.max", "memory.swap.max", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes":
		return true
	}
	return false
}

// addUsual adds where processes are frozen, killed and counted: version 2 does
// it all in one group.
func (h *Host) addUsual(all []*request) []*request {
	if h.v2 != nil {
		all, _ = requestOf(all, h.v2)
		return all
	}
	for _, c := range []*controller{&freezer, &cpuacct, &memory, &pids} {
		if tree := h.find(c); tree != nil {
			all, _ = requestOf(all, tree)
		}
	}
	slices.SortStableFunc(all, func(a, b *request) int { return h.rank(a.tree) - h.rank(b.tree) })
	return all
}

// addChanged adds the hierarchies for Options.Usual. Nobody has asked for a limit
// there, so version 2's controllers may turn out not to be had.
func (h *Host) addChanged(all []*request) []*request {
	for _, c := range []*controller{&cpu, &cpuset, &memory, &pids, &blockIO, &cpuacct} {
		tree := h.find(c)
		if tree == nil {
			continue
		}
		var q *request
		all, q = requestOf(all, tree)
		if tree.v2 && c.v2 != "" && !slices.Contains(q.enable, c.v2) && !slices.Contains(q.spare, c.v2) {
			q.spare = append(q.spare, c.v2)
		}
	}
	slices.SortStableFunc(all, func(a, b *request) int { return h.rank(a.tree) - h.rank(b.tree) })
	return all
}

// addAlso adds hierarchies by their controllers.
func (h *Host) addAlso(all []*request, names []string) ([]*request, error) {
	for _, name := range names {
		i := slices.IndexFunc(controllers(), func(c *controller) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("plan a control group: no controller is called %q", name)
		}
		c := controllers()[i]
		tree := h.find(c)
		if tree == nil {
			return nil, fmt.Errorf("plan a control group: this machine has no %s controller (there are %s)", name, strings.Join(h.Controllers(), " "))
		}
		var q *request
		all, q = requestOf(all, tree)
		if tree.v2 && c.v2 != "" && !slices.Contains(q.enable, c.v2) {
			q.enable = append(q.enable, c.v2)
		}
	}
	slices.SortStableFunc(all, func(a, b *request) int { return h.rank(a.tree) - h.rank(b.tree) })
	return all, nil
}
