package main

import (
	"slices"
	"strings"

	"isoperf/bench/attach"
	"isoperf/bench/clone"
	"isoperf/bench/control"
	"isoperf/bench/harness"
	enforce "isoperf/bench/limits"
	"isoperf/bench/mount"
	"isoperf/bench/network"
	"isoperf/bench/startup"
)

// family is a group of cases that can be asked for by one name.
type family struct {
	name  string // as patterns and file names spell it
	about string
	cases func(harness.Extent) []harness.Case
}

// benches are what measures families whose cases share something.
type benches struct {
	starts *startup.Bench
	limits *enforce.Bench
	wires  *network.Bench
}

// unmeasured are benches whose cases are only named.
func unmeasured() benches {
	return benches{startup.New(startup.Config{}), enforce.New(enforce.Config{}), network.New(network.Config{})}
}

// spansFamily has cases of our own runtime only.
const spansFamily = "startup-spans"

// families is the table of all that bench can measure, in the order of list.
func families(all benches) []family {
	b, l, n := all.starts, all.limits, all.wires
	return []family{
		{"clone", "namespaces: clone, unshare, setns and teardown of each", clone.Cases},
		{"sweep-creators", "clone against the number of threads that create at once", clone.Creators},
		{"sweep-mounts", "a mount namespace against the mounts that are there", clone.Mounts},
		{"sweep-netns", "a network namespace against those that are alive, empty or with a listener", clone.Live},
		{"sweep-memory", "clone against the memory that the launcher has touched", clone.Memory},
		{"sweep-gap", "clone against the pause before it", clone.Gaps},
		{"mount", "each call that makes a container's mounts", mount.Cases},
		{"pivot", "pivot_root against MS_MOVE and chroot", mount.Pivots},
		{"sweep-mount-table", "mount calls against the mounts that are there", mount.Tables},
		{"sweep-mountns", "a bind against the mount namespaces alive", mount.Namespaces},
		{"sweep-peers", "a bind against the namespaces it reaches", mount.Peers},
		{"sweep-mounters", "mount against the threads that mount at once", mount.Mounters},
		{"attach", "into a control group, against the pause before", attach.Cases},
		{"cgroup-op", "each operation on a control group, and into one", func(e harness.Extent) []harness.Case {
			return append(l.CgroupOps(e), attach.Ends(e)...)
		}},
		{"sweep-siblings", "operations on a control group against the groups beside it", l.Siblings},
		{"sweep-depth", "operations on a control group against the groups above it", l.Depths},
		{"cpu-max", "is a CPU limit kept, and how exactly: quotas by periods", l.CPUMax},
		{"cpu-shapes", "the same with other loads: turns, system calls, groups below, stress", l.CPUShapes},
		{"cpu-converge", "how soon a CPU limit holds: moved into, raised, lowered", l.CPUConverge},
		{"cpu-burst", "quota that is saved and used at once", l.CPUBurst},
		{"cpu-weight", "who gets how much CPU time by weight", l.CPUWeight},
		{"cpuset", "does a group keep to its CPUs, and how soon to others", l.Cpuset},
		{"latency", "what a request feels under a CPU limit, and without it", l.Latency},
		{"memory-max", "does a group stay below its memory limit, and is what must be killed", l.MemoryMax},
		{"oom", "a kill for memory, from the touch that went too far to the empty group", l.OOM},
		{"memory-high", "how long memory.high delays, against the kernel's own table", l.MemoryHigh},
		{"pids-max", "are tasks limited exactly: one by one, and in a storm of forks", l.PidsMax},
		{"io-max", "is a limit on a block device kept: bytes and requests, small and large", l.IOMax},
		{"freeze", "how long it takes to freeze, thaw and kill a group", l.Freezing},
		{"startup", "a container, from the start of its runtime to its end, with every runtime that is here", b.Cases},
		{spansFamily, "where the time of our own start goes", b.Spans},
		{"startup-variants", "the same with a filter, limits, the host's network, as an ordinary user, cold", b.Variants},
		{"startup-at-once", "several starts at a time: containers per second", b.AtOnce},
		{"startup-open", "starts at intended times: what a queue does to the ones behind", b.Open},
		{"network", "bytes per second of a path: loopback, veth, bridge, NAT, slirp4netns, pasta", n.Streams},
		{"network-request", "what an answer takes on a path, by intended times", n.Requests},
		{"network-connect", "what a connection with one request takes on a path", n.Connections},
		{"network-udp", "how many datagrams a path carries at a loss of 0.5 % at most", n.Datagrams},
		{"network-setup", "how soon a container has a network, and how soon it is gone", n.Setups},
		{"network-rtt", "bytes per second of a path whose peer is far away (netem)", n.Distances},
		{"network-send", "the calls that move a stream's bytes: does zero copy pay", n.Moves},
		{"engine", "what the engine itself costs per start", func(e harness.Extent) []harness.Case { return control.Engine(e.Burst) }},
	}
}

// chosen is a case and the family it belongs to.
type chosen struct {
	harness.Case
	family string
}

// choose returns the cases that the patterns name; all for no pattern. A
// pattern may be a family's name, which stands for all of its cases. A pattern
// that names nothing exactly is taken as a plain prefix.
func choose(b benches, e harness.Extent, patterns []string) ([]chosen, error) {
	var all, some []chosen
	named := map[string]bool{}
	for _, f := range families(b) {
		named[f.name] = true
		for _, c := range f.cases(e) {
			all = append(all, chosen{c, f.name})
		}
	}
	if len(patterns) == 0 {
		return distinct(all), nil
	}
	wanted := make([]bool, len(all))
	for _, p := range patterns {
		found := false
		for _, test := range []func(chosen) bool{
			func(c chosen) bool { return c.family == p || !named[p] && matches(p, listName(c.Name)) },
			func(c chosen) bool { return strings.HasPrefix(strings.ToLower(listName(c.Name)), strings.ToLower(p)) },
		} {
			for i, c := range all {
				if test(c) {
					wanted[i], found = true, true
				}
			}
			if found {
				break
			}
		}
		if !found {
			return nil, unknownPattern(p)
		}
	}
	for i, c := range all {
		if wanted[i] {
			some = append(some, c)
		}
	}
	return distinct(some), nil
}

// distinct leaves out what is there already: a case may be of two families.
func distinct(list []chosen) []chosen {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(c chosen) bool {
		again := seen[c.Name]
		seen[c.Name] = true
		return again
	})
}

// unknownPattern names what could have been meant.
func unknownPattern(p string) error {
	var names []string
	for _, f := range families(unmeasured()) {
		names = append(names, f.name)
	}
	head, _, _ := strings.Cut(p, "/")
	switch {
	case strings.ToLower(head) == spansFamily:
		return usage("no case matches %q: only isorun tells where its time goes, so --runtime must not leave it out, and --exec has no part in it; see where the time of another goes with: isoperf trace -- runc run …", p)
	case slices.Contains(names, strings.ToLower(head)):
		return usage("no case matches %q with these flags (isoperf list %s shows those that there are)", p, strings.ToLower(head))
	}
	names = append(names, "unshare", "setns", "teardown")
	if near := nearest(head, names); near != "" && near != head {
		return usage("no case matches %q (did you mean %q? isoperf list shows all names)", p, near)
	}
	return usage("no case matches %q (isoperf list shows all names; families: %s)", p, strings.Join(names, ", "))
}
