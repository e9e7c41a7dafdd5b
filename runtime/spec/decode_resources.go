package spec

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/jsontext"
)

func readResources(d *jsontext.Decoder, r *specs.LinuxResources) {
	for name := range d.Object {
		switch name {
		case "devices":
			jsontext.List(d, &r.Devices, readDeviceRule)
		case "memory":
			jsontext.Pointer(d, &r.Memory, readMemory)
		case "cpu":
			jsontext.Pointer(d, &r.CPU, readCpu)
		case "pids":
			jsontext.Pointer(d, &r.Pids, readPids)
		case "blockIO":
			jsontext.Pointer(d, &r.BlockIO, readBlockIO)
		case "hugepageLimits":
			jsontext.List(d, &r.HugepageLimits, readHugepages)
		case "network":
			jsontext.Pointer(d, &r.Network, readNetwork)
		case "rdma":
			jsontext.Table(d, &r.Rdma, readRdma)
		case "unified":
			jsontext.Table(d, &r.Unified, jsontext.Text)
		}
	}
}

func readDeviceRule(d *jsontext.Decoder, r *specs.LinuxDeviceCgroup) {
	for name := range d.Object {
		switch name {
		case "allow":
			jsontext.Boolean(d, &r.Allow)
		case "type":
			jsontext.Text(d, &r.Type)
		case "major":
			jsontext.Pointer(d, &r.Major, jsontext.Integer)
		case "minor":
			jsontext.Pointer(d, &r.Minor, jsontext.Integer)
		case "access":
			jsontext.Text(d, &r.Access)
		}
	}
}

func readMemory(d *jsontext.Decoder, m *specs.LinuxMemory) {
	for name := range d.Object {
		switch name {
		case "limit":
			jsontext.Pointer(d, &m.Limit, jsontext.Integer)
		case "reservation":
			jsontext.Pointer(d, &m.Reservation, jsontext.Integer)
		case "swap":
			jsontext.Pointer(d, &m.Swap, jsontext.Integer)
		case "kernel":
			jsontext.Pointer(d, &m.Kernel, jsontext.Integer) //nolint:staticcheck // it is deprecated, and still to be refused
		case "kernelTCP":
			jsontext.Pointer(d, &m.KernelTCP, jsontext.Integer)
		case "swappiness":
			jsontext.Pointer(d, &m.Swappiness, jsontext.Integer)
		case "disableOOMKiller":
			jsontext.Pointer(d, &m.DisableOOMKiller, jsontext.Boolean)
		case "useHierarchy":
			jsontext.Pointer(d, &m.UseHierarchy, jsontext.Boolean)
		case "checkBeforeUpdate":
			jsontext.Pointer(d, &m.CheckBeforeUpdate, jsontext.Boolean)
		}
	}
}

func readCpu(d *jsontext.Decoder, c *specs.LinuxCPU) {
	for name := range d.Object {
		switch name {
		case "shares":
			jsontext.Pointer(d, &c.Shares, jsontext.Integer)
		case "quota":
			jsontext.Pointer(d, &c.Quota, jsontext.Integer)
		case "burst":
			jsontext.Pointer(d, &c.Burst, jsontext.Integer)
		case "period":
			jsontext.Pointer(d, &c.Period, jsontext.Integer)
		case "realtimeRuntime":
			jsontext.Pointer(d, &c.RealtimeRuntime, jsontext.Integer)
		case "realtimePeriod":
			jsontext.Pointer(d, &c.RealtimePeriod, jsontext.Integer)
		case "cpus":
			jsontext.Text(d, &c.Cpus)
		case "mems":
			jsontext.Text(d, &c.Mems)
		case "idle":
			jsontext.Pointer(d, &c.Idle, jsontext.Integer)
		}
	}
}

func readPids(d *jsontext.Decoder, p *specs.LinuxPids) {
	for name := range d.Object {
		if name == "limit" {
			jsontext.Pointer(d, &p.Limit, jsontext.Integer)
		}
	}
}

func readBlockIO(d *jsontext.Decoder, b *specs.LinuxBlockIO) {
	for name := range d.Object {
		switch name {
		case "weight":
			jsontext.Pointer(d, &b.Weight, jsontext.Integer)
		case "leafWeight":
			jsontext.Pointer(d, &b.LeafWeight, jsontext.Integer)
		case "weightDevice":
			jsontext.List(d, &b.WeightDevice, readWeightDevice)
		case "throttleReadBpsDevice":
			jsontext.List(d, &b.ThrottleReadBpsDevice, readThrottleDevice)
		case "throttleWriteBpsDevice":
			jsontext.List(d, &b.ThrottleWriteBpsDevice, readThrottleDevice)
		case "throttleReadIOPSDevice":
			jsontext.List(d, &b.ThrottleReadIOPSDevice, readThrottleDevice)
		case "throttleWriteIOPSDevice":
			jsontext.List(d, &b.ThrottleWriteIOPSDevice, readThrottleDevice)
		}
	}
}

func readWeightDevice(d *jsontext.Decoder, w *specs.LinuxWeightDevice) {
	for name := range d.Object {
		switch name {
		case "major":
			jsontext.Integer(d, &w.Major)
		case "minor":
			jsontext.Integer(d, &w.Minor)
		case "weight":
			jsontext.Pointer(d, &w.Weight, jsontext.Integer)
		case "leafWeight":
			jsontext.Pointer(d, &w.LeafWeight, jsontext.Integer)
		}
	}
}

func readThrottleDevice(d *jsontext.Decoder, t *specs.LinuxThrottleDevice) {
	for name := range d.Object {
		switch name {
		case "major":
			jsontext.Integer(d, &t.Major)
		case "minor":
			jsontext.Integer(d, &t.Minor)
		case "rate":
			jsontext.Integer(d, &t.Rate)
		}
	}
}

func readHugepages(d *jsontext.Decoder, l *specs.LinuxHugepageLimit) {
	for name := range d.Object {
		switch name {
		case "pageSize":
			jsontext.Text(d, &l.Pagesize)
		case "limit":
			jsontext.Integer(d, &l.Limit)
		}
	}
}

func readNetwork(d *jsontext.Decoder, n *specs.LinuxNetwork) {
	for name := range d.Object {
		switch name {
		case "classID":
			jsontext.Pointer(d, &n.ClassID, jsontext.Integer)
		case "priorities":
			jsontext.List(d, &n.Priorities, readPriority)
		}
	}
}

func readPriority(d *jsontext.Decoder, p *specs.LinuxInterfacePriority) {
	for name := range d.Object {
		switch name {
		case "name":
			jsontext.Text(d, &p.Name)
		case "priority":
			jsontext.Integer(d, &p.Priority)
		}
	}
}

func readRdma(d *jsontext.Decoder, r *specs.LinuxRdma) {
	for name := range d.Object {
		switch name {
		case "hcaHandles":
			jsontext.Pointer(d, &r.HcaHandles, jsontext.Integer)
		case "hcaObjects":
			jsontext.Pointer(d, &r.HcaObjects, jsontext.Integer)
		}
	}
}
