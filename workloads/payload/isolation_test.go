package payload

import (
	"slices"
	"testing"
)

// The container and its host, one aspect at a time.
func TestAgainst(t *testing.T) {
	status := func(pairs ...string) Seen {
		s := Seen{Status: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			s.Status[pairs[i]] = pairs[i+1]
		}
		return s
	}
	root := func(mounts ...Mount) Seen { return Seen{Mounts: mounts} }
	disk := Mount{Device: "8:1", Root: "/", Point: "/"}
	proc := Mount{Device: "0:5", Root: "/", Point: "/proc"}
	cgroup := func(namespace string, paths ...string) Seen {
		return Seen{Cgroups: paths, Namespaces: map[string]string{"cgroup": namespace}}
	}
	for name, row := range map[string]struct {
		aspect     string
		here, host Seen
		want       answer
	}{
		"another link":          {"net namespace", Seen{Namespaces: map[string]string{"net": "net:[1]"}}, Seen{Namespaces: map[string]string{"net": "net:[2]"}}, own},
		"the same link":         {"net namespace", Seen{Namespaces: map[string]string{"net": "net:[1]"}}, Seen{Namespaces: map[string]string{"net": "net:[1]"}}, shared},
		"no link":               {"net namespace", Seen{}, Seen{Namespaces: map[string]string{"net": "net:[2]"}}, unknown},
		"process 1":             {"pid namespace", Seen{PID: 1}, Seen{PID: 77}, own},
		"process 1 in 1":        {"pid namespace", Seen{PID: 1}, Seen{PID: 1}, unknown},
		"another name":          {"uts namespace", Seen{Hostname: "a"}, Seen{Hostname: "b"}, own},
		"the same name":         {"uts namespace", Seen{Hostname: "a"}, Seen{Hostname: "a"}, unknown},
		"another group":         {"cgroup", cgroup("c:[1]", "0::/a"), cgroup("c:[1]", "0::/b"), own},
		"the same group":        {"cgroup", cgroup("c:[1]", "0::/a"), cgroup("c:[1]", "0::/a"), shared},
		"a group's namespace":   {"cgroup", cgroup("c:[1]", "0::/"), cgroup("c:[2]", "0::/b"), unknown},
		"one filter more":       {"seccomp filter", status("Seccomp_filters", "2"), status("Seccomp_filters", "1"), own},
		"the host's filter":     {"seccomp filter", status("Seccomp_filters", "1"), status("Seccomp_filters", "1"), shared},
		"no filter":             {"seccomp filter", Seen{}, Seen{Seccomp: 2}, shared},
		"a filter":              {"seccomp filter", Seen{Seccomp: 2}, Seen{}, own},
		"two filters?":          {"seccomp filter", Seen{Seccomp: 2}, Seen{Seccomp: 2}, unknown},
		"a filter on prctl":     {"seccomp filter", Seen{Seccomp: -1}, Seen{}, unknown},
		"ban on new privileges": {"ban on new privileges", Seen{NoNewPrivs: 1}, Seen{}, own},
		"host without, too":     {"ban on new privileges", Seen{NoNewPrivs: 1}, Seen{NoNewPrivs: 1}, shared},
		"unknown privileges":    {"ban on new privileges", Seen{NoNewPrivs: -1}, Seen{}, unknown},
		"fewer effective":       {"drop of capabilities", status("CapEff", "01", "CapBnd", "07"), status("CapEff", "03", "CapBnd", "07"), own},
		"fewer to be had":       {"drop of capabilities", status("CapEff", "00", "CapBnd", "03"), status("CapEff", "00", "CapBnd", "07"), own},
		"more, in a user's":     {"drop of capabilities", status("CapEff", "07", "CapBnd", "07"), status("CapEff", "00", "CapBnd", "07"), shared},
		"no status":             {"drop of capabilities", Seen{}, status("CapEff", "00", "CapBnd", "07"), unknown},
		"the host's root":       {"root of its own", root(disk, proc), root(disk), shared},
		"a directory of it":     {"root of its own", root(Mount{Device: "8:1", Root: "/srv", Point: "/"}), root(disk), own},
		"another file system":   {"root of its own", root(disk, Mount{Device: "0:9", Root: "/", Point: "/"}), root(disk), own},
		"a bare chroot":         {"root of its own", root(proc), root(disk), own},
		"no mountinfo":          {"root of its own", Seen{}, root(disk), unknown},
	} {
		t.Run(name, func(t *testing.T) {
			i := row.here.Against(row.host)
			got := map[answer][]string{own: i.Own, shared: i.Shared, unknown: i.Unknown}
			for a, names := range got {
				if slices.Contains(names, row.aspect) != (a == row.want) {
					t.Errorf("%q is in %+v; want answer %d", row.aspect, i, row.want)
				}
			}
			if n := len(i.Own) + len(i.Shared) + len(i.Unknown); n != len(aspectNames()) {
				t.Errorf("%d aspects of %d", n, len(aspectNames()))
			}
		})
	}
}
