package spec

import specs "github.com/opencontainers/runtime-spec/specs-go"

func (d *decoder) linux(l *specs.Linux) {
	for name := range d.object {
		switch name {
		case "uidMappings":
			list(d, &l.UIDMappings, (*decoder).idMapping)
		case "gidMappings":
			list(d, &l.GIDMappings, (*decoder).idMapping)
		case "sysctl":
			table(d, &l.Sysctl, text)
		case "resources":
			pointer(d, &l.Resources, (*decoder).resources)
		case "cgroupsPath":
			text(d, &l.CgroupsPath)
		case "namespaces":
			list(d, &l.Namespaces, (*decoder).namespace)
		case "devices":
			list(d, &l.Devices, (*decoder).device)
		case "netDevices":
			table(d, &l.NetDevices, (*decoder).netDevice)
		case "seccomp":
			pointer(d, &l.Seccomp, (*decoder).seccomp)
		case "rootfsPropagation":
			text(d, &l.RootfsPropagation)
		case "maskedPaths":
			d.texts(&l.MaskedPaths)
		case "readonlyPaths":
			d.texts(&l.ReadonlyPaths)
		case "mountLabel":
			text(d, &l.MountLabel)
		case "intelRdt":
			pointer(d, &l.IntelRdt, (*decoder).intelRdt)
		case "memoryPolicy":
			pointer(d, &l.MemoryPolicy, (*decoder).memoryPolicy)
		case "personality":
			pointer(d, &l.Personality, (*decoder).personality)
		case "timeOffsets":
			table(d, &l.TimeOffsets, (*decoder).timeOffset)
		}
	}
}

func (d *decoder) idMapping(m *specs.LinuxIDMapping) {
	for name := range d.object {
		switch name {
		case "containerID":
			integer(d, &m.ContainerID)
		case "hostID":
			integer(d, &m.HostID)
		case "size":
			integer(d, &m.Size)
		}
	}
}

func (d *decoder) namespace(n *specs.LinuxNamespace) {
	for name := range d.object {
		switch name {
		case "type":
			text(d, &n.Type)
		case "path":
			text(d, &n.Path)
		}
	}
}

func (d *decoder) device(v *specs.LinuxDevice) {
	for name := range d.object {
		switch name {
		case "path":
			text(d, &v.Path)
		case "type":
			text(d, &v.Type)
		case "major":
			integer(d, &v.Major)
		case "minor":
			integer(d, &v.Minor)
		case "fileMode":
			pointer(d, &v.FileMode, integer)
		case "uid":
			pointer(d, &v.UID, integer)
		case "gid":
			pointer(d, &v.GID, integer)
		}
	}
}

func (d *decoder) netDevice(n *specs.LinuxNetDevice) {
	for name := range d.object {
		if name == "name" {
			text(d, &n.Name)
		}
	}
}

func (d *decoder) seccomp(s *specs.LinuxSeccomp) {
	for name := range d.object {
		switch name {
		case "defaultAction":
			text(d, &s.DefaultAction)
		case "defaultErrnoRet":
			pointer(d, &s.DefaultErrnoRet, integer)
		case "architectures":
			list(d, &s.Architectures, text)
		case "flags":
			list(d, &s.Flags, text)
		case "listenerPath":
			text(d, &s.ListenerPath)
		case "listenerMetadata":
			text(d, &s.ListenerMetadata)
		case "syscalls":
			list(d, &s.Syscalls, (*decoder).syscall)
		}
	}
}

func (d *decoder) syscall(s *specs.LinuxSyscall) {
	for name := range d.object {
		switch name {
		case "names":
			d.texts(&s.Names)
		case "action":
			text(d, &s.Action)
		case "errnoRet":
			pointer(d, &s.ErrnoRet, integer)
		case "args":
			list(d, &s.Args, (*decoder).seccompArg)
		}
	}
}

func (d *decoder) seccompArg(a *specs.LinuxSeccompArg) {
	for name := range d.object {
		switch name {
		case "index":
			integer(d, &a.Index)
		case "value":
			integer(d, &a.Value)
		case "valueTwo":
			integer(d, &a.ValueTwo)
		case "op":
			text(d, &a.Op)
		}
	}
}

func (d *decoder) intelRdt(r *specs.LinuxIntelRdt) {
	for name := range d.object {
		switch name {
		case "closID":
			text(d, &r.ClosID)
		case "schemata":
			d.texts(&r.Schemata)
		case "l3CacheSchema":
			text(d, &r.L3CacheSchema)
		case "memBwSchema":
			text(d, &r.MemBwSchema)
		case "enableMonitoring":
			boolean(d, &r.EnableMonitoring)
		}
	}
}

func (d *decoder) memoryPolicy(p *specs.LinuxMemoryPolicy) {
	for name := range d.object {
		switch name {
		case "mode":
			text(d, &p.Mode)
		case "nodes":
			text(d, &p.Nodes)
		case "flags":
			list(d, &p.Flags, text)
		}
	}
}

func (d *decoder) personality(p *specs.LinuxPersonality) {
	for name := range d.object {
		switch name {
		case "domain":
			text(d, &p.Domain)
		case "flags":
			list(d, &p.Flags, text)
		}
	}
}

func (d *decoder) timeOffset(o *specs.LinuxTimeOffset) {
	for name := range d.object {
		switch name {
		case "secs":
			integer(d, &o.Secs)
		case "nanosecs":
			integer(d, &o.Nanosecs)
		}
	}
}
