package cgroup

import (
	"fmt"
	"path/filepath"
)

// Alone plans a group without limits in one hierarchy and no other: that which
// has a controller of version 1, or version 2's ("v2"). It is for measuring what
// a hierarchy costs. Sweep recognises it.
func (h *Host) Alone(hierarchy, id string) (*Plan, error) {
	if err := checkName(id); err != nil {
		return nil, fmt.Errorf("plan a control group: ID %q %w", id, err)
	}
	for _, tree := range h.trees() {
		if tree.v2 != (hierarchy == "v2") || !tree.v2 && !tree.has(hierarchy) {
			continue
		}
		owner, err := self()
		if err != nil {
			return nil, err
		}
		base, err := tree.place()
		if err != nil {
			return nil, err
		}
		p := &Plan{host: h, options: Options{ID: id}, name: owner.name(id)}
		return p, p.add(&request{tree: tree}, tree.mount, filepath.Join(base, p.name), "")
	}
	if hierarchy == "v2" {
		return nil, fmt.Errorf("plan a control group: version 2 is not mounted here; mount -t cgroup2 none on a directory")
	}
	return nil, fmt.Errorf("plan a control group: no hierarchy of version 1 has the %s controller here", hierarchy)
}
