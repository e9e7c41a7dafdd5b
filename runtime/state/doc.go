// Package state keeps what is known of a container where later commands find it:
// a directory of its own below a root, so that a crash at any point leaves
// something that can be read, named and removed.
//
//	ROOT/ID/lock         held by who changes the container; its text is that process
//	ROOT/ID/state.json   what is known, in this package's own form; see State
//	ROOT/ID/config.json  the configuration as it was at create
//	ROOT/ID/resources.json  its linux.resources, when they were changed since
//	ROOT/ID/start        a fifo: the command is executed when a byte comes
//	ROOT/ID/notify       what the container sees of a service manager; see package notify
//	ROOT/ID/failure      why it could not be: an errno, 8 bytes, behind what the
//	                     startContainer hooks say; usually empty
//
// # Who may do what
//
// Who changes a container holds its lock: create, start, delete, pause, resume
// and update. Others wait for it a few seconds, and then name the holder. Who
// reads, and who sends signals, needs no lock: a file is replaced whole (written
// beside, renamed), so there is always one that is complete.
//
// # Nothing is synced
//
// A process that is killed leaves its files to the kernel, which has all that was
// written, in its order: no fsync makes that safer. It would tell the disk, for
// after the machine has gone down; but then no container is there any more, nor
// any control group, and what is left of a root that is not in memory (/run is)
// describes nothing: its process numbers are of another boot, which their start
// times tell, and what is cut delete --force takes away. Six calls of fsync were
// half of the time of create on a disk.
//
// # What a crash leaves
//
// The directory is made first and removed last, state.json is written before
// anything else of the container is made (with the control groups that will be),
// and written again when its first process is there; it is removed last but the
// lock. So whatever is left of a container that a killed runtime was making or
// removing, state.json says where it is; a directory without one has nothing
// elsewhere. Package lifecycle draws its conclusions from that.
//
// # Status is not stored
//
// It would be wrong as soon as the container ends. See lifecycle.Container.Status.
package state
