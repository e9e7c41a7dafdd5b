package spec

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/jsontext"
)

func readLinux(d *jsontext.Decoder, l *specs.Linux) {
	for name := range d.Object {
		switch name {
		case "uidMappings":
			jsontext.List(d, &l.UIDMappings, readIDMapping)
		case "gidMappings":
			jsontext.List(d, &l.GIDMappings, readIDMapping)
		case "sysctl":
			jsontext.Table(d, &l.Sysctl, jsontext.Text)
		case "resources":
			jsontext.Pointer(d, &l.Resources, readResources)
		case "cgroupsPath":
			jsontext.Text(d, &l.CgroupsPath)
		case "namespaces":
			jsontext.List(d, &l.Namespaces, readNamespace)
		case "devices":
			jsontext.List(d, &l.Devices, readDevice)
		case "netDevices":
			jsontext.Table(d, &l.NetDevices, readNetDevice)
		case "seccomp":
			jsontext.Pointer(d, &l.Seccomp, readSeccomp)
		case "rootfsPropagation":
			jsontext.Text(d, &l.RootfsPropagation)
		case "maskedPaths":
			readTexts(d, &l.MaskedPaths)
		case "readonlyPaths":
			readTexts(d, &l.ReadonlyPaths)
		case "mountLabel":
			jsontext.Text(d, &l.MountLabel)
		case "intelRdt":
			jsontext.Pointer(d, &l.IntelRdt, readIntelRdt)
		case "memoryPolicy":
			jsontext.Pointer(d, &l.MemoryPolicy, readMemoryPolicy)
		case "personality":
			jsontext.Pointer(d, &l.Personality, readPersonality)
		case "timeOffsets":
			jsontext.Table(d, &l.TimeOffsets, readTimeOffset)
		}
	}
}

func readIDMapping(d *jsontext.Decoder, m *specs.LinuxIDMapping) {
	for name := range d.Object {
		switch name {
		case "containerID":
			jsontext.Integer(d, &m.ContainerID)
		case "hostID":
			jsontext.Integer(d, &m.HostID)
		case "size":
			jsontext.Integer(d, &m.Size)
		}
	}
}

func readNamespace(d *jsontext.Decoder, n *specs.LinuxNamespace) {
	for name := range d.Object {
		switch name {
		case "type":
			jsontext.Text(d, &n.Type)
		case "path":
			jsontext.Text(d, &n.Path)
		}
	}
}

func readDevice(d *jsontext.Decoder, v *specs.LinuxDevice) {
	for name := range d.Object {
		switch name {
		case "path":
			jsontext.Text(d, &v.Path)
		case "type":
			jsontext.Text(d, &v.Type)
		case "major":
			jsontext.Integer(d, &v.Major)
		case "minor":
			jsontext.Integer(d, &v.Minor)
		case "fileMode":
			jsontext.Pointer(d, &v.FileMode, jsontext.Integer)
		case "uid":
			jsontext.Pointer(d, &v.UID, jsontext.Integer)
		case "gid":
			jsontext.Pointer(d, &v.GID, jsontext.Integer)
		}
	}
}

func readNetDevice(d *jsontext.Decoder, n *specs.LinuxNetDevice) {
	for name := range d.Object {
		if name == "name" {
			jsontext.Text(d, &n.Name)
		}
	}
}

func readSeccomp(d *jsontext.Decoder, s *specs.LinuxSeccomp) {
	for name := range d.Object {
		switch name {
		case "defaultAction":
			jsontext.Text(d, &s.DefaultAction)
		case "defaultErrnoRet":
			jsontext.Pointer(d, &s.DefaultErrnoRet, jsontext.Integer)
		case "architectures":
			jsontext.List(d, &s.Architectures, jsontext.Text)
		case "flags":
			jsontext.List(d, &s.Flags, jsontext.Text)
		case "listenerPath":
			jsontext.Text(d, &s.ListenerPath)
		case "listenerMetadata":
			jsontext.Text(d, &s.ListenerMetadata)
		case "syscalls":
			jsontext.List(d, &s.Syscalls, readSyscall)
		}
	}
}

func readSyscall(d *jsontext.Decoder, s *specs.LinuxSyscall) {
	for name := range d.Object {
		switch name {
		case "names":
			readTexts(d, &s.Names)
		case "action":
			jsontext.Text(d, &s.Action)
		case "errnoRet":
			jsontext.Pointer(d, &s.ErrnoRet, jsontext.Integer)
		case "args":
			jsontext.List(d, &s.Args, readSeccompArg)
		}
	}
}

func readSeccompArg(d *jsontext.Decoder, a *specs.LinuxSeccompArg) {
	for name := range d.Object {
		switch name {
		case "index":
			jsontext.Integer(d, &a.Index)
		case "value":
			jsontext.Integer(d, &a.Value)
		case "valueTwo":
			jsontext.Integer(d, &a.ValueTwo)
		case "op":
			jsontext.Text(d, &a.Op)
		}
	}
}

func readIntelRdt(d *jsontext.Decoder, r *specs.LinuxIntelRdt) {
	for name := range d.Object {
		switch name {
		case "closID":
			jsontext.Text(d, &r.ClosID)
		case "schemata":
			readTexts(d, &r.Schemata)
		case "l3CacheSchema":
			jsontext.Text(d, &r.L3CacheSchema)
		case "memBwSchema":
			jsontext.Text(d, &r.MemBwSchema)
		case "enableMonitoring":
			jsontext.Boolean(d, &r.EnableMonitoring)
		}
	}
}

func readMemoryPolicy(d *jsontext.Decoder, p *specs.LinuxMemoryPolicy) {
	for name := range d.Object {
		switch name {
		case "mode":
			jsontext.Text(d, &p.Mode)
		case "nodes":
			jsontext.Text(d, &p.Nodes)
		case "flags":
			jsontext.List(d, &p.Flags, jsontext.Text)
		}
	}
}

func readPersonality(d *jsontext.Decoder, p *specs.LinuxPersonality) {
	for name := range d.Object {
		switch name {
		case "domain":
			jsontext.Text(d, &p.Domain)
		case "flags":
			jsontext.List(d, &p.Flags, jsontext.Text)
		}
	}
}

func readTimeOffset(d *jsontext.Decoder, o *specs.LinuxTimeOffset) {
	for name := range d.Object {
		switch name {
		case "secs":
			jsontext.Integer(d, &o.Secs)
		case "nanosecs":
			jsontext.Integer(d, &o.Nanosecs)
		}
	}
}
