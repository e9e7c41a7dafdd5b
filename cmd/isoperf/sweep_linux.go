package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/idmap"
	"isoperf/runtime/network"
	"isoperf/runtime/rootfs"
	"isoperf/runtime/rootfs/unpack"
	"isoperf/runtime/spec/command"
)

// sweepAll removes what killed runtimes have left, and prints a line for each
// thing: control groups with the processes in them, mounts on the host, the parts
// of networks, and trees that were being unpacked. What belongs to a runtime that lives stays.
func (c *cli) sweepAll() error {
	var failed []error
	count := 0
	for _, s := range []struct {
		what  string
		sweep func() ([]string, error)
	}{
		{"control group ", sweepGroups},
		{"mounts in ", func() ([]string, error) { return rootfs.SweepHost(recordDir()) }},
		{"", func() ([]string, error) { return network.Sweep(recordDir()) }},
		{"half-unpacked root ", sweepCache},
	} {
		removed, err := s.sweep()
		failed = append(failed, err)
		count += len(removed)
		for _, name := range removed {
			if _, err := fmt.Fprintf(c.stdout, "removed %s%s\n", s.what, name); err != nil {
				return cannot(fmt.Errorf("print what was removed: %w", err))
			}
		}
	}
	if err := errors.Join(failed...); err != nil {
		return cannot(err)
	}
	if count == 0 {
		if _, err := io.WriteString(c.stdout, "nothing was left behind\n"); err != nil {
			return cannot(fmt.Errorf("print what was removed: %w", err))
		}
	}
	return nil
}

func sweepGroups() ([]string, error) {
	host, err := cgroup.Detect()
	if err != nil {
		return nil, err
	}
	return cgroup.Sweep(host, recordDir())
}

// sweepCache sweeps the unpacked trees.
func sweepCache() ([]string, error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	cache := unpack.Cache{Dir: dir}
	if os.Geteuid() != 0 {
		cache.Remove = func(tree string) error { return removeTree(context.Background(), tree) }
	}
	return cache.Sweep()
}

// removeTree removes an ordinary user's tree. It may have files of all ids that
// the user has, which are removed in a user namespace that has them.
func removeTree(ctx context.Context, tree string) error {
	who := command.Self(callerName())
	maps, err := idmap.Subordinate(who.Name, who.UID, who.GID)
	if err != nil {
		return unpack.Remove(tree) // without ranges they are the user's own
	}
	return inside(ctx, maps, "remove", tree)
}
