package cgroup

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"isoperf/runtime/cgroup/systemd"
)

// infinity is systemd's word for no limit.
const infinity = math.MaxUint64

// unitProperties are the value of a control file as systemd has it, which writes
// the file from them: whenever it reloads, and with the default where it was told
// nothing. What it does not know it leaves alone; none are returned then.
//
//	cpu.weight, cpu.idle       CPUWeight; 0 is idle (systemd 252)
//	cpu.max                    CPUQuotaPerSecUSec, CPUQuotaPeriodUSec (242)
//	cpuset.cpus, cpuset.mems   AllowedCPUs, AllowedMemoryNodes (244), as bits
//	memory.min low high max    MemoryMin, MemoryLow, MemoryHigh, MemoryMax
//	memory.swap.max            MemorySwapMax
//	pids.max                   TasksMax
//	io.weight, io.bfq.weight   IOWeight, without those of single devices
//
// Source: systemd's src/core/cgroup.c, cgroup_context_apply.
func unitProperties(file, data string) ([]systemd.Property, error) {
	data = strings.TrimSpace(data)
	name := map[string]string{
		"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes", "memory.min": "MemoryMin", "memory.low": "MemoryLow",
		"memory.high": "MemoryHigh", "memory.max": "MemoryMax", "memory.swap.max": "MemorySwapMax",
	}[file]
	switch file {
	case "cpu.weight":
		return counted("CPUWeight", data)
	case "cpu.idle":
		if data != "1" {
			return nil, nil // the weight says it
		}
		return counted("CPUWeight", "0")
	case "cpu.max":
		return bandwidth(data)
	case "cpuset.cpus", "cpuset.mems":
		if data == "" {
			return nil, nil
		}
		mask, err := cpuMask(data)
		return []systemd.Property{systemd.Bytes(name, mask)}, err
	case "memory.min", "memory.low", "memory.high", "memory.max", "memory.swap.max":
		n, err := kernelSize(data)
		return []systemd.Property{systemd.Number(name, n)}, err
	case "pids.max":
		if data == "max" {
			return []systemd.Property{systemd.Number("TasksMax", infinity)}, nil
		}
		return counted("TasksMax", data)
	case "io.weight", "io.bfq.weight":
		return ioWeight(file, data)
	}
	return nil, nil
}

func counted(name, data string) ([]systemd.Property, error) {
	n, err := strconv.ParseUint(data, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is no number", data)
	}
	return []systemd.Property{systemd.Number(name, n)}, nil
}

// bandwidth takes "QUOTA PERIOD" in microseconds; without a period it is the
// kernel's 100 ms. systemd takes microseconds a second, but keeps whole percents of a
// processor, rounded down: rounded up here, its next reload leaves the container no
// less than it had, and at most a hundredth of a processor more.
func bandwidth(data string) ([]systemd.Property, error) {
	text, rest, _ := strings.Cut(data, " ")
	period, perSecond := uint64(100_000), uint64(infinity)
	if rest != "" {
		var err error
		if period, err = strconv.ParseUint(strings.TrimSpace(rest), 10, 32); err != nil || period == 0 {
			return nil, fmt.Errorf("%q has no period in microseconds", data)
		}
	}
	if text != "max" {
		quota, err := strconv.ParseUint(text, 10, 64)
		if err != nil || quota > 1<<43 {
			return nil, fmt.Errorf("%q has no quota in microseconds, nor max", data)
		}
		const percents = 100
		perSecond = (quota*percents + period - 1) / period * (1_000_000 / percents)
	}
	return []systemd.Property{systemd.Number("CPUQuotaPerSecUSec", perSecond), systemd.Number("CPUQuotaPeriodUSec", period)}, nil
}

// cpuMask is a list, "0-3,8", as bits, the lowest first.
func cpuMask(list string) ([]byte, error) {
	list, err := ParseCPUs(list)
	if err != nil {
		return nil, err
	}
	var mask []byte
	for item := range strings.SplitSeq(list, ",") {
		low, high, ok := strings.Cut(item, "-")
		if !ok {
			high = low
		}
		from, _ := strconv.Atoi(low) // ParseCPUs has written them
		to, _ := strconv.Atoi(high)
		for n := from; n <= to; n++ {
			for len(mask) <= n/8 {
				mask = append(mask, 0)
			}
			mask[n/8] |= 1 << (n % 8)
		}
	}
	return mask, nil
}

// kernelSize reads bytes as the kernel's memparse does, with a suffix that is a
// power of 1024, or "max".
func kernelSize(text string) (uint64, error) {
	if text == "max" {
		return infinity, nil
	}
	digits, shift := strings.ToLower(text), 0
	if digits != "" {
		if i := strings.IndexByte("kmgtpe", digits[len(digits)-1]); i >= 0 {
			digits, shift = digits[:len(digits)-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || bits.Len64(n)+shift > 63 {
		return 0, fmt.Errorf("%q is no size in bytes, such as 64M, nor max", text)
	}
	return n << shift, nil
}

// ioWeight takes "default 100" or "100", and looks past lines of devices. systemd
// maps its own weights, 1 to 10000, to those of the BFQ scheduler, 1 to 1000, so
// that both have 100 in the middle; this is the way back.
func ioWeight(file, data string) ([]systemd.Property, error) {
	for line := range strings.Lines(data) {
		word := strings.Fields(strings.TrimPrefix(line, "default "))
		if len(word) != 1 {
			continue
		}
		n, err := strconv.ParseUint(word[0], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is no weight", word[0])
		}
		if file == "io.bfq.weight" && n > 100 {
			n = 100 + (n-100)*11
		}
		return []systemd.Property{systemd.Number("IOWeight", n)}, nil
	}
	return nil, nil
}
