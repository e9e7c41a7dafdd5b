package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

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
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("--rootfs %q: it does not exist; give a directory with a Linux system in it, or a tar of one", f.Rootfs)
	}
	if err != nil {
		return fmt.Errorf("--rootfs: %w; it has to be a place that this user may enter", err)
	}
	if info.IsDir() {
		if real, err := filepath.EvalSymlinks(f.Rootfs); err == nil && real == "/" {
			return fmt.Errorf("--rootfs %q: it is the host's own root; leave --rootfs out to see the host's files", f.Rootfs)
		}
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
		cache.Remove = func(tree string) error { return inside(c.ctx, *maps, "remove", tree) }
	}
	tree, _, err := cache.Tree(c.ctx, f.Rootfs, func(dir string) error {
		if maps != nil {
			return inside(c.ctx, *maps, "tar", f.Rootfs, dir)
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
func inside(ctx context.Context, maps idmap.Maps, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	said, messages, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe for the messages of the unpacking: %w", err)
	}
	defer said.Close()
	defer messages.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := program.New(program.Stub, unix.CLONE_NEWUSER)
	p.Early(program.CloseOnExec(3))
	p.Stdio(0, 1, int(messages.Fd()))
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
	messages.Close() // so that the pipe ends with the process
	if err := maps.Write(proc.Pid()); err != nil {
		_ = proc.Signal(unix.SIGKILL) // it may have ended
		_, _ = proc.Wait()            // the maps are what went wrong
		return err
	}
	proc.Open(mapped)
	defer context.AfterFunc(ctx, func() { _ = proc.Signal(unix.SIGKILL) })() // it may have ended
	// When it fails, Wait says why.
	_ = proc.Confirm(func() bool { return ctx.Err() != nil })
	text, err := io.ReadAll(said)
	status, werr := proc.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err = errors.Join(werr, err); err != nil {
		return err
	}
	if !status.Success() {
		if text, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "isoperf: "); ok {
			return errors.New(text)
		}
		return fmt.Errorf("unpack in a user namespace: %v: %s", status, text)
	}
	return nil
}

// unpack is what runs in that namespace; it is not for people.
func (c *cli) unpack() *cobra.Command {
	return &cobra.Command{
		Use: "unpack", Hidden: true, Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			err := errors.New("unpack: tar FILE DIR, or remove DIR")
			switch {
			case args[0] == "remove":
				err = unpack.Remove(args[1])
			case args[0] == "tar" && len(args) == 3:
				err = unpackTar(c.ctx, args[1], args[2], unpack.Options{Owner: true, SkipDevices: true})
			}
			if err != nil {
				return cannot(err)
			}
			return nil
		},
	}
}
