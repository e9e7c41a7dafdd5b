package feature

import (
	"slices"

	"isoperf/runtime/namespace"
)

// Family is one family of measurements, and what of it works here.
type Family struct {
	Name string
	// State is Have when the family can be measured at all, if only in part.
	State State
	// Missing is what takes the family away (State other than Have), or else
	// what falls away within it; empty when all of it can be measured.
	Missing []Result
}

// family is the table's form: without all of needs nothing can be measured,
// without one of parts only that part cannot.
type family struct {
	name         string
	needs, parts []string
}

func families() []family {
	var namespaces, peers []string
	for _, n := range namespace.All() {
		namespaces = append(namespaces, n.Name+" namespace")
	}
	for _, p := range programs() {
		if p.peer {
			peers = append(peers, p.name)
		}
	}
	return []family{
		{"clone", []string{"kernel release", "privilege"}, append(namespaces, "clone3", "CLONE_INTO_CGROUP")},
		{"mount", []string{"kernel release", "privilege", "mnt namespace"},
			[]string{"new mount API", "mount_setattr", "overlayfs"}},
		{"startup", []string{"kernel release", "privilege", "mnt namespace", "pid namespace", "memfd exec"}, peers},
		{"limits", []string{"kernel release", "cgroups", "cgroup delegation"},
			[]string{"cgroup v2", "cpu controller", "memory controller", "io controller", "pids controller",
				"kernel CPU scheduler", "PSI"}},
		{"network", []string{"kernel release", "privilege", "net namespace"},
			[]string{"/dev/net/tun", "slirp4netns", "pasta", "iperf3"}},
	}
}

// Families turns results into what can be measured. A name that is not among
// the results is taken to be there.
func Families(results []Result) []Family {
	var all []Family
	for _, f := range families() {
		if lost := lacking(results, f.needs); len(lost) > 0 {
			all = append(all, Family{f.name, lost[0].State, lost})
			continue
		}
		all = append(all, Family{f.name, Have, lacking(results, f.parts)})
	}
	return all
}

func lacking(results []Result, names []string) []Result {
	var lost []Result
	for _, name := range names {
		if r, ok := Find(results, name); ok && r.State != Have && !slices.ContainsFunc(lost, same(r)) {
			lost = append(lost, r)
		}
	}
	return lost
}

func same(r Result) func(Result) bool {
	return func(other Result) bool { return other.Name == r.Name }
}
