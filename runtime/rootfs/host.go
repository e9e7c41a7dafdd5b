package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// MountID is the number of the mount that a path is in, with which Unmount knows
// what was there before. statx(2), STATX_MNT_ID: Linux 5.8.
func MountID(path string) (uint64, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st)
	if err == nil && st.Mask&unix.STATX_MNT_ID == 0 {
		err = unix.ENOSYS
	}
	if err != nil {
		return 0, fmt.Errorf("find the mount of %q: %w; it takes Linux 5.8, or a mount namespace of the container's own", path, err)
	}
	return st.Mnt_id, nil
}

// Unmount removes what Build has mounted on the host, for a container without a
// mount namespace: the root on itself, with all below it. Before is the mount
// that the root was in. Where that is what is there now, nothing is done.
func Unmount(root string, before uint64) error {
	now, err := MountID(root)
	if err != nil || now == before {
		return err
	}
	if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %q: %w", root, err)
	}
	return nil
}
