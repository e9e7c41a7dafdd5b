package follow

import (
	"encoding/binary"
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
)

// How much of what arguments point to is read.
const (
	textMost = 1024
	argsMost = 16
)

// reader reads the arguments of a call that has stopped.
type reader struct {
	tid    int
	narrow bool // pointers of four bytes
	failed bool // something could not be read
}

// call prints a call as strace would, by the letters of its entry:
//
//	s string   d number   x hexadecimal   o octal   f directory   F descriptor
//	b bytes, as many as the next argument says      v argv
//	C clone flags   3 struct clone_args   M U mount and umount flags
//	P prctl option   S seccomp operation
func (r *reader) call(name, letters string, args [6]uint64) string {
	var words []string
	for i, letter := range letters {
		words = append(words, r.word(letter, args, i))
	}
	return name + "(" + strings.Join(words, ", ") + ")"
}

func (r *reader) word(letter rune, args [6]uint64, i int) string {
	a := args[i]
	switch letter {
	case 's':
		return r.quoted(a)
	case 'd':
		return strconv.Itoa(int(int32(a)))
	case 'x':
		return fmt.Sprintf("%#x", a)
	case 'o':
		return fmt.Sprintf("%#o", a)
	case 'f':
		if int32(a) == unix.AT_FDCWD {
			return "AT_FDCWD"
		}
		return strconv.Itoa(int(int32(a)))
	case 'F':
		return r.descriptor(int(int32(a)))
	case 'b':
		return strconv.Quote(string(peek(r.tid, a, int(min(args[i+1], 64)))))
	case 'v':
		return "[" + strings.Join(quoteAll(r.strings(a)), ", ") + "]"
	case 'C':
		return namespace.FlagString(a &^ 0xff)
	case '3':
		flags, ok := word(r.tid, a)
		r.failed = r.failed || !ok
		return "{" + namespace.FlagString(flags) + "}"
	case 'M':
		return namespace.Symbols(a, mountFlags())
	case 'U':
		return namespace.Symbols(a, umountFlags())
	case 'P':
		for _, o := range prctls() {
			if o.value == a {
				return o.name
			}
		}
	case 'S':
		if names := []string{"SECCOMP_SET_MODE_STRICT", "SECCOMP_SET_MODE_FILTER", "SECCOMP_GET_ACTION_AVAIL", "SECCOMP_GET_NOTIF_SIZES"}; a < uint64(len(names)) {
			return names[a]
		}
	}
	return strconv.FormatUint(a, 10)
}

// quoted is the string at an address, or its address.
func (r *reader) quoted(addr uint64) string {
	if addr == 0 {
		return "NULL"
	}
	s, ok := text(r.tid, addr, textMost)
	if !ok {
		r.failed = true
		return fmt.Sprintf("%#x", addr)
	}
	return strconv.Quote(s)
}

// strings are those of a vector that ends with NULL.
func (r *reader) strings(addr uint64) []string {
	if addr == 0 {
		return nil
	}
	var all []string
	size := 8
	if r.narrow {
		size = 4
	}
	vector := peek(r.tid, addr, argsMost*size)
	for ; len(vector) >= size; vector = vector[size:] {
		at := uint64(binary.NativeEndian.Uint32(vector))
		if !r.narrow {
			at = binary.NativeEndian.Uint64(vector)
		}
		if at == 0 {
			return all
		}
		s, ok := text(r.tid, at, textMost)
		if !ok {
			break
		}
		all = append(all, s)
	}
	if len(all) < argsMost {
		r.failed = true
	}
	return append(all, "…")
}

// descriptor is a number with what it leads to.
func (r *reader) descriptor(fd int) string {
	if target, ok := linkOf(r.tid, fd); ok {
		return fmt.Sprintf("%d<%s>", fd, target)
	}
	return strconv.Itoa(fd)
}

// linkOf is what a descriptor of a thread leads to.
func linkOf(tid, fd int) (string, bool) {
	buf := make([]byte, 512)
	n, err := unix.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, fd), buf)
	if err != nil {
		return "", false
	}
	return string(buf[:n]), true
}

func quoteAll(words []string) []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = strconv.Quote(w)
	}
	return all
}

// title is what a process is called by its arguments: the program's name, and
// the word behind it when that is one that programs take for what to do.
func title(args []string) string {
	if len(args) == 0 {
		return "?"
	}
	name := path.Base(args[0])
	if len(args) > 1 && len(args[1]) <= 12 && args[1] != "" && strings.Trim(args[1], "abcdefghijklmnopqrstuvwxyz") == "" {
		name += " " + args[1]
	}
	return name
}

// The flags of mount(2) and umount2(2).
func mountFlags() []namespace.Symbol {
	return []namespace.Symbol{
		{Bit: unix.MS_RDONLY, Name: "MS_RDONLY"}, {Bit: unix.MS_NOSUID, Name: "MS_NOSUID"}, {Bit: unix.MS_NODEV, Name: "MS_NODEV"},
		{Bit: unix.MS_NOEXEC, Name: "MS_NOEXEC"}, {Bit: unix.MS_REMOUNT, Name: "MS_REMOUNT"}, {Bit: unix.MS_BIND, Name: "MS_BIND"},
		{Bit: unix.MS_MOVE, Name: "MS_MOVE"}, {Bit: unix.MS_REC, Name: "MS_REC"}, {Bit: unix.MS_SILENT, Name: "MS_SILENT"},
		{Bit: unix.MS_UNBINDABLE, Name: "MS_UNBINDABLE"}, {Bit: unix.MS_PRIVATE, Name: "MS_PRIVATE"}, {Bit: unix.MS_SLAVE, Name: "MS_SLAVE"},
		{Bit: unix.MS_SHARED, Name: "MS_SHARED"}, {Bit: unix.MS_RELATIME, Name: "MS_RELATIME"}, {Bit: unix.MS_STRICTATIME, Name: "MS_STRICTATIME"},
	}
}

func umountFlags() []namespace.Symbol {
	return []namespace.Symbol{{Bit: unix.MNT_FORCE, Name: "MNT_FORCE"}, {Bit: unix.MNT_DETACH, Name: "MNT_DETACH"}, {Bit: unix.MNT_EXPIRE, Name: "MNT_EXPIRE"}, {Bit: unix.UMOUNT_NOFOLLOW, Name: "UMOUNT_NOFOLLOW"}}
}
