package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program/inherit"
)

// Host is how a machine arranges its control groups, seen from this process.
type Host struct {
	v1 []hierarchy
	v2 *hierarchy // nil: cgroup2 is not mounted
}

// hierarchy is a mounted tree of groups.
type hierarchy struct {
	v2          bool
	mount       string   // the mount point
	root        string   // which group is mounted there: "/" outside of containers
	own         string   // this process's group, from the hierarchy's root
	controllers []string // version 1: its mount options, "name=x" too; version 2: cgroup.controllers at the mount point
}

// Detect reads the arrangement from /proc/self/mountinfo and
// /proc/thread-self/cgroup (the process's first thread may be in a group where it
// is launching something), and which controllers version 2 has. The first time both
// are as they were when the process began, where package inherit has read them:
// nothing was launched or mounted since.
func Detect() (*Host, error) {
	var err error
	mountinfo, self := inherit.Mounts.Take(), inherit.Groups.Take()
	if mountinfo == nil {
		if mountinfo, err = readFile(unix.AT_FDCWD, "/proc/self/mountinfo"); err != nil {
			return nil, fmt.Errorf("read /proc/self/mountinfo: %w; mount /proc", err)
		}
	}
	if self == nil {
		if self, err = readFile(unix.AT_FDCWD, "/proc/thread-self/cgroup"); err != nil {
			return nil, fmt.Errorf("read /proc/thread-self/cgroup: %w; the kernel may lack CONFIG_CGROUPS", err)
		}
	}
	return DetectAt(mountinfo, self, "")
}

// DetectAt is Detect of the given files' texts. Root is put before every mount
// point, "" for the machine's own.
func DetectAt(mountinfo, selfCgroup []byte, root string) (*Host, error) {
	h := &Host{}
	for line := range bytes.Lines(mountinfo) {
		if !bytes.Contains(line, []byte(" - cgroup")) {
			continue
		}
		if err := h.addMount(string(line), root); err != nil {
			return nil, err
		}
	}
	if h.v2 == nil && len(h.v1) == 0 {
		return nil, errors.New("find control groups: none are mounted; mount -t cgroup2 none /sys/fs/cgroup")
	}
	h.setOwn(selfCgroup)
	if h.v2 != nil {
		text, err := readFile(unix.AT_FDCWD, h.v2.mount+"/cgroup.controllers")
		if err != nil {
			return nil, fmt.Errorf("read the controllers of %q: %w", h.v2.mount, err)
		}
		h.v2.controllers = strings.Fields(string(text))
	}
	return h, nil
}

// addMount takes a line of mountinfo (proc_pid_mountinfo(5)). Of a hierarchy
// that is mounted more than once, the first is used.
func (h *Host) addMount(line, prefix string) error {
	left, right, _ := strings.Cut(line, " - ")
	var l [6]string
	var r [3]string
	if words(l[:], left) < len(l) || words(r[:], right) < len(r) {
		return fmt.Errorf("read mountinfo: line %q is cut", line)
	}
	m := hierarchy{mount: prefix + unescape(l[4]), root: unescape(l[3])}
	switch r[0] {
	case "cgroup2":
		if h.v2 == nil {
			m.v2 = true
			h.v2 = &m
		}
	case "cgroup":
		for opt := range strings.SplitSeq(r[2], ",") {
			if isController(opt) {
				m.controllers = append(m.controllers, opt)
			}
		}
		for i := range h.v1 {
			if slices.Equal(h.v1[i].controllers, m.controllers) {
				return nil
			}
		}
		h.v1 = append(h.v1, m)
	}
	return nil
}

// words are the first words of a text, and how many there are.
func words(list []string, text string) (n int) {
	for word := range strings.FieldsSeq(text) {
		if n == len(list) {
			break
		}
		list[n] = word
		n++
	}
	return n
}

// isController tells a controller, or a hierarchy's name, from the other
// options of a version 1 mount.
func isController(opt string) bool {
	switch opt {
	case "rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods", "nofavordynmods", "none", "all":
		return false
	}
	return !strings.HasPrefix(opt, "release_agent=")
}

// unescape takes away mountinfo's octal escapes of space, tab, newline and \.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// setOwn takes the text of a /proc/PID/cgroup: "ID:controllers:path" lines, of
// which version 2's is "0::path".
func (h *Host) setOwn(text []byte) {
	eachOwn(text, func(controllers, path string) {
		if controllers == "" {
			if h.v2 != nil {
				h.v2.own = path
			}
			return
		}
		first, _, _ := strings.Cut(controllers, ",")
		for i := range h.v1 {
			if h.v1[i].has(first) {
				h.v1[i].own = path
			}
		}
	})
}

func eachOwn(text []byte, f func(controllers, path string)) {
	for line := range bytes.Lines(text) {
		_, rest, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":")
		controllers, path, ok2 := strings.Cut(rest, ":")
		if ok && ok2 {
			f(controllers, path)
		}
	}
}

func (y *hierarchy) has(controller string) bool {
	for _, c := range y.controllers {
		if c == controller {
			return true
		}
	}
	return false
}

// name is what steps and errors call the hierarchy.
func (y *hierarchy) name() string {
	if y.v2 {
		return "v2"
	}
	return strings.Join(y.controllers, ",")
}

// dir is the directory of a group, given as in /proc/PID/cgroup. A group
// outside of what is mounted is an error.
func (y *hierarchy) dir(group string) (string, error) {
	rest := group
	if y.root != "/" {
		var ok bool
		if rest, ok = strings.CutPrefix(group, y.root); !ok || (rest != "" && rest[0] != '/') {
			return "", fmt.Errorf("find group %q: only %q of this hierarchy is mounted, at %q", group, y.root, y.mount)
		}
	}
	if strings.HasPrefix(rest, "/..") {
		return "", fmt.Errorf("find group %q: it is outside of this cgroup namespace; mount %q anew inside it", group, y.mount)
	}
	return filepath.Join(y.mount, rest), nil
}

// place is the directory in which this process makes groups: its own group,
// so that its limits hold for them. A group of version 2 that has processes
// cannot have children with controllers, so there it is the parent.
func (y *hierarchy) place() (string, error) {
	own := y.own
	if y.v2 && own != y.root && own != "/" && own != "" && !strings.HasPrefix(own, "/..") {
		own = filepath.Dir(own)
	}
	return y.dir(own)
}

// Mode is "v1", "v2", or "hybrid": version 1 with cgroup2 mounted beside it.
func (h *Host) Mode() string {
	switch {
	case len(h.v1) == 0:
		return "v2"
	case h.v2 == nil:
		return "v1"
	}
	return "hybrid"
}

// Controllers lists what the machine has, by hierarchy: version 1 in the order
// of their mounts, then "v2:" with version 2's.
func (h *Host) Controllers() []string {
	var list []string
	for i := range h.v1 {
		list = append(list, h.v1[i].name())
	}
	if h.v2 != nil {
		list = append(list, "v2:"+strings.Join(h.v2.controllers, ","))
	}
	return list
}

// find is the hierarchy that has a controller; nil: none has.
func (h *Host) find(c *controller) *hierarchy {
	for i := range h.v1 {
		if h.v1[i].has(c.name) {
			return &h.v1[i]
		}
	}
	if h.v2 != nil && (c.v2 == "" || h.v2.has(c.v2)) {
		return h.v2
	}
	return nil
}

// Unified is the directory of a group of version 2, given as in
// /proc/PID/cgroup or systemd's ControlGroup.
func (h *Host) Unified(group string) (string, error) {
	if h.v2 == nil {
		return "", errors.New("find group: cgroup2 is not mounted; boot with systemd.unified_cgroup_hierarchy=1, or mount it")
	}
	return h.v2.dir(group)
}
