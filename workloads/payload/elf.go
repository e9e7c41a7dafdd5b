package payload

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The beginnings of rows.
const (
	title = string(rune(kindTitle)) + "\x00\x00"
	link  = string(rune(kindLink)) + "\x00\x00== " + nsPath
	read  = string(rune(kindRead)) + "\x00\x00== "
	name  = string(rune(kindName)) + "\x00\x00== "
	call  = string(rune(kindCall))
)

// table is what the payload reports under `look`, one row after another:
// kind, call number, first argument, text, NUL. A row of kind 0 ends it.
const table = title + "look 1\x00" +
	title + "== calls\x00" +
	call + callGetpid + "\x00pid \x00" +
	call + callGetuid + "\x00uid \x00" +
	call + callGetgid + "\x00gid \x00" +
	call + callPrctl + "\x15seccomp \x00" + // PR_GET_SECCOMP
	call + callPrctl + "\x27nnp \x00" + // PR_GET_NO_NEW_PRIVS
	name + "hostname\x00" +
	link + "user\x00" +
	link + "pid\x00" +
	link + "net\x00" +
	link + "mnt\x00" +
	link + "uts\x00" +
	link + "ipc\x00" +
	link + "cgroup\x00" +
	link + "time\x00" +
	read + "/proc/self/status\x00" +
	read + "/proc/self/cgroup\x00" +
	read + "/proc/self/mountinfo\x00" +
	read + "/proc/self/uid_map\x00" +
	read + "/proc/self/limits\x00" +
	read + "/proc/net/dev\x00" +
	title + "== end\x00" +
	"\x00"

// tableSize is the room of the table, with zeros behind it, so that the code
// starts at a multiple of 16.
const tableSize = (len(table) + 15) &^ 15

// text returns the machine code and what the linker put behind it.
func text() string

// mark ends the machine code.
const mark = "ISOPERF\x00"

// ELF is the payload for this architecture: a static ELF of one segment, which
// holds the headers, the table and the code. It has no data, no sections and
// no interpreter. Its bytes depend on nothing but this package's sources.
func ELF() []byte {
	const (
		vaddr  = 0x400000
		header = 64 + 2*56
	)
	code, _, _ := strings.Cut(text(), mark)
	size := uint64(header + tableSize + len(code))
	b := make([]byte, 0, size)
	half := func(list ...uint16) {
		for _, n := range list {
			b = binary.LittleEndian.AppendUint16(b, n)
		}
	}
	word := func(n uint32) { b = binary.LittleEndian.AppendUint32(b, n) }
	long := func(list ...uint64) {
		for _, n := range list {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
	}
	b = append(b, 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	half(2, machine) // ET_EXEC
	word(1)
	long(vaddr+header+uint64(tableSize), 64, 0)
	word(0)
	half(64, 56, 2, 0, 0, 0)
	word(1) // PT_LOAD
	word(5) // r-x
	long(0, vaddr, vaddr, size, size, 0x10000)
	word(0x6474e551) // PT_GNU_STACK
	word(6)          // rw-
	long(0, 0, 0, 0, 0, 16)
	b = append(b, table...)
	b = append(b, make([]byte, tableSize-len(table))...)
	return append(b, code...)
}

// Write makes the payload's file, mode 0755, or replaces it in one step: who
// executes path at the same time gets the old file or the new one, whole.
func Write(path string) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write the payload %q: %w; is its directory there and writable?", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
			err = fmt.Errorf("write the payload %q: %w; see the directory's file system", path, err)
		}
	}()
	_, err = file.Write(ELF())
	err = errors.Join(err, file.Chmod(0o755), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
