package spec

import specs "github.com/opencontainers/runtime-spec/specs-go"

func (d *decoder) resources(r *specs.LinuxResources) {
	for name := range d.object {
		switch name {
		case "devices":
			list(d, &r.Devices, (*decoder).deviceRule)
		case "memory":
			pointer(d, &r.Memory, (*decoder).memory)
		case "cpu":
			pointer(d, &r.CPU, (*decoder).cpu)
		case "pids":
			pointer(d, &r.Pids, (*decoder).pids)
		case "blockIO":
			pointer(d, &r.BlockIO, (*decoder).blockIO)
		case "hugepageLimits":
			list(d, &r.HugepageLimits, (*decoder).hugepages)
		case "network":
			pointer(d, &r.Network, (*decoder).network)
		case "rdma":
			table(d, &r.Rdma, (*decoder).rdma)
		case "unified":
			table(d, &r.Unified, text)
		}
	}
}

func (d *decoder) deviceRule(r *specs.LinuxDeviceCgroup) {
	for name := range d.object {
		switch name {
		case "allow":
			boolean(d, &r.Allow)
		case "type":
			text(d, &r.Type)
		case "major":
			pointer(d, &r.Major, integer)
		case "minor":
			pointer(d, &r.Minor, integer)
		case "access":
			text(d, &r.Access)
		}
	}
}

func (d *decoder) memory(m *specs.LinuxMemory) {
	for name := range d.object {
		switch name {
		case "limit":
			pointer(d, &m.Limit, integer)
		case "reservation":
			pointer(d, &m.Reservation, integer)
		case "swap":
			pointer(d, &m.Swap, integer)
		case "kernel":
			pointer(d, &m.Kernel, integer) //nolint:staticcheck // it is deprecated, and still to be refused
		case "kernelTCP":
			pointer(d, &m.KernelTCP, integer)
		case "swappiness":
			pointer(d, &m.Swappiness, integer)
		case "disableOOMKiller":
			pointer(d, &m.DisableOOMKiller, boolean)
		case "useHierarchy":
			pointer(d, &m.UseHierarchy, boolean)
		case "checkBeforeUpdate":
			pointer(d, &m.CheckBeforeUpdate, boolean)
		}
	}
}

func (d *decoder) cpu(c *specs.LinuxCPU) {
	for name := range d.object {
		switch name {
		case "shares":
			pointer(d, &c.Shares, integer)
		case "quota":
			pointer(d, &c.Quota, integer)
		case "burst":
			pointer(d, &c.Burst, integer)
		case "period":
			pointer(d, &c.Period, integer)
		case "realtimeRuntime":
			pointer(d, &c.RealtimeRuntime, integer)
		case "realtimePeriod":
			pointer(d, &c.RealtimePeriod, integer)
		case "cpus":
			text(d, &c.Cpus)
		case "mems":
			text(d, &c.Mems)
		case "idle":
			pointer(d, &c.Idle, integer)
		}
	}
}

func (d *decoder) pids(p *specs.LinuxPids) {
	for name := range d.object {
		if name == "limit" {
			pointer(d, &p.Limit, integer)
		}
	}
}

func (d *decoder) blockIO(b *specs.LinuxBlockIO) {
	for name := range d.object {
		switch name {
		case "weight":
			pointer(d, &b.Weight, integer)
		case "leafWeight":
			pointer(d, &b.LeafWeight, integer)
		case "weightDevice":
			list(d, &b.WeightDevice, (*decoder).weightDevice)
		case "throttleReadBpsDevice":
			list(d, &b.ThrottleReadBpsDevice, (*decoder).throttleDevice)
		case "throttleWriteBpsDevice":
			list(d, &b.ThrottleWriteBpsDevice, (*decoder).throttleDevice)
		case "throttleReadIOPSDevice":
			list(d, &b.ThrottleReadIOPSDevice, (*decoder).throttleDevice)
		case "throttleWriteIOPSDevice":
			list(d, &b.ThrottleWriteIOPSDevice, (*decoder).throttleDevice)
		}
	}
}

func (d *decoder) weightDevice(w *specs.LinuxWeightDevice) {
	for name := range d.object {
		switch name {
		case "major":
			integer(d, &w.Major)
		case "minor":
			integer(d, &w.Minor)
		case "weight":
			pointer(d, &w.Weight, integer)
		case "leafWeight":
			pointer(d, &w.LeafWeight, integer)
		}
	}
}

func (d *decoder) throttleDevice(t *specs.LinuxThrottleDevice) {
	for name := range d.object {
		switch name {
		case "major":
			integer(d, &t.Major)
		case "minor":
			integer(d, &t.Minor)
		case "rate":
			integer(d, &t.Rate)
		}
	}
}

func (d *decoder) hugepages(l *specs.LinuxHugepageLimit) {
	for name := range d.object {
		switch name {
		case "pageSize":
			text(d, &l.Pagesize)
		case "limit":
			integer(d, &l.Limit)
		}
	}
}

func (d *decoder) network(n *specs.LinuxNetwork) {
	for name := range d.object {
		switch name {
		case "classID":
			pointer(d, &n.ClassID, integer)
		case "priorities":
			list(d, &n.Priorities, (*decoder).priority)
		}
	}
}

func (d *decoder) priority(p *specs.LinuxInterfacePriority) {
	for name := range d.object {
		switch name {
		case "name":
			text(d, &p.Name)
		case "priority":
			integer(d, &p.Priority)
		}
	}
}

func (d *decoder) rdma(r *specs.LinuxRdma) {
	for name := range d.object {
		switch name {
		case "hcaHandles":
			pointer(d, &r.HcaHandles, integer)
		case "hcaObjects":
			pointer(d, &r.HcaObjects, integer)
		}
	}
}
