package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"isoperf/runtime/cgroup"
)

// scope has systemd delegate a scope to make groups in. Root's is held by a
// process made for it. An ordinary user may have a child born only in a group
// whose common ancestor with the parent's own is theirs, and a session is not: so
// there this process itself moves into the scope, once, and stays. Systemd removes
// the scope when it has ended.
func (g *ground) scope(ctx context.Context) error {
	if os.Geteuid() == 0 {
		return g.delegate(ctx)
	}
	name := fmt.Sprintf("isoperf-limits-%d.scope", os.Getpid())
	dir, inside, err := g.scopeOf(name)
	if err != nil {
		return err
	}
	if !inside {
		var stop func() error
		if dir, stop, err = cgroup.Delegate(ctx, name, os.Getpid()); err != nil {
			return fmt.Errorf("ask systemd for a scope: %w", err)
		}
		g.onClose(stop)
	}
	// A group whose children have controllers can have no processes itself.
	leaf := dir + "/measuring"
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make a group for the measuring process: %w", err)
	}
	if err := os.WriteFile(leaf+"/cgroup.procs", fmt.Appendln(nil, os.Getpid()), 0); err != nil {
		return fmt.Errorf("move the measuring process into its group: %w", err)
	}
	g.parent = dir
	return nil
}

// scopeOf is the directory of a scope that this process is in already.
func (g *ground) scopeOf(name string) (dir string, inside bool, err error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", false, fmt.Errorf("read the own control group: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		own, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for ; ok && own != "/" && own != "."; own = path.Dir(own) {
			if path.Base(own) == name {
				dir, err := g.host.Unified(own)
				return dir, true, err
			}
		}
	}
	return "", false, nil
}
