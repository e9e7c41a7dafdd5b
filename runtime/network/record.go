package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A record directory holds one file for each connected container, and that of
// the bridge. A record's file is locked by the runtime that made it, as long as
// that lives: the kernel releases flock(2) with its last descriptor. All files
// come and go under the lock of the directory.

const (
	lockName     = "lock"
	bridgeName   = "bridge.json"
	recordSuffix = ".net.json"
)

// process names a process beyond the reuse of its number.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot; see proc_pid_stat(5)
}

// note is what a record says.
type note struct {
	ID      string     `json:"id"`
	Mode    Mode       `json:"mode"`
	Target  process    `json:"target"`
	Helper  process    `json:"helper,omitzero"`
	Veth    string     `json:"veth,omitempty"` // the host's end
	Address netip.Addr `json:"address,omitzero"`
	Rules   bool       `json:"rules,omitempty"` // there may be rules with its comment
}

// record is the file of a connected container. A nil record records nothing.
type record struct {
	path string
	file *os.File
	note note
}

// lockRecords takes the directory's lock; the result releases it.
func lockRecords(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of network records: %w", err)
	}
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the network records: %w", err)
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	return func() { f.Close() }, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}

// record makes the container's record, before anything else is made.
func (l *Link) record(t Target) (*record, error) {
	dir := l.config.Record
	if dir == "" {
		return nil, nil
	}
	unlock, err := lockRecords(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return l.recordLocked(t)
}

// recordLocked is record under the directory's lock.
func (l *Link) recordLocked(t Target) (*record, error) {
	path := filepath.Join(l.config.Record, l.config.ID+recordSuffix)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil, fmt.Errorf("container %q already has a network: %q exists; when it is a left-over, Sweep removes it", l.config.ID, path)
	case err != nil:
		return nil, fmt.Errorf("record the network: %w", err)
	}
	target := process{PID: t.PID}
	target.Start, _ = startTime(t.PID) // 0: it has ended already
	r := &record{path: path, file: f, note: note{ID: l.config.ID, Mode: l.config.Mode, Target: target}}
	l.onClose(r.remove)
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	return r, r.write()
}

// helper notes the helper.
func (r *record) helper(pid int) error {
	if r == nil {
		return nil
	}
	r.note.Helper.PID = pid
	r.note.Helper.Start, _ = startTime(pid) // 0: it has ended already
	return r.write()
}

// write puts the note into the file. The file stays the same, as it is locked;
// a note that a kill has cut short is read as far as its name tells.
func (r *record) write() error {
	text, err := json.Marshal(r.note)
	if err == nil {
		_, err = r.file.WriteAt(text, 0)
	}
	if err == nil {
		err = r.file.Truncate(int64(len(text)))
	}
	if err != nil {
		return fmt.Errorf("write %q: %w", r.path, err)
	}
	return nil
}

func (r *record) remove() error {
	err := os.Remove(r.path)
	r.file.Close()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the record of the network: %w", err)
	}
	return nil
}

// readNote reads a record.
func readNote(path string) (note, error) {
	id, _ := strings.CutSuffix(filepath.Base(path), recordSuffix)
	text, err := os.ReadFile(path)
	if err != nil {
		return note{}, fmt.Errorf("read the record of a network: %w", err)
	}
	var n note
	if err := json.Unmarshal(text, &n); err != nil {
		// Cut short: the runtime was killed before it had made anything, or
		// while it replaced a note by a longer one, which then may have rules.
		_, missing := find(saveProgram, "iptables", "iptables")
		n = note{Rules: capable(unix.CAP_NET_ADMIN) && missing == nil}
	}
	n.ID = id
	return n, nil
}

// startTime is when a process started, in clock ticks after boot; an error when
// it has ended, even if nobody has collected it.
func startTime(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// After the name, which may hold anything: field 3, the state.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("read /proc/%d/stat: it has %d fields", pid, len(fields))
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, os.ErrProcessDone
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// alive says whether it is still this process.
func (p process) alive() bool {
	start, err := startTime(p.PID)
	return p.PID > 0 && err == nil && start == p.Start
}

// kill ends the process, unless its number has become another's.
func (p process) kill() error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open a descriptor of process %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	if !p.alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	return nil
}
