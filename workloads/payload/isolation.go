package payload

import (
	"slices"
	"strconv"
)

// Isolation says of each thing that a runtime can make for a container whether
// it did. The words are those of Aspects, in that order.
type Isolation struct {
	Own     []string // made, or taken away, for the container
	Shared  []string // as it is outside
	Unknown []string // it cannot be told from inside
}

type answer int

const (
	unknown answer = iota
	shared
	own
)

// aspect is one thing that can be told from two looks.
type aspect struct {
	name string
	tell func(s, host Seen) answer
}

func aspects() []aspect {
	var all []aspect
	for _, kind := range []string{"user", "pid", "net", "mnt", "uts", "ipc", "cgroup", "time"} {
		all = append(all, aspect{kind + " namespace", func(s, host Seen) answer { return tellNamespace(kind, s, host) }})
	}
	return append(all,
		aspect{"cgroup", tellCgroup},
		aspect{"seccomp filter", tellFilter},
		aspect{"ban on new privileges", tellNoNewPrivs},
		aspect{"drop of capabilities", tellCapabilities},
		aspect{"root of its own", tellRoot},
	)
}

// Against compares what the payload saw in a container with what it sees
// beside its runtime.
func (s Seen) Against(host Seen) Isolation {
	var i Isolation
	for _, a := range aspects() {
		switch a.tell(s, host) {
		case own:
			i.Own = append(i.Own, a.name)
		case shared:
			i.Shared = append(i.Shared, a.name)
		default:
			i.Unknown = append(i.Unknown, a.name)
		}
	}
	return i
}

// Made is what the container has of its own, in the order of Aspects.
func (s Seen) Made(host Seen) []string { return s.Against(host).Own }

// differs is own where the condition holds.
func differs(yes bool) answer {
	if yes {
		return own
	}
	return shared
}

// tellNamespace compares links. Without them, two kinds can still show
// themselves: the payload is process 1, or the host has another name.
func tellNamespace(kind string, s, host Seen) answer {
	here, there := s.Namespaces[kind], host.Namespaces[kind]
	switch {
	case here != "" && there != "":
		return differs(here != there)
	case kind == "pid" && s.PID == 1 && host.PID > 1,
		kind == "uts" && s.Hostname != "" && host.Hostname != "" && s.Hostname != host.Hostname:
		return own
	}
	return unknown
}

// tellCgroup compares the groups' paths. In a cgroup namespace of its own the
// container sees paths that start at its root, which say nothing.
func tellCgroup(s, host Seen) answer {
	if len(s.Cgroups) == 0 || len(host.Cgroups) == 0 || tellNamespace("cgroup", s, host) == own {
		return unknown
	}
	return differs(!slices.Equal(s.Cgroups, host.Cgroups))
}

// tellFilter counts filters (Linux 5.9), since the host may have one as well,
// or else asks for the mode.
func tellFilter(s, host Seen) answer {
	here, err := strconv.Atoi(s.Status["Seccomp_filters"])
	there, err2 := strconv.Atoi(host.Status["Seccomp_filters"])
	if err == nil && err2 == nil {
		return differs(here > there)
	}
	mode, ok := s.mode("Seccomp", s.Seccomp)
	hostMode, hostOK := host.mode("Seccomp", host.Seccomp)
	switch {
	case ok && mode == 0:
		return shared
	case ok && hostOK && hostMode == 0:
		return own
	}
	return unknown
}

func tellNoNewPrivs(s, host Seen) answer {
	here, ok := s.mode("NoNewPrivs", s.NoNewPrivs)
	there, hostOK := host.mode("NoNewPrivs", host.NoNewPrivs)
	if !ok || !hostOK {
		return unknown
	}
	return differs(here > there)
}

// mode is the result of a call or, where a filter forbids it, the status field.
func (s Seen) mode(field string, result int64) (int64, bool) {
	if result >= 0 {
		return result, true
	}
	n, err := strconv.ParseInt(s.Status[field], 10, 64)
	return n, err == nil
}

// tellCapabilities compares the effective sets and, since those of a user are
// empty anyhow, the bounding sets.
func tellCapabilities(s, host Seen) answer {
	fewer := false
	for _, field := range []string{"CapEff", "CapBnd"} {
		here, ok := s.count(field)
		there, hostOK := host.count(field)
		if !ok || !hostOK {
			return unknown
		}
		fewer = fewer || here < there
	}
	return differs(fewer)
}

// tellRoot compares what is mounted at "/": the last mount there covers the
// others. After a bare chroot nothing is.
func tellRoot(s, host Seen) answer {
	if len(s.Mounts) == 0 || len(host.Mounts) == 0 {
		return unknown
	}
	here, there := s.root(), host.root()
	return differs(here.Device != there.Device || here.Root != there.Root)
}

func (s Seen) root() (root Mount) {
	for _, m := range s.Mounts {
		if m.Point == "/" {
			root = m
		}
	}
	return root
}
