package spec

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/jsontext"
)

// decode reads a config.json into a Spec. What it says of values that are there
// more than once is what encoding/json does: the last wins, objects and maps
// are filled further.
func decode(text string) (*specs.Spec, error) {
	s := &specs.Spec{}
	if err := jsontext.Parse(text, s, readSpec); err != nil {
		return nil, err
	}
	return s, nil
}

func readTexts(d *jsontext.Decoder, to *[]string) { jsontext.List(d, to, jsontext.Text) }

func readSpec(d *jsontext.Decoder, s *specs.Spec) {
	for name := range d.Object {
		switch name {
		case "ociVersion":
			jsontext.Text(d, &s.Version)
		case "process":
			jsontext.Pointer(d, &s.Process, readProcess)
		case "root":
			jsontext.Pointer(d, &s.Root, readRoot)
		case "hostname":
			jsontext.Text(d, &s.Hostname)
		case "domainname":
			jsontext.Text(d, &s.Domainname)
		case "mounts":
			jsontext.List(d, &s.Mounts, readMount)
		case "hooks":
			jsontext.Pointer(d, &s.Hooks, readHooks)
		case "annotations":
			jsontext.Table(d, &s.Annotations, jsontext.Text)
		case "linux":
			jsontext.Pointer(d, &s.Linux, readLinux)
		case "solaris":
			jsontext.Pointer(d, &s.Solaris, jsontext.Present)
		case "windows":
			jsontext.Pointer(d, &s.Windows, jsontext.Present)
		case "vm":
			jsontext.Pointer(d, &s.VM, jsontext.Present)
		case "zos":
			jsontext.Pointer(d, &s.ZOS, jsontext.Present)
		case "freebsd":
			jsontext.Pointer(d, &s.FreeBSD, jsontext.Present)
		}
	}
}

func readProcess(d *jsontext.Decoder, p *specs.Process) {
	for name := range d.Object {
		switch name {
		case "terminal":
			jsontext.Boolean(d, &p.Terminal)
		case "consoleSize":
			jsontext.Pointer(d, &p.ConsoleSize, readBox)
		case "user":
			readUser(d, &p.User)
		case "args":
			readTexts(d, &p.Args)
		case "commandLine":
			jsontext.Text(d, &p.CommandLine)
		case "env":
			readTexts(d, &p.Env)
		case "cwd":
			jsontext.Text(d, &p.Cwd)
		case "capabilities":
			jsontext.Pointer(d, &p.Capabilities, readCapabilities)
		case "rlimits":
			jsontext.List(d, &p.Rlimits, readRlimit)
		case "noNewPrivileges":
			jsontext.Boolean(d, &p.NoNewPrivileges)
		case "apparmorProfile":
			jsontext.Text(d, &p.ApparmorProfile)
		case "oomScoreAdj":
			jsontext.Pointer(d, &p.OOMScoreAdj, jsontext.Integer)
		case "scheduler":
			jsontext.Pointer(d, &p.Scheduler, readScheduler)
		case "selinuxLabel":
			jsontext.Text(d, &p.SelinuxLabel)
		case "ioPriority":
			jsontext.Pointer(d, &p.IOPriority, readIoPriority)
		case "execCPUAffinity":
			jsontext.Pointer(d, &p.ExecCPUAffinity, readAffinity)
		}
	}
}

func readBox(d *jsontext.Decoder, b *specs.Box) {
	for name := range d.Object {
		switch name {
		case "height":
			jsontext.Integer(d, &b.Height)
		case "width":
			jsontext.Integer(d, &b.Width)
		}
	}
}

func readUser(d *jsontext.Decoder, u *specs.User) {
	for name := range d.Object {
		switch name {
		case "uid":
			jsontext.Integer(d, &u.UID)
		case "gid":
			jsontext.Integer(d, &u.GID)
		case "umask":
			jsontext.Pointer(d, &u.Umask, jsontext.Integer)
		case "additionalGids":
			jsontext.List(d, &u.AdditionalGids, jsontext.Integer)
		case "username":
			jsontext.Text(d, &u.Username)
		}
	}
}

func readCapabilities(d *jsontext.Decoder, c *specs.LinuxCapabilities) {
	for name := range d.Object {
		switch name {
		case "bounding":
			readTexts(d, &c.Bounding)
		case "effective":
			readTexts(d, &c.Effective)
		case "inheritable":
			readTexts(d, &c.Inheritable)
		case "permitted":
			readTexts(d, &c.Permitted)
		case "ambient":
			readTexts(d, &c.Ambient)
		}
	}
}

func readRlimit(d *jsontext.Decoder, l *specs.POSIXRlimit) {
	for name := range d.Object {
		switch name {
		case "type":
			jsontext.Text(d, &l.Type)
		case "hard":
			jsontext.Integer(d, &l.Hard)
		case "soft":
			jsontext.Integer(d, &l.Soft)
		}
	}
}

func readScheduler(d *jsontext.Decoder, s *specs.Scheduler) {
	for name := range d.Object {
		switch name {
		case "policy":
			jsontext.Text(d, &s.Policy)
		case "nice":
			jsontext.Integer(d, &s.Nice)
		case "priority":
			jsontext.Integer(d, &s.Priority)
		case "flags":
			jsontext.List(d, &s.Flags, jsontext.Text)
		case "runtime":
			jsontext.Integer(d, &s.Runtime)
		case "deadline":
			jsontext.Integer(d, &s.Deadline)
		case "period":
			jsontext.Integer(d, &s.Period)
		}
	}
}

func readIoPriority(d *jsontext.Decoder, p *specs.LinuxIOPriority) {
	for name := range d.Object {
		switch name {
		case "class":
			jsontext.Text(d, &p.Class)
		case "priority":
			jsontext.Integer(d, &p.Priority)
		}
	}
}

func readAffinity(d *jsontext.Decoder, a *specs.CPUAffinity) {
	for name := range d.Object {
		switch name {
		case "initial":
			jsontext.Text(d, &a.Initial)
		case "final":
			jsontext.Text(d, &a.Final)
		}
	}
}

func readRoot(d *jsontext.Decoder, r *specs.Root) {
	for name := range d.Object {
		switch name {
		case "path":
			jsontext.Text(d, &r.Path)
		case "readonly":
			jsontext.Boolean(d, &r.Readonly)
		}
	}
}

func readMount(d *jsontext.Decoder, m *specs.Mount) {
	for name := range d.Object {
		switch name {
		case "destination":
			jsontext.Text(d, &m.Destination)
		case "type":
			jsontext.Text(d, &m.Type)
		case "source":
			jsontext.Text(d, &m.Source)
		case "options":
			readTexts(d, &m.Options)
		case "uidMappings":
			jsontext.List(d, &m.UIDMappings, readIDMapping)
		case "gidMappings":
			jsontext.List(d, &m.GIDMappings, readIDMapping)
		}
	}
}

func readHooks(d *jsontext.Decoder, h *specs.Hooks) {
	for name := range d.Object {
		switch name {
		case "prestart":
			jsontext.List(d, &h.Prestart, readHook) //nolint:staticcheck // it is deprecated, and still to be refused
		case "createRuntime":
			jsontext.List(d, &h.CreateRuntime, readHook)
		case "createContainer":
			jsontext.List(d, &h.CreateContainer, readHook)
		case "startContainer":
			jsontext.List(d, &h.StartContainer, readHook)
		case "poststart":
			jsontext.List(d, &h.Poststart, readHook)
		case "poststop":
			jsontext.List(d, &h.Poststop, readHook)
		}
	}
}

func readHook(d *jsontext.Decoder, h *specs.Hook) {
	for name := range d.Object {
		switch name {
		case "path":
			jsontext.Text(d, &h.Path)
		case "args":
			readTexts(d, &h.Args)
		case "env":
			readTexts(d, &h.Env)
		case "timeout":
			jsontext.Pointer(d, &h.Timeout, jsontext.Integer)
		}
	}
}
