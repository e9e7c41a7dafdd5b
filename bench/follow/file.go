package follow

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fileOfControl is a file by which processes are isolated.
type fileOfControl string

const (
	noFile     fileOfControl = ""
	cgroupFile fileOfControl = "cgroup"
	idFile     fileOfControl = "id map"
)

func (f fileOfControl) matters() bool { return f == cgroupFile || f == idFile }

// controlFile says what a path is, as it was given.
func controlFile(name string) fileOfControl {
	base := path.Base(name)
	switch base {
	case "uid_map", "gid_map", "setgroups", "projid_map":
		return idFile
	case "tasks", "cgroup.procs", "cgroup.threads":
		return cgroupFile
	}
	if strings.Contains(name, "/sys/fs/cgroup/") {
		return cgroupFile
	}
	// Relative to a directory's descriptor, as runtimes open them.
	controller, rest, ok := strings.Cut(base, ".")
	if !ok || rest == "" || strings.Contains(name, "/") {
		return noFile
	}
	switch controller {
	case "cgroup", "cpu", "cpuset", "memory", "pids", "io", "blkio", "devices", "freezer", "hugetlb", "net_cls", "net_prio", "rdma", "misc", "cpuacct":
		return cgroupFile
	}
	return noFile
}

// opening handles the open of a file. One that tells nothing is let go at once.
func (t *tracer) opening(th *thread, e entry, args [6]uint64, read *reader) {
	at := strings.IndexByte(e.args, 's')
	name, ok := text(th.tid, args[at], textMost)
	if !ok {
		t.note(th.process, Unreadable, "")
		return
	}
	if controlFile(name) == noFile && !t.options.Files {
		return
	}
	t.enter(th, File, "open "+path.Base(name), read.call(e.name, e.args, args))
}

// writing handles a short write. One to a file that controls nothing is let go
// at once.
func (t *tracer) writing(th *thread, e entry, args [6]uint64, read *reader) {
	target, ok := linkOf(th.tid, int(int32(args[0])))
	if !ok || !controlFile(target).matters() {
		return
	}
	content := ""
	if strings.HasPrefix(e.args, "db") {
		content = ", " + read.word('b', args, 1)
	}
	t.enter(th, Write, "write "+path.Base(target), e.name+"("+strconv.Quote(target)+content+")")
}

// disarmed notes an execve of a file whose privilege the process does not get,
// since it is traced without being root, or may get no new privileges.
func (t *tracer) disarmed(th *thread) {
	if free, err := privileged(); err != nil || free {
		return
	}
	exe := fmt.Sprintf("/proc/%d/exe", th.tid)
	var st unix.Stat_t
	if unix.Stat(exe, &st) != nil {
		return
	}
	const group = unix.S_ISGID | unix.S_IXGRP
	armed := st.Mode&unix.S_ISUID != 0 && int(st.Uid) != os.Geteuid() || st.Mode&group == group
	if size, err := unix.Getxattr(exe, "security.capability", nil); err == nil && size > 0 {
		armed = true
	}
	if !armed {
		return
	}
	name, err := os.Readlink(exe)
	if err != nil {
		name = th.args[0]
	}
	t.note(th.process, Disarmed, name)
}
