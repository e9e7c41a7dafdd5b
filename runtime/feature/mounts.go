package feature

import (
	"slices"
	"strings"
)

// Mounts asks for the calls and file systems of a root file system.
func (h *Host) Mounts() []Result {
	return []Result{h.MountAPI(), h.MountSetattr(), h.Overlay()}
}

// MountAPI asks for open_tree(2), fsopen(2) and move_mount(2), Linux 5.2.
func (h *Host) MountAPI() Result {
	return h.callable(probe{groupMounts, "new mount API"}, "open_tree", "fsopen", "move_mount")
}

// MountSetattr asks for mount_setattr(2), Linux 5.12: read-only for a whole
// tree at once, and mounts with mapped ids.
func (h *Host) MountSetattr() Result {
	return h.callable(probe{groupMounts, "mount_setattr"}, "mount_setattr")
}

// Overlay asks for overlayfs. A module that is not loaded yet is not listed.
func (h *Host) Overlay() Result {
	p := probe{groupMounts, "overlayfs"}
	text, err := h.text("/proc/filesystems")
	if err != nil {
		return p.failed(err)
	}
	if slices.Contains(strings.Fields(text), "overlay") {
		return p.have("in /proc/filesystems")
	}
	return p.notHere("/proc/filesystems does not have overlay: the module is not loaded", "sudo modprobe overlay")
}
