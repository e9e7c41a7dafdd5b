package cgroup

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// devices says which device files a group may open and make. Version 1 has
// files for it, version 2 runs a BPF program; see deviceProgram. Everything is
// denied at first, then the rules hold in their order, and last the devices that
// every container has are allowed.
var devices = controller{
	name: "devices", v2: "",
	asked: func(r *specs.LinuxResources) bool { return len(r.Devices) > 0 },
	plan1: devicesV1,
	plan2: func(r *specs.LinuxResources, w *writes) (err error) {
		w.filter, err = deviceRules(r)
		return err
	},
}

// Access to a device, as the kernel's BPF_DEVCG_ACC_*.
const (
	accessMknod = 1
	accessRead  = 2
	accessWrite = 4
	accessAll   = 7
)

// deviceRule allows or denies kinds of access to devices. A major or minor of
// -1 is every one.
type deviceRule struct {
	allow        bool
	kind         byte // 'b', 'c', or 'a' for both
	major, minor int64
	access       uint8
}

// everything tells the rules that say all there is to say.
func (d deviceRule) everything() bool {
	return d.kind == 'a' && d.major < 0 && d.minor < 0 && d.access == accessAll
}

// covers says that every device of e is one of d.
func (d deviceRule) covers(e deviceRule) bool {
	return (d.kind == 'a' || d.kind == e.kind) && (d.major < 0 || d.major == e.major) && (d.minor < 0 || d.minor == e.minor)
}

// meets says that some device is one of both.
func (d deviceRule) meets(e deviceRule) bool {
	return (d.kind == 'a' || e.kind == 'a' || d.kind == e.kind) && (d.major < 0 || e.major < 0 || d.major == e.major) &&
		(d.minor < 0 || e.minor < 0 || d.minor == e.minor)
}

// String is the rule as version 1's files take it, "c 1:3 rwm".
func (d deviceRule) String() string {
	if d.everything() {
		return "a"
	}
	var room [32]byte
	text := append(room[:0], d.kind, ' ')
	for i, n := range [...]int64{d.major, d.minor} {
		if n < 0 {
			text = append(text, '*')
		} else {
			text = strconv.AppendInt(text, n, 10)
		}
		text = append(text, ": "[i])
	}
	for i, c := range []byte("mrw") {
		if d.access&(1<<i) != 0 {
			text = append(text, c)
		}
	}
	return string(text)
}

// usualDevices are what every container may use: making any node, and null,
// zero, full, random, urandom, tty, console, ptmx and the pseudo terminals (OCI
// runtime specification, config-linux.md, default devices).
func usualDevices() []deviceRule {
	return []deviceRule{
		{true, 'c', -1, -1, accessMknod}, {true, 'b', -1, -1, accessMknod},
		{true, 'c', 1, 3, accessAll}, {true, 'c', 1, 5, accessAll}, {true, 'c', 1, 7, accessAll},
		{true, 'c', 1, 8, accessAll}, {true, 'c', 1, 9, accessAll}, {true, 'c', 5, 0, accessAll},
		{true, 'c', 5, 1, accessAll}, {true, 'c', 5, 2, accessAll}, {true, 'c', 136, -1, accessAll},
	}
}

// deviceRules reads the OCI rules and adds the usual devices.
func deviceRules(r *specs.LinuxResources) ([]deviceRule, error) {
	rules := make([]deviceRule, 0, len(r.Devices)+11)
	for i, d := range r.Devices {
		rule := deviceRule{allow: d.Allow, kind: 'a', major: -1, minor: -1}
		switch d.Type {
		case "", "a":
		case "b", "c":
			rule.kind = d.Type[0]
		case "u", "p":
			return nil, refuse(fmt.Sprintf("devices[%d].type", i), "%q has no device number that could be limited; use a, b or c", d.Type)
		default:
			return nil, refuse(fmt.Sprintf("devices[%d].type", i), "%q is not one of a, b and c", d.Type)
		}
		for _, n := range [...]struct {
			field string
			from  *int64
			to    *int64
		}{{"major", d.Major, &rule.major}, {"minor", d.Minor, &rule.minor}} {
			if n.from == nil || *n.from == -1 {
				continue
			}
			if *n.from < 0 || *n.from > 1<<31-1 {
				return nil, refuse(fmt.Sprintf("devices[%d].%s", i, n.field), "%d is no device number; -1 is every one", *n.from)
			}
			*n.to = *n.from
		}
		for _, c := range d.Access {
			switch c {
			case 'm':
				rule.access |= accessMknod
			case 'r':
				rule.access |= accessRead
			case 'w':
				rule.access |= accessWrite
			default:
				return nil, refuse(fmt.Sprintf("devices[%d].access", i), "%q is not made of r, w and m", d.Access)
			}
		}
		if d.Access == "" {
			if rule.kind != 'a' || rule.major >= 0 || rule.minor >= 0 {
				return nil, refuse(fmt.Sprintf("devices[%d].access", i), "it is empty; give some of r, w and m")
			}
			rule.access = accessAll
		}
		rules = append(rules, rule)
	}
	return append(rules, usualDevices()...), nil
}

// devicesV1 writes what the rules come to: version 1 has a default and a list
// of exceptions, not an order. It silently ignores the removal of a part of an
// exception, so that is an error here.
func devicesV1(r *specs.LinuxResources, w *writes) error {
	rules, err := deviceRules(r)
	if err != nil {
		return err
	}
	set := deviceSet{exceptions: make([]deviceRule, 0, len(rules))}
	for i, rule := range rules {
		if err := set.add(rule); err != nil {
			return refuse(fmt.Sprintf("devices[%d]", i), "%w", err)
		}
	}
	reset, except := "devices.deny", "devices.allow"
	if set.allowed {
		reset, except = except, reset
	}
	pruned := set.pruned()
	w.list = slices.Grow(w.list, 1+len(pruned))
	w.add("devices", reset, "a")
	for _, e := range pruned {
		w.add("devices", except, e.String())
	}
	return nil
}

// deviceSet is version 1's state: what holds in general, and exceptions.
type deviceSet struct {
	allowed    bool
	exceptions []deviceRule
}

// add applies a rule.
func (s *deviceSet) add(rule deviceRule) error {
	switch {
	case rule.everything():
		*s = deviceSet{allowed: rule.allow, exceptions: s.exceptions[:0]}
		return nil
	case rule.kind == 'a': // version 1 takes any rule of type a for all there is
		for _, kind := range "bc" {
			rule.kind = byte(kind)
			if err := s.add(rule); err != nil {
				return err
			}
		}
		return nil
	case rule.allow != s.allowed:
		for i, e := range s.exceptions {
			if rule.covers(e) && e.covers(rule) {
				s.exceptions[i].access |= rule.access
				return nil
			}
		}
		s.exceptions = append(s.exceptions, rule)
		return nil
	}
	kept := s.exceptions[:0]
	for _, e := range s.exceptions {
		switch {
		case rule.covers(e):
			e.access &^= rule.access
		case rule.meets(e) && rule.access&e.access != 0:
			return fmt.Errorf("%q takes back a part of an earlier rule, %q, which control groups version 1 cannot do; list the devices one by one", rule, e)
		}
		if e.access != 0 {
			kept = append(kept, e)
		}
	}
	s.exceptions = kept
	return nil
}

// pruned is the list without what wider exceptions say already. Opening asks for
// reading and writing at once and needs both in one exception; making a node asks
// for that alone.
func (s *deviceSet) pruned() []deviceRule {
	list := make([]deviceRule, 0, len(s.exceptions))
	for i, e := range s.exceptions {
		for j, f := range s.exceptions {
			if i == j || !f.covers(e) || (e.covers(f) && j > i) {
				continue
			}
			if e.access&^f.access == 0 {
				e.access = 0
			}
			e.access &^= f.access & accessMknod
		}
		if e.access != 0 {
			list = append(list, e)
		}
	}
	return list
}
