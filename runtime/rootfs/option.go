package rootfs

import (
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// flag is a mount option that is no data: what it does to the mount's
// attributes, in the words of both calls.
type flag struct {
	name string
	attr uint64  // MOUNT_ATTR_*
	bit  uintptr // MS_*
	not  bool    // it takes the attribute away
}

// flags are the options of mount(8) that every file system has. Those of the
// access time exclude each other. It is an array, which takes no memory that a
// short-lived launcher would have to fault in.
func flags() [30]flag {
	return [...]flag{
		{"ro", unix.MOUNT_ATTR_RDONLY, unix.MS_RDONLY, false}, {"rw", unix.MOUNT_ATTR_RDONLY, unix.MS_RDONLY, true},
		{"nosuid", unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID, false}, {"suid", unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID, true},
		{"nodev", unix.MOUNT_ATTR_NODEV, unix.MS_NODEV, false}, {"dev", unix.MOUNT_ATTR_NODEV, unix.MS_NODEV, true},
		{"noexec", unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC, false}, {"exec", unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC, true},
		{"noatime", unix.MOUNT_ATTR_NOATIME, unix.MS_NOATIME, false}, {"atime", unix.MOUNT_ATTR_NOATIME, unix.MS_NOATIME, true},
		{"strictatime", unix.MOUNT_ATTR_STRICTATIME, unix.MS_STRICTATIME, false}, {"nostrictatime", unix.MOUNT_ATTR_STRICTATIME, unix.MS_STRICTATIME, true},
		{"nodiratime", unix.MOUNT_ATTR_NODIRATIME, unix.MS_NODIRATIME, false}, {"diratime", unix.MOUNT_ATTR_NODIRATIME, unix.MS_NODIRATIME, true},
		{"relatime", 0, unix.MS_RELATIME, false}, {"norelatime", 0, unix.MS_RELATIME, true},
		{"nosymfollow", unix.MOUNT_ATTR_NOSYMFOLLOW, 0x100, false}, {"symfollow", unix.MOUNT_ATTR_NOSYMFOLLOW, 0x100, true},
		{"sync", 0, unix.MS_SYNCHRONOUS, false}, {"async", 0, unix.MS_SYNCHRONOUS, true},
		{"lazytime", 0, unix.MS_LAZYTIME, false}, {"nolazytime", 0, unix.MS_LAZYTIME, true},
		{"dirsync", 0, unix.MS_DIRSYNC, false},
		{"mand", 0, unix.MS_MANDLOCK, false}, {"nomand", 0, unix.MS_MANDLOCK, true},
		{"silent", 0, unix.MS_SILENT, false}, {"loud", 0, unix.MS_SILENT, true},
		{"iversion", 0, unix.MS_I_VERSION, false}, {"noiversion", 0, unix.MS_I_VERSION, true},
		{"defaults", 0, 0, false},
	}
}

// times are the attributes to take away for one about the access time, of which
// there is always one.
func times(f *flag) uint64 {
	const one = unix.MOUNT_ATTR_NOATIME | unix.MOUNT_ATTR_STRICTATIME
	if f.attr&one != 0 || f.bit == unix.MS_RELATIME {
		return unix.MOUNT_ATTR__ATIME
	}
	return 0
}

// Propagation is the mount flag of a word: "private", "rslave".
func Propagation(word string) (uintptr, bool) {
	rest, recursive := strings.CutPrefix(word, "r")
	var bits uintptr
	switch rest {
	case "private":
		bits = unix.MS_PRIVATE
	case "slave":
		bits = unix.MS_SLAVE
	case "shared":
		bits = unix.MS_SHARED
	case "unbindable":
		bits = unix.MS_UNBINDABLE
	default:
		return 0, false
	}
	if recursive {
		bits |= unix.MS_REC
	}
	return bits, true
}

// options are those of one mount, sorted out.
type options struct {
	bind, recursive bool
	set, all        uint64  // MOUNT_ATTR_*: of the mount, of all below it too
	clear, clearAll uint64  // those that are taken away first
	bits            uintptr // MS_*, for mount(2) and for what only the file system knows
	propagation     uintptr
	mapped, mapAll  bool // its ids are mapped; those of all below it, too
	remount         bool // what is mounted there already is changed
	copyUp          bool // what is in the directory is in the file system, too
	data            []string
}

// parse sorts out the options of an OCI mount. What it does not know is data
// for the file system.
func parse(m specs.Mount) (options, error) {
	o := options{bind: m.Type == "bind"}
	table := flags()
next:
	for _, word := range m.Options {
		switch word {
		case "bind":
			o.bind = true
			continue
		case "rbind":
			o.bind, o.recursive = true, true
			continue
		case "idmap", "ridmap":
			o.mapped, o.mapAll = true, o.mapAll || word == "ridmap"
			continue
		case "tmpcopyup":
			o.copyUp = true
			continue
		case "remount":
			o.remount = true
			continue
		}
		if bits, ok := Propagation(word); ok {
			o.propagation = bits
			continue
		}
		rest, recursive := strings.CutPrefix(word, "r")
		for i := range table {
			f := &table[i]
			switch {
			case word == f.name && f.not:
				o.set, o.bits = o.set&^f.attr, o.bits&^f.bit
			case word == f.name:
				o.set, o.bits = o.set|f.attr, o.bits|f.bit
				o.clear |= times(f)
			case recursive && rest == f.name && f.attr != 0 && f.not:
				o.all &^= f.attr
			case recursive && rest == f.name && f.attr != 0:
				o.all |= f.attr
				o.clearAll |= times(f)
			default:
				continue
			}
			continue next
		}
		o.data = append(o.data, word)
	}
	o.mapped = o.mapped || len(m.UIDMappings) > 0
	if o.bind && !o.remount {
		// A bind has the options of the file system that it shows: mount(2) takes
		// no notice of "size=3". A word of another kind is a mistake.
		for _, word := range o.data {
			if !strings.Contains(word, "=") {
				return o, fmt.Errorf("mount %q: a bind has no option %q", m.Destination, word)
			}
		}
		o.data = nil
	}
	return o, nil
}

// Words are the options that parse knows, ordered: all others are the file
// system's.
func Words() []string {
	words := []string{"bind", "rbind"}
	for _, f := range flags() {
		words = append(words, f.name)
		if f.attr != 0 {
			words = append(words, "r"+f.name)
		}
	}
	for _, word := range []string{"private", "slave", "shared", "unbindable"} {
		words = append(words, word, "r"+word)
	}
	for _, word := range []string{"idmap", "ridmap", "tmpcopyup", "remount"} {
		if _, err := parse(specs.Mount{Type: "tmpfs", Options: []string{word}}); err == nil && !isData(word) {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return words
}

// isData says whether parse takes a word for the file system's.
func isData(word string) bool {
	o, _ := parse(specs.Mount{Type: "tmpfs", Options: []string{word}}) // only a bind refuses a word
	return slices.Contains(o.data, word)
}
