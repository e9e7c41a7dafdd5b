// Package rootfs plans what a container sees as its file system: a list of ops
// for the stub, from "nothing here is shared with the host any more" to "the
// old root is gone".
//
//	private ─► bind or overlay the root ─► mounts ─► /dev ─► console ─► sysctl ─► mask ─► pivot_root
//
// A root file system is not to be trusted: what lies in it may be a symbolic
// link to anywhere, and may change while it is being looked at. So every place
// in it is resolved inside it, by openat2 with RESOLVE_IN_ROOT and without
// magic links (Linux 5.6), to a descriptor, and everything is done to that
// descriptor.
//
// File systems are mounted, and trees bound, either through the mount API that
// works on descriptors (fsopen, open_tree, mount_setattr, move_mount; Linux
// 5.12 for all of it) or through mount(2), to which a descriptor is shown as
// /proc/self/fd/N. A bind by the new calls is never seen without its
// attributes, and takes them for a whole tree; that is why it is the default
// where the kernel has it.
package rootfs
