package unpack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/idmap"
	"isoperf/runtime/program"
)

// helpUnpack unpacks args[0] into args[1]; further arguments are options.
func helpUnpack(args []string) error {
	o := Options{}
	for _, a := range args[2:] {
		o.Owner = o.Owner || a == "owner"
		o.SkipDevices = o.SkipDevices || a == "skip-devices"
		if a == "umask" {
			unix.Umask(0o777)
		}
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := Tar(context.Background(), f, args[1], o)
	if err != nil {
		return err
	}
	fmt.Printf("euid %d\n%s\n", os.Geteuid(), strings.Join(r.Skipped, "\n"))
	return nil
}

// helpUserNamespace runs args[0], another helper, as root of a new user
// namespace that has this user's id and no other.
func helpUserNamespace(args []string) error {
	if err := os.Setenv(helperEnv, args[0]); err != nil {
		return err
	}
	self, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	p := program.New(program.Stub, 0)
	p.Stdio(0, 1, 2)
	p.Keep(self)
	p.Add(program.Unshare(unix.CLONE_NEWUSER))
	inside := p.Tell("in the user namespace")
	mapped := p.Wait("for the id maps")
	p.ExecAt(program.Int(self), append([]string{"unpack.test"}, args[1:]...), os.Environ())
	proc, err := program.Start(p)
	if err != nil {
		return err
	}
	defer proc.Release()
	if err := proc.Await(inside); err != nil {
		return err
	}
	if err := idmap.Self(proc.Pid()); err != nil {
		return errors.Join(err, proc.Signal(syscall.SIGKILL))
	}
	proc.Open(mapped)
	status, err := proc.Wait()
	if err == nil && !status.Success() {
		err = fmt.Errorf("the helper in the user namespace: %v", status)
	}
	return err
}

// userTree is an archive with all that troubles an ordinary user, and a
// directory of the user's for it.
func userTree(t *testing.T, uid int) (archive, base string) {
	t.Helper()
	base = tempDir(t)
	if os.Geteuid() == 0 {
		if err := os.Chown(base, ordinary, ordinary); err != nil {
			t.Fatal(err)
		}
	}
	capable := file("capable", "c")
	capable.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
	trusted := file("trusted", "t")
	trusted.PAXRecords = map[string]string{"SCHILY.xattr.trusted.x": "1", "SCHILY.xattr.user.x": "2"}
	setuid := file("closed/setuid", "s")
	setuid.Mode = 0o6755
	device := file("null", "")
	device.Typeflag, device.Devmajor, device.Devminor = '3', 1, 3
	owned := file("owned", "o")
	owned.Uid, owned.Gid = uid, uid
	archive = filepath.Join(base, "x.tar")
	if err := os.WriteFile(archive, archiveOf(t, dir(".", 0o555), dir("closed", 0o111), dir("closed/in", 0o500), dir("closed/in/deep", 0o500), dir("shut", 0), dir("shut/in", 0o750), file("closed/in/deep/f", "f"), setuid, capable, trusted, device, owned), 0o644); err != nil {
		t.Fatal(err)
	}
	return archive, base
}

func checkUserTree(t *testing.T, root string, user uint32) {
	t.Helper()
	for name, want := range map[string]uint32{".": 0o40555, "closed": 0o40111, "closed/in": 0o40500, "shut": 0o40000, "shut/in": 0o40750, "closed/setuid": 0o106755, "capable": 0o100644} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, name), &st); err != nil {
			if os.Geteuid() == 0 {
				t.Error(err)
			}
		} else if st.Mode != want || st.Uid != user || st.Gid != user {
			t.Errorf("%s has mode %o, owner %d:%d", name, st.Mode, st.Uid, st.Gid)
		}
	}
}

// TestOrdinaryUser: without privileges and without owners, all but devices and
// attributes of the kernel is there, and what is not is named; and the tree,
// which its owner may not write, can be removed.
func TestOrdinaryUser(t *testing.T) {
	archive, base := userTree(t, 0)
	user := uint32(os.Geteuid())
	if user == 0 {
		user = ordinary
	}
	for where, wrap := range map[string][]string{"no namespace": nil, "user namespace": {"userns"}} {
		t.Run(where, func(t *testing.T) {
			if wrap != nil {
				_, err := os.Stat("/proc/self/ns/user")
				require(t, err == nil, "there are no user namespaces")
			}
			root := filepath.Join(base, "root")
			help := func(args ...string) string {
				args = append(wrap[:len(wrap):len(wrap)], args...)
				return run(t, asOrdinary(helper(args[0], args[1:]...)))
			}
			out := help("unpack", archive, root, "skip-devices", "umask")
			skipped := `"null": device 1:3`
			if !strings.Contains(out, skipped) || !strings.Contains(out, `"trusted": extended attribute "trusted.x": operation not permitted`) {
				t.Errorf("%s", out)
			}
			// Root of a namespace may give files capabilities, for that namespace.
			if strings.Contains(out, `"capable": extended attribute`) != (wrap == nil) || strings.Contains(out, "user.x") {
				t.Errorf("%s", out)
			}
			checkUserTree(t, root, user)
			help("remove", root)
			if _, err := os.Lstat(root); !os.IsNotExist(err) {
				t.Errorf("the tree is still there: %v", err)
			}
			args := append(wrap[:len(wrap):len(wrap)], "unpack", archive, root+"2")
			mustRefuse(t, "make device 1:3: operation not permitted", args...)
		})
	}
}

// mustRefuse runs a helper as an ordinary user, which has to fail with a text.
func mustRefuse(t *testing.T, text string, args ...string) {
	t.Helper()
	cmd := asOrdinary(helper(args[0], args[1:]...))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err == nil || !strings.Contains(errs.String(), text) {
		t.Errorf("%v: %v\n%s; want %q", args, err, errs.String(), text)
	}
}

// TestUnmappedOwner: an owner that a user namespace does not know is an error
// that says so, and not another owner.
func TestUnmappedOwner(t *testing.T) {
	archive, base := userTree(t, 42)
	mustRefuse(t, `entry "owned" (number 12): change its owner to 42:42: invalid argument: the user namespace does not map these ids`,
		"userns", "unpack", archive, filepath.Join(base, "root"), "owner", "skip-devices")
	mustRefuse(t, "it takes CAP_CHOWN, or unpack without owners", "unpack", archive, filepath.Join(base, "root2"), "owner", "skip-devices")
	archive, base = userTree(t, 0)
	run(t, asOrdinary(helper("userns", "unpack", archive, filepath.Join(base, "root"), "owner", "skip-devices")))
}

// TestOwnerRange: with a range of ids, the archive's owners are the
// namespace's, and outside those they are mapped to.
func TestOwnerRange(t *testing.T) {
	requireRoot(t)
	archive, base := userTree(t, 42)
	const first = 200_000
	if err := os.Chown(base, first, first); err != nil {
		t.Fatal(err)
	}
	inside := func(name string, args ...string) string {
		cmd := helper(name, args...)
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: first, Size: 65536}}
		cmd.SysProcAttr.GidMappings = cmd.SysProcAttr.UidMappings
		cmd.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true}
		return run(t, cmd)
	}
	root := filepath.Join(base, "root")
	if out := inside("unpack", archive, root, "owner", "skip-devices"); !strings.HasPrefix(out, "euid 0\n") {
		t.Errorf("not root inside: %s", out)
	}
	checkUserTree(t, root, first)
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(root, "owned"), &st); err != nil || st.Uid != first+42 || st.Gid != first+42 {
		t.Errorf("owned belongs to %d:%d, %v", st.Uid, st.Gid, err)
	}
	inside("remove", root)
}
