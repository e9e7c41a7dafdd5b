package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// facts are what the witness saw: kind, what, and the value.
type facts map[string]map[string]string

var ownName = regexp.MustCompile(`isoperf-\d+-\d+-\d+-`)

// readFacts reads the witness's lines. What differs from start to start
// (numbers of namespaces, mounts, devices and processes) is taken out.
func readFacts(text string) (facts, error) {
	f, own := facts{}, map[string]string{}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("read our own control groups: %w", err)
	}
	for line := range strings.Lines(string(groups)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		what, value, _ := strings.Cut(rest, ":")
		own[what] = value
	}
	for line := range strings.Lines(ownName.ReplaceAllString(text, "")) {
		kind, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			return nil, fmt.Errorf("read line %q of the witness: it has one word", line)
		}
		what, value, _ := strings.Cut(rest, ":")
		switch kind {
		case "namespace":
			ours, err := os.Readlink("/proc/self/ns/" + what)
			if err != nil {
				return nil, fmt.Errorf("read our own namespace: %w", err)
			}
			value = strings.TrimSpace(value)
			if value == ours {
				continue
			}
			value = "new"
		case "mount":
			what, value = mountFact(rest)
		case "cgroup":
			_, rest, _ = strings.Cut(rest, ":")
			what, value, _ = strings.Cut(rest, ":")
			if own[what] == strings.TrimSpace(value) {
				continue // it is where we are: no group was made for it
			}
		}
		if f[kind] == nil {
			f[kind] = map[string]string{}
		}
		f[kind][what] = strings.TrimSpace(value)
	}
	if len(f["namespace"]) == 0 || len(f["mount"]) == 0 {
		return nil, fmt.Errorf("read the witness: it saw no namespace of its own, or no mount")
	}
	return f, nil
}

// mountFact is a line of mountinfo without its numbers; see proc(5).
func mountFact(line string) (what, value string) {
	f := strings.Fields(line)
	if len(f) < 7 {
		return line, ""
	}
	rest := f[6:]
	for len(rest) > 0 && rest[0] != "-" {
		rest = rest[1:]
	}
	return f[4], strings.Join(append([]string{f[3], f[5]}, rest...), " ")
}

// list is every fact as a line.
func (f facts) list() (lines []string) {
	for kind, m := range f {
		for what, value := range m {
			lines = append(lines, kind+" "+what+": "+value)
		}
	}
	slices.Sort(lines)
	return lines
}

// exactly is what another container lacks and adds.
func (f facts) exactly(other facts) (lacks, adds []string) {
	a, b := f.list(), other.list()
	for _, line := range a {
		if _, found := slices.BinarySearch(b, line); !found {
			lacks = append(lacks, line)
		}
	}
	for _, line := range b {
		if _, found := slices.BinarySearch(a, line); !found {
			adds = append(adds, line)
		}
	}
	return lacks, adds
}

// roughly says how another container differs: which namespaces, mounts,
// devices and control groups were made, and who the process is.
func (f facts) roughly(other facts) string {
	var out []string
	for _, kind := range []string{"namespace", "mount", "dev", "cgroup"} {
		var lacks, adds []string
		for what := range f[kind] {
			if _, ok := other[kind][what]; !ok {
				lacks = append(lacks, what)
			}
		}
		for what := range other[kind] {
			if _, ok := f[kind][what]; !ok {
				adds = append(adds, what)
			}
		}
		for verb, list := range map[string][]string{"no": lacks, "also": adds} {
			if slices.Sort(list); len(list) > 0 {
				out = append(out, verb+" "+kind+" "+strings.Join(list, " "))
			}
		}
	}
	for _, kind := range []string{"status", "process", "net"} {
		for what, value := range f[kind] {
			if theirs := other[kind][what]; theirs != value {
				out = append(out, fmt.Sprintf("%s %s %s, not %s", kind, what, words(theirs), words(value)))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// words is a value on one line, and not nothing.
func words(s string) string {
	if s = strings.Join(strings.Fields(s), " "); s == "" {
		return "none"
	}
	return s
}
