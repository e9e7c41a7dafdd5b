package feature

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// This file reads what several probes look at.

// at is a path of the machine below Root.
func (h *Host) at(path string) string { return filepath.Join(h.Root, path) }

// text is the file's content without the white space around it.
func (h *Host) text(path string) (string, error) {
	data, err := os.ReadFile(h.at(path))
	return strings.TrimSpace(string(data)), err
}

// exists does not follow a symbolic link: those of /proc/self/ns lead nowhere.
func (h *Host) exists(path string) bool {
	_, err := os.Lstat(h.at(path))
	return err == nil
}

// is reports whether the file holds exactly value. A missing file does not.
func (h *Host) is(path, value string) bool {
	text, err := h.text(path)
	return err == nil && text == value
}

// status is a field of /proc/self/status, "" when it is absent; see
// proc_pid_status(5).
func (h *Host) status(field string) (string, error) {
	text, err := h.text("/proc/self/status")
	if err != nil {
		return "", fmt.Errorf("read /proc/self/status: %w", err)
	}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok && name == field {
			return strings.TrimSpace(value), nil
		}
	}
	return "", nil
}

// capable reports whether the effective set holds a capability. What cannot
// be read is not held.
func (h *Host) capable(capability int) bool {
	text, err := h.status("CapEff")
	if err != nil {
		return false
	}
	set, err := strconv.ParseUint(text, 16, 64)
	return err == nil && set&(1<<capability) != 0
}

// InUserNamespace reports whether this process is in a user namespace other
// than the first: its map is not the identity. See user_namespaces(7).
func (h *Host) InUserNamespace() bool {
	text, err := h.text("/proc/self/uid_map")
	return err == nil && !slices.Equal(strings.Fields(text), []string{"0", "0", "4294967295"})
}

// hostUID is the effective user as the user namespace above knows it: "0 1000
// 1" in uid_map makes root of 1000. It is the user itself in the first one.
func (h *Host) hostUID() int {
	uid := h.UID()
	text, _ := h.text("/proc/self/uid_map")
	for line := range strings.Lines(text) {
		var inside, outside, count int
		n, _ := fmt.Sscan(line, &inside, &outside, &count)
		if n == 3 && inside <= uid && uid < inside+count {
			return outside + uid - inside
		}
	}
	return uid
}

// isRoot reports whether this is the user to whom the machine belongs.
func (h *Host) isRoot() bool { return h.hostUID() == 0 }

// userName is the name of a user id, or the id in digits.
func (h *Host) userName(uid int) string {
	id := strconv.Itoa(uid)
	passwd, _ := h.text("/etc/passwd")
	for line := range strings.Lines(passwd) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == id {
			return f[0]
		}
	}
	if name := h.Getenv("USER"); name != "" {
		return name // known to a directory service, not to the file
	}
	return id
}

// version is major.minor of a kernel.
type version [2]int

func (v version) String() string { return fmt.Sprintf("%d.%d", v[0], v[1]) }

func (v version) before(w version) bool { return slices.Compare(v[:], w[:]) < 0 }

// kernel is the running kernel's version, and its release as printed.
func (h *Host) kernel() (version, string, error) {
	text, err := h.Release()
	if err != nil {
		return version{}, "", err
	}
	var v version
	if n, _ := fmt.Sscanf(text, "%d.%d", &v[0], &v[1]); n != 2 {
		return version{}, text, fmt.Errorf("parse kernel release %q: it does not start with two numbers", text)
	}
	return v, text, nil
}

// mount is one line of /proc/self/mountinfo; see proc_pid_mountinfo(5).
type mount struct {
	point   string
	options []string // of this mount
	kind    string   // file system type
	super   []string // options of the file system
}

func (m mount) readOnly() bool {
	return slices.Contains(m.options, "ro") || slices.Contains(m.super, "ro")
}

func (h *Host) mounts() ([]mount, error) {
	text, err := h.text("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read /proc/self/mountinfo: %w", err)
	}
	var mounts []mount
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 3 {
			return nil, fmt.Errorf("parse /proc/self/mountinfo: %q is not a mount", strings.TrimSpace(line))
		}
		mounts = append(mounts, mount{
			point: unescape(l[4]), options: strings.Split(l[5], ","),
			kind: r[0], super: strings.Split(r[2], ","),
		})
	}
	return mounts, nil
}

// unescape undoes the octal escapes of mountinfo: \040 is a space.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if code, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
