package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"isoperf/runtime/capability"
	"isoperf/runtime/idmap"
	"isoperf/runtime/program"
	"isoperf/runtime/rootfs/unpack"
	"isoperf/runtime/spec/command"
)

// openRootfs turns a tar into a directory: unpacked once, for all that use it,
// and never written to.
func (c *cli) openRootfs(f *runFlags, who command.Caller) error {
	if f.Rootfs == "" {
		return nil
	}
	info, err := os.Stat(f.Rootfs)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("--rootfs %q: it does not exist", f.Rootfs)
	}
	if err != nil {
		return fmt.Errorf("--rootfs: %w", err)
	}
	if info.IsDir() {
		return nil
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("--rootfs %q: it is neither a directory nor a tar", f.Rootfs)
	}
	maps, err := f.mapsOf(who)
	if err != nil {
		return err
	}
	how := "root"
	if maps != nil {
		text, err := json.Marshal(maps)
		if err != nil {
			return err
		}
		how = string(text)
	}
	dir, err := cacheDir()
	if err != nil {
		return err
	}
	cache := unpack.Cache{Dir: dir, How: how}
	if maps != nil {
		cache.Remove = func(tree string) error { return inside(*maps, "remove", tree) }
	}
	tree, _, err := cache.Tree(c.ctx, f.Rootfs, func(dir string) error {
		if maps != nil {
			return inside(*maps, "tar", f.Rootfs, dir)
		}
		return unpackTar(c.ctx, f.Rootfs, dir, unpack.Options{Owner: true})
	})
	if err != nil {
		return fmt.Errorf("--rootfs: %w", err)
	}
	f.Rootfs, f.Throwaway = tree, true
	return nil
}

// mapsOf are the id maps of the container's user namespace, nil without one:
// what is unpacked must belong to its users.
func (f *runFlags) mapsOf(who command.Caller) (*idmap.Maps, error) {
	ct, err := f.Container(who)
	if err != nil {
		return nil, err
	}
	if !ct.Rootless() {
		return nil, nil
	}
	return &idmap.Maps{UIDs: ct.Linux.UIDMappings, GIDs: ct.Linux.GIDMappings}, nil
}

// cacheDir is where unpacked trees are kept.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/isoperf", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the unpacked root file system: %w", err)
	}
	return filepath.Join(dir, "isoperf"), nil
}

func unpackTar(ctx context.Context, name, dir string, o unpack.Options) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	o.Name = name
	_, err = unpack.Tar(ctx, file, dir, o)
	return err
}

// inside runs this program's own unpacking in a user namespace with the
// container's ids: only there can an ordinary user give files to them.
func inside(maps idmap.Maps, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := program.New(program.Stub, unix.CLONE_NEWUSER)
	p.Early(program.CloseOnExec(3))
	p.Stdio(0, 1, 2)
	last, err := capability.Last()
	if err != nil {
		return err
	}
	capability.RaiseAmbient(p, capability.UpTo(last), true)
	p.DieWithParent()
	mapped := p.Wait("ids mapped")
	p.Add(program.Setresgid(0))
	p.Add(program.Setresuid(0))
	p.Rearm()
	p.Exec(self, append([]string{"isoperf", "unpack"}, args...), os.Environ())
	proc, err := program.Start(p)
	if err != nil {
		return err
	}
	defer proc.Release()
	if err := maps.Write(proc.Pid()); err != nil {
		_ = proc.Signal(unix.SIGKILL)
		_, _ = proc.Wait() // the maps are what went wrong
		return err
	}
	proc.Open(mapped)
	status, err := proc.Wait()
	if err != nil {
		return err
	}
	if !status.Success() {
		return fmt.Errorf("unpack in a user namespace: %v", status)
	}
	return nil
}

// unpack is what runs in that namespace; it is not for people.
func (c *cli) unpack() *cobra.Command {
	return &cobra.Command{
		Use: "unpack", Hidden: true, Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case args[0] == "remove":
				return unpack.Remove(args[1])
			case args[0] == "tar" && len(args) == 3:
				return unpackTar(c.ctx, args[1], args[2], unpack.Options{Owner: true, SkipDevices: true})
			}
			return errors.New("unpack: tar FILE DIR, or remove DIR")
		},
	}
}
