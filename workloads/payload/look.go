package payload

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"syscall"
)

// Seen is what the payload sees where it runs. What is missing in Missing's
// sections is unknown, and its field here is zero.
type Seen struct {
	// PID, UID and GID as the payload's own system calls tell.
	PID, UID, GID int64
	// Seccomp is PR_GET_SECCOMP (0 none, 2 a filter) and NoNewPrivs
	// PR_GET_NO_NEW_PRIVS (0, 1); negative: the errno of that call.
	Seccomp, NoNewPrivs int64
	// Hostname is the node name of uname(2).
	Hostname string
	// Namespaces has the link of /proc/self/ns of each kind ("user", "pid",
	// "net", "mnt", "uts", "ipc", "cgroup", "time"), as "pid:[4026531836]".
	Namespaces map[string]string
	// Status has the fields of /proc/self/status, runs of blanks as one.
	Status map[string]string
	// Cgroups are the lines of /proc/self/cgroup, UIDMap those of
	// /proc/self/uid_map and Limits those of /proc/self/limits.
	Cgroups, UIDMap, Limits []string
	Mounts                  []Mount
	// Interfaces are the network interfaces of /proc/net/dev, in its order.
	Interfaces []string
	// Missing has the errno of each section that could not be had: ENOENT
	// for all of /proc where it is not mounted.
	Missing map[string]syscall.Errno
}

// Mount is one line of /proc/self/mountinfo.
type Mount struct {
	Device string // major:minor
	Root   string // the part of the file system that is mounted
	Point  string // where, below the root directory of the payload
	Type   string // of the file system
	Source string
}

// Capabilities is the number of effective capabilities; false: unknown.
func (s Seen) Capabilities() (int, bool) { return s.count("CapEff") }

// count returns the number of capabilities in a field of Status.
func (s Seen) count(field string) (int, bool) {
	set, err := strconv.ParseUint(s.Status[field], 16, 64)
	return bits.OnesCount64(set), err == nil
}

// nsPath is what the titles of the namespaces' sections start with.
const nsPath = "/proc/self/ns/"

// ParseLook reads the payload's output under `look`. Lines before its first
// are passed over, and \r before \n is a terminal's. An output that was cut
// off is an error; one of a container without /proc is not.
func ParseLook(b []byte) (Seen, error) {
	s := Seen{
		Namespaces: map[string]string{}, Status: map[string]string{}, Missing: map[string]syscall.Errno{},
	}
	started, ended, section := false, false, ""
	for raw := range bytes.Lines(b) {
		line := string(bytes.TrimRight(raw, "\r\n"))
		name, isTitle := strings.CutPrefix(line, "== ")
		switch {
		case line == "look 1":
			started = true
		case !started || ended:
		case isTitle:
			section, ended = name, name == "end"
		default:
			if err := s.add(section, line); err != nil {
				return Seen{}, fmt.Errorf("read what the payload sees, section %q: %w; was another program writing there, too?", section, err)
			}
		}
	}
	switch {
	case !started:
		return Seen{}, fmt.Errorf("read what the payload sees: no line \"look 1\" in %s; see the errors of what started it", clip(b))
	case !ended:
		return Seen{}, fmt.Errorf("read what the payload sees: it ends within section %q; see the errors of what started it", section)
	}
	return s, nil
}

// add takes one line of a section.
func (s *Seen) add(section, line string) error {
	if errno, ok := strings.CutPrefix(line, "!"); ok {
		n, ok := parseHex(errno)
		if !ok {
			return fmt.Errorf("%q is no errno", line)
		}
		s.Missing[section] = syscall.Errno(n)
		return nil
	}
	if kind, ok := strings.CutPrefix(section, nsPath); ok {
		s.Namespaces[kind] = line
		return nil
	}
	switch section {
	case "calls":
		return s.addCall(line)
	case "hostname":
		s.Hostname = line
	case "/proc/self/status":
		field, value, _ := strings.Cut(line, ":")
		s.Status[field] = strings.Join(strings.Fields(value), " ")
	case "/proc/self/cgroup":
		s.Cgroups = append(s.Cgroups, line)
	case "/proc/self/uid_map":
		s.UIDMap = append(s.UIDMap, strings.Join(strings.Fields(line), " "))
	case "/proc/self/limits":
		s.Limits = append(s.Limits, line)
	case "/proc/self/mountinfo":
		return s.addMount(line)
	case "/proc/net/dev":
		if name, _, ok := strings.Cut(line, ":"); ok { // no header
			s.Interfaces = append(s.Interfaces, strings.TrimSpace(name))
		}
	default:
		return fmt.Errorf("%q is out of place", line)
	}
	return nil
}

func (s *Seen) addCall(line string) error {
	name, value, _ := strings.Cut(line, " ")
	n, ok := parseHex(value)
	to := map[string]*int64{
		"pid": &s.PID, "uid": &s.UID, "gid": &s.GID, "seccomp": &s.Seccomp, "nnp": &s.NoNewPrivs,
	}[name]
	if !ok || to == nil {
		return fmt.Errorf("%q is no result of a call", line)
	}
	*to = n
	return nil
}

// addMount takes a line of mountinfo, as proc_pid_mountinfo(5) describes it.
func (s *Seen) addMount(line string) error {
	front, back, ok := strings.Cut(line, " - ")
	left, right := strings.Fields(front), strings.Fields(back)
	if !ok || len(left) < 6 || len(right) < 2 {
		return errors.New("a line is no mount: " + strconv.Quote(line))
	}
	s.Mounts = append(s.Mounts, Mount{
		Device: left[2], Root: unescape(left[3]), Point: unescape(left[4]),
		Type: right[0], Source: unescape(right[1]),
	})
	return nil
}

// unescape gives back what the kernel writes as \ and three octal digits.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
