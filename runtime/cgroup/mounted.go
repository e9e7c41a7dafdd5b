package cgroup

import (
	"slices"
	"strings"
)

// Mounted is a hierarchy of the host, as a container is to see it.
type Mounted struct {
	Mount   string // the host's mount point
	V2      bool
	Options string // version 1: the mount options that name it: "cpu,cpuacct", "none,name=systemd"
	Group   string // the directory of the container's group, or of this process's where it has none
}

// Mounted are the hierarchies of a machine, for a container without a group.
func (h *Host) Mounted() []Mounted { return (&Plan{host: h}).Mounted() }

// Mounted are the hierarchies of the plan's host.
func (p *Plan) Mounted() []Mounted {
	var list []Mounted
	for _, tree := range p.host.trees() {
		m := Mounted{Mount: tree.mount, V2: tree.v2}
		if own, err := tree.dir(tree.own); err == nil {
			m.Group = own
		} else {
			m.Group = tree.mount // this process's own group is outside of what is mounted
		}
		if !tree.v2 {
			words := slices.Clone(tree.controllers)
			if len(words) > 0 && strings.HasPrefix(words[0], "name=") {
				words = append([]string{"none"}, words...)
			}
			m.Options = strings.Join(words, ",")
		}
		for _, t := range p.parts {
			if t.tree == tree {
				m.Group = t.dir
			}
		}
		list = append(list, m)
	}
	return list
}
