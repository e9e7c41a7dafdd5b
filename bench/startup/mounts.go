package startup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Hybrid says whether version 1 and version 2 of the control groups are mounted
// side by side, which crun refuses.
func Hybrid() (bool, error) {
	v1, v2, err := groupMounts()
	return v1 && len(v2) > 0, err
}

// HideUnified makes a hybrid tree one of version 1 (another one stays what it
// is), in this mount namespace,
// which must be private. An empty file system covers the place: crun makes a
// directory there for each container, and leaves it.
func HideUnified() error {
	v1, v2, err := groupMounts()
	if err != nil || !v1 {
		return err
	}
	ours, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return fmt.Errorf("look at this mount namespace: %w", err)
	}
	parents, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", os.Getppid()))
	if err != nil || ours == parents {
		return fmt.Errorf("hide control groups of version 2: these mounts are not this process's own (%s), and nobody else's are changed; is a variable ISOPERF_INSIDE_… set?", ours)
	}
	for _, path := range v2 {
		if err := unix.Unmount(path, 0); err != nil {
			return fmt.Errorf("unmount %q: %w", path, err)
		}
		if err := unix.Mount("isoperf", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755,size=1m"); err != nil {
			return fmt.Errorf("cover %q: %w", path, err)
		}
	}
	return nil
}

// groupMounts are those of the control groups; see proc(5), mountinfo.
func groupMounts() (v1 bool, v2 []string, err error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, nil, fmt.Errorf("find the cgroup mounts: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(line, " - ")
		f := strings.Fields(before)
		if !ok || len(f) < 5 {
			return false, nil, errors.New("find the cgroup mounts: a line of /proc/self/mountinfo is cut")
		}
		switch kind, _, _ := strings.Cut(after, " "); kind {
		case "cgroup":
			v1 = true
		case "cgroup2":
			v2 = append(v2, f[4])
		}
	}
	return v1, v2, nil
}

// unmountBelow takes down what is mounted below a directory, the last one first.
// What is removed afterwards is then that directory's alone, and never what
// somebody else has at the other end of a mount.
func unmountBelow(dir string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("find the mounts below what was left behind: %w", err)
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("find the mounts below %q: %w", dir, err)
	}
	lines := strings.Split(string(text), "\n")
	for _, line := range slices.Backward(lines) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		// See proc(5): a space, a tab, a newline and a backslash are octal there.
		path := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(f[4])
		if !strings.HasPrefix(path, dir+"/") {
			continue
		}
		if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %q, which was left behind: %w", path, err)
		}
	}
	return nil
}
