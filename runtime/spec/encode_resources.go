package spec

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/jsontext"
)

// ParseResources reads a linux.resources alone.
func ParseResources(text string) (*specs.LinuxResources, error) {
	r := &specs.LinuxResources{}
	if err := jsontext.Parse(text, r, readResources); err != nil {
		return nil, err
	}
	return r, nil
}

// MergeResources is what holds after an update: what the change does not mention
// stays. Of lists, the change's is all, but for those whose entries are about one
// device or page size each.
func MergeResources(old, change *specs.LinuxResources) (*specs.LinuxResources, error) {
	if old == nil {
		return change, nil
	}
	devices := old.Devices
	n, err := ParseResources(string(ResourcesText(old)))
	if err != nil {
		return nil, err
	}
	// A reader fills what is there further, which is what merging is.
	if err := jsontext.Parse(string(ResourcesText(change)), n, readResources); err != nil {
		return nil, err
	}
	if change.Devices == nil {
		n.Devices = devices
	}
	if b := n.BlockIO; b != nil && old.BlockIO != nil {
		o := old.BlockIO
		b.WeightDevice = merged(o.WeightDevice, b.WeightDevice, func(a, b specs.LinuxWeightDevice) bool { return a.Major == b.Major && a.Minor == b.Minor })
		for _, l := range []struct{ to, old *[]specs.LinuxThrottleDevice }{
			{&b.ThrottleReadBpsDevice, &o.ThrottleReadBpsDevice}, {&b.ThrottleWriteBpsDevice, &o.ThrottleWriteBpsDevice},
			{&b.ThrottleReadIOPSDevice, &o.ThrottleReadIOPSDevice}, {&b.ThrottleWriteIOPSDevice, &o.ThrottleWriteIOPSDevice},
		} {
			*l.to = merged(*l.old, *l.to, func(a, b specs.LinuxThrottleDevice) bool { return a.Major == b.Major && a.Minor == b.Minor })
		}
	}
	n.HugepageLimits = merged(old.HugepageLimits, n.HugepageLimits, func(a, b specs.LinuxHugepageLimit) bool { return a.Pagesize == b.Pagesize })
	return n, nil
}

// merged is a list in which newer entries take the place of those about the same.
func merged[T any](old, change []T, same func(a, b T) bool) []T {
	var list []T
next:
	for _, o := range old {
		for _, c := range change {
			if same(o, c) {
				continue next
			}
		}
		list = append(list, o)
	}
	return append(list, change...)
}

// ResourcesText is the JSON of linux.resources. What is not set is left out.
func ResourcesText(r *specs.LinuxResources) []byte {
	w := &fields{}
	w.Open('{')
	if len(r.Devices) > 0 {
		list(w, "devices", r.Devices, writeDeviceRule)
	}
	object(w, "memory", r.Memory, writeMemory)
	object(w, "cpu", r.CPU, writeCPU)
	object(w, "pids", r.Pids, func(w *fields, p *specs.LinuxPids) { signed(w, "limit", p.Limit) })
	object(w, "blockIO", r.BlockIO, writeBlockIO)
	list(w, "hugepageLimits", r.HugepageLimits, func(w *fields, l *specs.LinuxHugepageLimit) {
		w.text("pageSize", l.Pagesize)
		unsigned(w, "limit", &l.Limit)
	})
	object(w, "network", r.Network, writeNetwork)
	table(w, "rdma", r.Rdma, func(w *fields, r specs.LinuxRdma) {
		w.Open('{')
		unsigned(w, "hcaHandles", r.HcaHandles)
		unsigned(w, "hcaObjects", r.HcaObjects)
		w.Close('}')
	})
	table(w, "unified", r.Unified, func(w *fields, s string) { w.String(s) })
	w.Close('}')
	return w.Text
}

func writeDeviceRule(w *fields, r *specs.LinuxDeviceCgroup) {
	w.flag("allow", &r.Allow)
	w.text("type", r.Type)
	signed(w, "major", r.Major)
	signed(w, "minor", r.Minor)
	w.text("access", r.Access)
}

func writeMemory(w *fields, m *specs.LinuxMemory) {
	signed(w, "limit", m.Limit)
	signed(w, "reservation", m.Reservation)
	signed(w, "swap", m.Swap)
	signed(w, "kernel", m.Kernel) //nolint:staticcheck // it is deprecated, and still kept
	signed(w, "kernelTCP", m.KernelTCP)
	unsigned(w, "swappiness", m.Swappiness)
	w.flag("disableOOMKiller", m.DisableOOMKiller)
	w.flag("useHierarchy", m.UseHierarchy)
	w.flag("checkBeforeUpdate", m.CheckBeforeUpdate)
}

func writeCPU(w *fields, c *specs.LinuxCPU) {
	unsigned(w, "shares", c.Shares)
	signed(w, "quota", c.Quota)
	unsigned(w, "burst", c.Burst)
	unsigned(w, "period", c.Period)
	signed(w, "realtimeRuntime", c.RealtimeRuntime)
	unsigned(w, "realtimePeriod", c.RealtimePeriod)
	w.text("cpus", c.Cpus)
	w.text("mems", c.Mems)
	signed(w, "idle", c.Idle)
}

func writeBlockIO(w *fields, b *specs.LinuxBlockIO) {
	unsigned(w, "weight", b.Weight)
	unsigned(w, "leafWeight", b.LeafWeight)
	list(w, "weightDevice", b.WeightDevice, func(w *fields, d *specs.LinuxWeightDevice) {
		signed(w, "major", &d.Major)
		signed(w, "minor", &d.Minor)
		unsigned(w, "weight", d.Weight)
		unsigned(w, "leafWeight", d.LeafWeight)
	})
	for _, l := range []struct {
		name string
		list []specs.LinuxThrottleDevice
	}{
		{"throttleReadBpsDevice", b.ThrottleReadBpsDevice}, {"throttleWriteBpsDevice", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", b.ThrottleReadIOPSDevice}, {"throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice},
	} {
		list(w, l.name, l.list, func(w *fields, d *specs.LinuxThrottleDevice) {
			signed(w, "major", &d.Major)
			signed(w, "minor", &d.Minor)
			unsigned(w, "rate", &d.Rate)
		})
	}
}

func writeNetwork(w *fields, n *specs.LinuxNetwork) {
	unsigned(w, "classID", n.ClassID)
	list(w, "priorities", n.Priorities, func(w *fields, p *specs.LinuxInterfacePriority) {
		w.text("name", p.Name)
		unsigned(w, "priority", &p.Priority)
	})
}
