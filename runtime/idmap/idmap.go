// Package idmap writes the id maps of a user namespace: without a map nobody
// in it has a name, may execute as root, or may make another one.
package idmap

import (
	"fmt"
	"os"
)

// Self maps the caller's own user and group, and no others, to root of the
// user namespace of a process. Any user may write such a map; setgroups(2) is
// denied inside from then on, as the kernel demands. See user_namespaces(7).
func Self(pid int) error {
	for _, f := range []struct{ name, text string }{
		{"uid_map", fmt.Sprintf("0 %d 1\n", os.Geteuid())},
		{"setgroups", "deny"},
		{"gid_map", fmt.Sprintf("0 %d 1\n", os.Getegid())},
	} {
		path := fmt.Sprintf("/proc/%d/%s", pid, f.name)
		if err := os.WriteFile(path, []byte(f.text), 0); err != nil {
			return fmt.Errorf("write %q: %w", f.text, err)
		}
	}
	return nil
}
