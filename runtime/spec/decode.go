package spec

import (
	"strconv"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// decode reads a config.json into a Spec. What it says of values that are there
// more than once is what encoding/json does: the last wins, objects and maps
// are filled further.
func decode(text string) (*specs.Spec, error) {
	d := &decoder{text: text, path: make([]place, 0, 16)}
	s := &specs.Spec{}
	d.spec(s)
	if d.err == nil {
		if d.peek(); d.at < len(d.text) {
			d.unexpected("the end of the text")
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	return s, nil
}

// text reads a string.
func text[T ~string](d *decoder, to *T) {
	switch {
	case d.null():
	case d.peek() == '"':
		*to = T(d.quoted())
	default:
		d.mismatch("a string")
	}
}

// integer reads a number without fraction and exponent, in the range of its
// type.
func integer[T ~int | ~int64 | ~int32 | ~uint | ~uint64 | ~uint32 | ~uint16](d *decoder, to *T) {
	switch c := d.peek(); {
	case d.null():
		return
	case c != '-' && (c < '0' || c > '9'):
		d.mismatch("a number")
		return
	}
	word, whole := d.number()
	switch bits := 8 * int(unsafe.Sizeof(*to)); {
	case d.err != nil:
	case !whole:
		d.wrong("%s, where a whole number belongs, without fraction and exponent", word)
	case ^T(0) > 0:
		n, err := strconv.ParseUint(word, 10, bits)
		if err != nil {
			d.wrong("%s is out of range: it goes from 0 to %d", word, ^T(0))
		}
		*to = T(n)
	default:
		n, err := strconv.ParseInt(word, 10, bits)
		if err != nil {
			least := int64(-1) << (bits - 1)
			d.wrong("%s is out of range: it goes from %d to %d", word, least, ^least)
		}
		*to = T(n)
	}
}

// boolean reads true or false.
func boolean(d *decoder, to *bool) {
	switch c := d.peek(); {
	case d.null():
	case c == 't':
		*to = d.word("true")
	case c == 'f':
		*to = !d.word("false")
	default:
		d.mismatch("true or false")
	}
}

// pointer reads a value that may be missing.
func pointer[T any](d *decoder, to **T, value func(*decoder, *T)) {
	if d.null() {
		*to = nil
		return
	}
	if *to == nil {
		*to = new(T)
	}
	value(d, *to)
}

// list reads an array. It is empty, and not nil, when the array is.
func list[T any](d *decoder, to *[]T, value func(*decoder, *T)) {
	if d.null() {
		*to = nil
		return
	}
	all := make([]T, 0, 8)
	for i := range d.elements {
		var zero T
		all = append(all, zero)
		value(d, &all[i])
	}
	*to = all
}

// table reads an object whose names are free.
func table[T any](d *decoder, to *map[string]T, value func(*decoder, *T)) {
	if d.null() {
		*to = nil
		return
	}
	if *to == nil {
		*to = map[string]T{}
	}
	for key := range d.entries {
		var v T
		value(d, &v)
		(*to)[key] = v
	}
}

// present notes that there is something, whatever it is: it is refused.
func present[T any](d *decoder, _ *T) { d.skip() }

func (d *decoder) texts(to *[]string) { list(d, to, text) }

func (d *decoder) spec(s *specs.Spec) {
	for name := range d.object {
		switch name {
		case "ociVersion":
			text(d, &s.Version)
		case "process":
			pointer(d, &s.Process, (*decoder).process)
		case "root":
			pointer(d, &s.Root, (*decoder).root)
		case "hostname":
			text(d, &s.Hostname)
		case "domainname":
			text(d, &s.Domainname)
		case "mounts":
			list(d, &s.Mounts, (*decoder).mount)
		case "hooks":
			pointer(d, &s.Hooks, (*decoder).hooks)
		case "annotations":
			table(d, &s.Annotations, text)
		case "linux":
			pointer(d, &s.Linux, (*decoder).linux)
		case "solaris":
			pointer(d, &s.Solaris, present)
		case "windows":
			pointer(d, &s.Windows, present)
		case "vm":
			pointer(d, &s.VM, present)
		case "zos":
			pointer(d, &s.ZOS, present)
		case "freebsd":
			pointer(d, &s.FreeBSD, present)
		}
	}
}

func (d *decoder) process(p *specs.Process) {
	for name := range d.object {
		switch name {
		case "terminal":
			boolean(d, &p.Terminal)
		case "consoleSize":
			pointer(d, &p.ConsoleSize, (*decoder).box)
		case "user":
			d.user(&p.User)
		case "args":
			d.texts(&p.Args)
		case "commandLine":
			text(d, &p.CommandLine)
		case "env":
			d.texts(&p.Env)
		case "cwd":
			text(d, &p.Cwd)
		case "capabilities":
			pointer(d, &p.Capabilities, (*decoder).capabilities)
		case "rlimits":
			list(d, &p.Rlimits, (*decoder).rlimit)
		case "noNewPrivileges":
			boolean(d, &p.NoNewPrivileges)
		case "apparmorProfile":
			text(d, &p.ApparmorProfile)
		case "oomScoreAdj":
			pointer(d, &p.OOMScoreAdj, integer)
		case "scheduler":
			pointer(d, &p.Scheduler, (*decoder).scheduler)
		case "selinuxLabel":
			text(d, &p.SelinuxLabel)
		case "ioPriority":
			pointer(d, &p.IOPriority, (*decoder).ioPriority)
		case "execCPUAffinity":
			pointer(d, &p.ExecCPUAffinity, (*decoder).affinity)
		}
	}
}

func (d *decoder) box(b *specs.Box) {
	for name := range d.object {
		switch name {
		case "height":
			integer(d, &b.Height)
		case "width":
			integer(d, &b.Width)
		}
	}
}

func (d *decoder) user(u *specs.User) {
	for name := range d.object {
		switch name {
		case "uid":
			integer(d, &u.UID)
		case "gid":
			integer(d, &u.GID)
		case "umask":
			pointer(d, &u.Umask, integer)
		case "additionalGids":
			list(d, &u.AdditionalGids, integer)
		case "username":
			text(d, &u.Username)
		}
	}
}

func (d *decoder) capabilities(c *specs.LinuxCapabilities) {
	for name := range d.object {
		switch name {
		case "bounding":
			d.texts(&c.Bounding)
		case "effective":
			d.texts(&c.Effective)
		case "inheritable":
			d.texts(&c.Inheritable)
		case "permitted":
			d.texts(&c.Permitted)
		case "ambient":
			d.texts(&c.Ambient)
		}
	}
}

func (d *decoder) rlimit(l *specs.POSIXRlimit) {
	for name := range d.object {
		switch name {
		case "type":
			text(d, &l.Type)
		case "hard":
			integer(d, &l.Hard)
		case "soft":
			integer(d, &l.Soft)
		}
	}
}

func (d *decoder) scheduler(s *specs.Scheduler) {
	for name := range d.object {
		switch name {
		case "policy":
			text(d, &s.Policy)
		case "nice":
			integer(d, &s.Nice)
		case "priority":
			integer(d, &s.Priority)
		case "flags":
			list(d, &s.Flags, text)
		case "runtime":
			integer(d, &s.Runtime)
		case "deadline":
			integer(d, &s.Deadline)
		case "period":
			integer(d, &s.Period)
		}
	}
}

func (d *decoder) ioPriority(p *specs.LinuxIOPriority) {
	for name := range d.object {
		switch name {
		case "class":
			text(d, &p.Class)
		case "priority":
			integer(d, &p.Priority)
		}
	}
}

func (d *decoder) affinity(a *specs.CPUAffinity) {
	for name := range d.object {
		switch name {
		case "initial":
			text(d, &a.Initial)
		case "final":
			text(d, &a.Final)
		}
	}
}

func (d *decoder) root(r *specs.Root) {
	for name := range d.object {
		switch name {
		case "path":
			text(d, &r.Path)
		case "readonly":
			boolean(d, &r.Readonly)
		}
	}
}

func (d *decoder) mount(m *specs.Mount) {
	for name := range d.object {
		switch name {
		case "destination":
			text(d, &m.Destination)
		case "type":
			text(d, &m.Type)
		case "source":
			text(d, &m.Source)
		case "options":
			d.texts(&m.Options)
		case "uidMappings":
			list(d, &m.UIDMappings, (*decoder).idMapping)
		case "gidMappings":
			list(d, &m.GIDMappings, (*decoder).idMapping)
		}
	}
}

func (d *decoder) hooks(h *specs.Hooks) {
	for name := range d.object {
		switch name {
		case "prestart":
			list(d, &h.Prestart, (*decoder).hook) //nolint:staticcheck // it is deprecated, and still to be refused
		case "createRuntime":
			list(d, &h.CreateRuntime, (*decoder).hook)
		case "createContainer":
			list(d, &h.CreateContainer, (*decoder).hook)
		case "startContainer":
			list(d, &h.StartContainer, (*decoder).hook)
		case "poststart":
			list(d, &h.Poststart, (*decoder).hook)
		case "poststop":
			list(d, &h.Poststop, (*decoder).hook)
		}
	}
}

func (d *decoder) hook(h *specs.Hook) {
	for name := range d.object {
		switch name {
		case "path":
			text(d, &h.Path)
		case "args":
			d.texts(&h.Args)
		case "env":
			d.texts(&h.Env)
		case "timeout":
			pointer(d, &h.Timeout, integer)
		}
	}
}
