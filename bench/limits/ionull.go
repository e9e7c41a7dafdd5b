package limits

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
)

// A null block device has no data at all: what it takes away it throws away. So
// what is measured on it is the limit, and nothing of a backing file. It is made
// in configfs, which is mounted nowhere for that:
//
//	modprobe null_blk nr_devices=0 ─► fsopen(configfs) ─► mkdir nullb/isoperf-PID
//	      ─► size, power=1 ─► /dev/… ─► power=0 ─► rmdir ─► the module goes, if it came
//
// Source: Documentation/block/null_blk.rst (configfs since Linux 4.14).

// nullBlock is a device of ours in configfs.
type nullBlock struct {
	tree   int // configfs, mounted nowhere
	dir    string
	loaded bool // the module was loaded for it
	file   *os.File
}

// newNullDevice makes one. Where none is to be had, the error says why.
func newNullDevice() (d *ioDevice, err error) {
	n := &nullBlock{tree: -1}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.loaded, err = loadNull(); err != nil {
		return nil, err
	}
	if n.tree, err = openConfigfs(); err != nil {
		return nil, err
	}
	if err := n.sweep(); err != nil {
		return nil, err
	}
	dir := "nullb/isoperf-" + strconv.Itoa(os.Getpid())
	if err := unix.Mkdirat(n.tree, dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a null block device: %w; run as root", err)
	}
	n.dir = dir
	for _, set := range [][2]string{{"size", strconv.Itoa(ioDeviceBytes >> 20)}, {"blocksize", "512"}, {"power", "1"}} {
		if err := n.write(set[0], set[1]); err != nil {
			return nil, err
		}
	}
	path, err := n.path()
	if err != nil {
		return nil, err
	}
	if n.file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, harness.NotMeasured{Why: fmt.Sprintf("the null block device cannot be opened: %v; is /dev a devtmpfs?", err)}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(n.file.Fd()), &st); err != nil {
		return nil, fmt.Errorf("look at %q: %w", path, err)
	}
	return &ioDevice{
		file: n.file, path: path, id: fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)),
		bytes: ioDeviceBytes, what: "a null block device", end: n.close,
	}, nil
}

// path is the device's: it is called as its directory in configfs is or, by older
// kernels, by its number.
func (n *nullBlock) path() (string, error) {
	named := "/dev/" + filepath.Base(n.dir)
	if _, err := os.Stat(named); err == nil {
		return named, nil
	}
	index, err := n.read("index")
	return "/dev/nullb" + index, err
}

// loadNull loads the module, unless it is there already.
func loadNull() (loaded bool, err error) {
	const module = "/sys/module/null_blk"
	if _, err := os.Stat(module); err == nil {
		return false, nil
	}
	path, err := exec.LookPath("modprobe")
	if err != nil {
		if _, serr := os.Stat("/sbin/modprobe"); serr != nil {
			return false, harness.NotMeasured{Why: "this kernel has no null block devices, and there is no modprobe to load null_blk with; install kmod"}
		}
		path = "/sbin/modprobe" // not in an ordinary user's PATH
	}
	if out, err := exec.Command(path, "null_blk", "nr_devices=0").CombinedOutput(); err != nil {
		why := strings.TrimSpace(string(out))
		if why == "" {
			why = err.Error()
		}
		return false, harness.NotMeasured{Why: fmt.Sprintf("the module null_blk cannot be loaded (%s); take a kernel that has it, and run as root", why)}
	}
	return true, nil
}

// openConfigfs is a mount of configfs that is nowhere in the tree of mounts.
func openConfigfs() (fd int, err error) {
	why := func(err error) error {
		return harness.NotMeasured{Why: fmt.Sprintf("null block devices are made in configfs, which cannot be mounted: %v; it takes root, and Linux 5.2", err)}
	}
	fs, err := unix.Fsopen("configfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, why(err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, why(err)
	}
	if fd, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0); err != nil {
		return -1, why(err)
	}
	return fd, nil
}

// sweep removes the devices of measurements that were killed.
func (n *nullBlock) sweep() error {
	fd, err := unix.Openat(n.tree, "nullb", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return harness.NotMeasured{Why: fmt.Sprintf("the module null_blk has no devices in configfs: %v; it takes Linux 4.14", err)}
	}
	list := os.NewFile(uintptr(fd), "nullb")
	defer list.Close()
	names, err := list.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list the null block devices: %w", err)
	}
	for _, name := range names {
		pid, ours := strings.CutPrefix(name, "isoperf-")
		if _, err := os.Stat("/proc/" + pid); !ours || err == nil {
			continue
		}
		left := &nullBlock{tree: n.tree, dir: "nullb/" + name}
		if err := left.remove(); err != nil {
			return err
		}
	}
	return nil
}

func (n *nullBlock) write(file, text string) error {
	fd, err := unix.Openat(n.tree, n.dir+"/"+file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set %q of a null block device: %w", file, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		return fmt.Errorf("set %q of a null block device to %s: %w", file, text, err)
	}
	return nil
}

func (n *nullBlock) read(file string) (string, error) {
	fd, err := unix.Openat(n.tree, n.dir+"/"+file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("read %q of a null block device: %w", file, err)
	}
	defer unix.Close(fd)
	text := make([]byte, 64)
	size, err := unix.Read(fd, text)
	if err != nil {
		return "", fmt.Errorf("read %q of a null block device: %w", file, err)
	}
	return strings.TrimSpace(string(text[:size])), nil
}

// remove takes the device away.
func (n *nullBlock) remove() error {
	err := n.write("power", "0")
	if uerr := unix.Unlinkat(n.tree, n.dir, unix.AT_REMOVEDIR); uerr != nil {
		return errors.Join(err, fmt.Errorf("remove null block device %q: %w", n.dir, uerr))
	}
	return nil // without power or not, it is gone
}

// close leaves nothing of what was made.
func (n *nullBlock) close() (all error) {
	if n.file != nil {
		all = n.file.Close()
	}
	if n.dir != "" {
		all = errors.Join(all, n.remove())
	}
	if n.tree >= 0 {
		all = errors.Join(all, unix.Close(n.tree))
	}
	if n.loaded {
		// Somebody else may use it by now.
		if err := unix.DeleteModule("null_blk", unix.O_NONBLOCK); err != nil && err != unix.EWOULDBLOCK && err != unix.EBUSY {
			all = errors.Join(all, fmt.Errorf("unload the module null_blk: %w", err))
		}
	}
	*n = nullBlock{tree: -1}
	return all
}
