package explain

import "golang.org/x/sys/unix"

// mountCalls are about the tree of files: mounts and the root.
func mountCalls() []entry {
	return []entry{
		{unix.SYS_MOUNT, "mount", "MS_PRIVATE", "mount_namespaces(7)", "Makes the mounts private: what is mounted in the container does not appear on the host, and the other way round. A new mount namespace alone does not do that when the host's mounts are shared."},
		{unix.SYS_MOUNT, "mount", "MS_SLAVE", "mount_namespaces(7)", "Makes the mounts slaves: mounts of the host still appear in the container, but none of the container's on the host."},
		{unix.SYS_MOUNT, "mount", "MS_SHARED", "mount_namespaces(7)", "Makes the mounts shared: a mount below them appears in every copy of them."},
		{unix.SYS_MOUNT, "mount", "MS_UNBINDABLE", "mount_namespaces(7)", "Makes the mounts private, and refuses to bind them to other places."},
		{unix.SYS_MOUNT, "mount", "MS_MOVE", "mount(2)", "Moves a mount to another place in the tree."},
		{unix.SYS_MOUNT, "mount", "MS_REMOUNT", "mount(2)", "Changes the flags of a mount, for example to read-only; a bind mount takes most of its flags only in this second step."},
		{unix.SYS_MOUNT, "mount", "MS_BIND", "mount(2)", "Shows a file or directory at a second place (a bind mount): a volume, a device, or the root itself, since pivot_root takes only a mount."},
		{unix.SYS_MOUNT, "mount", `"proc"`, "proc(5)", "Mounts a /proc that shows the processes of the container's own pid namespace; ps and many libraries read it."},
		{unix.SYS_MOUNT, "mount", `"sysfs"`, "sysfs(5)", "Mounts a /sys, which shows devices, and the interfaces of the container's own network namespace."},
		{unix.SYS_MOUNT, "mount", `"tmpfs"`, "tmpfs(5)", "Mounts an empty file system in memory, which is gone with the container; /dev, /run and hidden directories are such."},
		{unix.SYS_MOUNT, "mount", `"devpts"`, "pts(4)", "Mounts pseudo terminals of its own, so that no terminal of the host can be opened."},
		{unix.SYS_MOUNT, "mount", `"mqueue"`, "mq_overview(7)", "Mounts the POSIX message queues of the container's own IPC namespace."},
		{unix.SYS_MOUNT, "mount", `"cgroup2"`, "cgroups(7)", "Mounts the cgroup tree, from the container's own cgroup down when it has a cgroup namespace."},
		{unix.SYS_MOUNT, "mount", `"cgroup"`, "cgroups(7)", "Mounts a version 1 cgroup hierarchy, from the container's own cgroup down when it has a cgroup namespace."},
		{unix.SYS_MOUNT, "mount", `"overlay"`, "mount(8)", "Mounts an overlay: the root below is only read, and all changes go to a layer above it that can be thrown away."},
		{unix.SYS_MOUNT, "mount", "", "mount(2)", "Attaches a file system to the tree, in the container's own list of mounts."},
		{unix.SYS_UMOUNT2, "umount2", "MNT_DETACH", "umount2(2)", "Takes a mount out of the tree at once, though it may still be in use; after pivot_root this is the old root, with all of the host's files."},
		{unix.SYS_UMOUNT2, "umount2", "", "umount2(2)", "Takes a mount out of the tree."},
		{unix.SYS_PIVOT_ROOT, "pivot_root", "", "pivot_root(2)", "Makes the container's tree the root of its mount namespace and puts the old root aside. Unlike with chroot, the old one can then be unmounted, so there is no way back."},
		{unix.SYS_CHROOT, "chroot", "", "chroot(2)", "Changes where paths begin. A process with CAP_SYS_CHROOT can get out again, so it takes the place of pivot_root only where that cannot work."},
		{unix.SYS_OPEN_TREE, "open_tree", "OPEN_TREE_CLONE", "open_tree(2)", "Makes a copy of a mount that is not in the tree yet, held by a descriptor; it can be changed before anyone sees it."},
		{unix.SYS_OPEN_TREE, "open_tree", "", "open_tree(2)", "Opens a mount by a descriptor, so that later calls mean this one whatever its path becomes."},
		{unix.SYS_MOVE_MOUNT, "move_mount", "", "move_mount(2)", "Puts a mount that is held by a descriptor into the tree; the target is a descriptor too, so no symbolic link can lead it elsewhere."},
		{unix.SYS_FSOPEN, "fsopen", `"proc"`, "fsopen(2)", "Begins to make a /proc, which will show the processes of the container's own pid namespace."},
		{unix.SYS_FSOPEN, "fsopen", "", "fsopen(2)", "Begins to make a file system, without mounting it yet; each option then has its own call and its own error."},
		{unix.SYS_FSPICK, "fspick", "", "fspick(2)", "Opens a mounted file system to change its options."},
		{unix.SYS_FSCONFIG, "fsconfig", "FSCONFIG_CMD_CREATE", "fsconfig(2)", "Makes the file system from the options that were set."},
		{unix.SYS_FSCONFIG, "fsconfig", "FSCONFIG_CMD_RECONFIGURE", "fsconfig(2)", "Changes the file system to the options that were set."},
		{unix.SYS_FSCONFIG, "fsconfig", "", "fsconfig(2)", "Sets one option of the file system that is being made."},
		{unix.SYS_FSMOUNT, "fsmount", "", "fsmount(2)", "Makes a mount of the new file system, held by a descriptor and not in the tree yet, with flags such as nosuid and nodev."},
		{unix.SYS_MOUNT_SETATTR, "mount_setattr", "MOUNT_ATTR_IDMAP", "mount_setattr(2)", "Maps the owners of the files by a user namespace, as they are seen through this mount only; no file has to be changed."},
		{unix.SYS_MOUNT_SETATTR, "mount_setattr", "MS_PRIVATE;MS_SLAVE", "mount_setattr(2)", "Sets how mounts spread between the container and the host; private ones do not."},
		{unix.SYS_MOUNT_SETATTR, "mount_setattr", "", "mount_setattr(2)", "Sets flags of a mount in one step, such as read-only, nosuid or nodev; with AT_RECURSIVE those of all mounts below it too, which mount(2) cannot."},
	}
}
