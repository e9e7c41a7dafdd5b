package environment

import (
	"os"
	"runtime"
	"strings"
)

// cpus is the number of CPUs that are online.
func (m machine) cpus() int {
	data, _ := os.ReadFile(m.path("/proc/cpuinfo"))
	n := 0
	for line := range strings.Lines(string(data)) {
		if key, _, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "processor" {
			n++
		}
	}
	if n == 0 {
		return runtime.NumCPU()
	}
	return n
}

// cpu is the model: what /proc/cpuinfo says, which differs by architecture.
func (m machine) cpu() string {
	for _, key := range []string{"model name", "cpu model", "uarch", "cpu", "Hardware"} {
		if text := m.field("/proc/cpuinfo", key); text != "" {
			return known(text)
		}
	}
	implementer, part := m.field("/proc/cpuinfo", "CPU implementer"), m.field("/proc/cpuinfo", "CPU part")
	if implementer == "" {
		return unknown
	}
	for _, core := range armCores() {
		if core.implementer == implementer && core.part == part {
			return core.name
		}
	}
	return "ARM " + implementer + "/" + part
}

// armCore is a value of the register MIDR_EL1; the kernel's table is
// arch/arm64/include/asm/cputype.h.
type armCore struct{ implementer, part, name string }

func armCores() []armCore {
	return []armCore{
		{"0x41", "0xd03", "Cortex-A53"}, {"0x41", "0xd08", "Cortex-A72"}, {"0x41", "0xd0b", "Cortex-A76"},
		{"0x41", "0xd0c", "Neoverse-N1"}, {"0x41", "0xd40", "Neoverse-V1"}, {"0x41", "0xd49", "Neoverse-N2"},
		{"0x41", "0xd4f", "Neoverse-V2"}, {"0x41", "0xd84", "Neoverse-V3"}, {"0x41", "0xd8e", "Neoverse-N3"},
		{"0x46", "0x001", "A64FX"}, {"0xc0", "0xac3", "Ampere-1"}, {"0xc0", "0xac4", "Ampere-1A"},
	}
}

// virt is what lies between the hardware and this process.
func (m machine) virt(container string) string {
	around := m.hypervisor()
	switch {
	case container == "":
		return around
	case around == "none":
		return container
	}
	return around + "+" + container
}

// hypervisor asks, in this order: the kernel; the flag that x86 has for it;
// the firmware's tables; the clocks that a hypervisor offers.
func (m machine) hypervisor() string {
	if kind := m.text("/sys/hypervisor/type"); kind != "" {
		return kind // xen
	}
	flags := m.field("/proc/cpuinfo", "flags")
	flagged := strings.Contains(" "+flags+" ", " hypervisor ")
	if flags != "" && !flagged {
		return "none"
	}
	if strings.Contains(strings.ToLower(m.text("/proc/sys/kernel/osrelease")), "microsoft") {
		return "wsl"
	}
	vendor, product := m.text("/sys/class/dmi/id/sys_vendor"), m.text("/sys/class/dmi/id/product_name")
	if strings.HasSuffix(product, ".metal") {
		return "none" // Amazon's whole machines name the vendor all the same
	}
	for _, f := range firmwares() {
		if strings.HasPrefix(vendor, f.vendor) && strings.HasPrefix(product, f.product) {
			return f.name
		}
	}
	clocks := m.text("/sys/devices/system/clocksource/clocksource0/available_clocksource")
	tree := m.text("/proc/device-tree/hypervisor/compatible")
	switch {
	case strings.Contains(clocks, "kvm-clock"), strings.HasPrefix(tree, "linux,kvm"):
		return "kvm"
	case strings.Contains(clocks, "hyperv_clocksource"):
		return "hyperv"
	case strings.Contains(clocks, "xen"), strings.HasPrefix(tree, "xen"):
		return "xen"
	case strings.HasPrefix(vendor, "QEMU"):
		return "qemu"
	case flagged, tree != "":
		return "vm"
	}
	return "none"
}

// firmware is what a virtual machine's DMI tables say, by prefix. QEMU is not
// here: with and without KVM it says the same.
type firmware struct{ vendor, product, name string }

func firmwares() []firmware {
	return []firmware{
		{"VMware", "", "vmware"}, {"", "VMware", "vmware"},
		{"innotek", "", "virtualbox"}, {"", "VirtualBox", "virtualbox"},
		{"Microsoft Corporation", "Virtual Machine", "hyperv"},
		{"Xen", "", "xen"}, {"Parallels", "", "parallels"}, {"Apple Inc.", "Apple Virtualization", "apple"},
		{"BHYVE", "", "bhyve"}, {"", "BHYVE", "bhyve"}, {"Bochs", "", "bochs"},
		{"Amazon EC2", "", "kvm"}, {"Google", "Google Compute Engine", "kvm"}, {"Alibaba Cloud", "", "kvm"},
		{"DigitalOcean", "", "kvm"}, {"Hetzner", "vServer", "kvm"}, {"OpenStack", "", "kvm"}, {"", "OpenStack", "kvm"},
		{"", "KVM", "kvm"}, {"KubeVirt", "", "kvm"}, {"QEMU", "KVM", "kvm"},
	}
}
