package cgroup

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// blockIO is blkio in version 1 and io in version 2.
var blockIO = controller{
	name: "blkio", v2: "io",
	asked: func(r *specs.LinuxResources) bool {
		b := r.BlockIO
		return b != nil && (b.Weight != nil || b.LeafWeight != nil || len(b.WeightDevice)+len(b.ThrottleReadBpsDevice)+
			len(b.ThrottleWriteBpsDevice)+len(b.ThrottleReadIOPSDevice)+len(b.ThrottleWriteIOPSDevice) > 0)
	},
	plan1: ioV1, plan2: ioV2, key1: ioKey, read1: ioStatV1, read2: ioStatV2,
}

// throttles are the four limits in both vocabularies.
func throttles(b *specs.LinuxBlockIO) [4]struct {
	field, file, key string
	list             []specs.LinuxThrottleDevice
} {
	return [4]struct {
		field, file, key string
		list             []specs.LinuxThrottleDevice
	}{
		{"blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	}
}

func checkIO(b *specs.LinuxBlockIO) error {
	if b.Weight != nil && (*b.Weight < 10 || *b.Weight > 1000) {
		return refuse("blockIO.weight", "%d is outside of 10 to 1000", *b.Weight)
	}
	if b.LeafWeight != nil {
		return refuse("blockIO.leafWeight", "the kernel no longer has the scheduler that knew it (CFQ, Linux 5.0); leave it out")
	}
	for i, d := range b.WeightDevice {
		if d.LeafWeight != nil {
			return refuse(fmt.Sprintf("blockIO.weightDevice[%d].leafWeight", i), "the kernel no longer has the scheduler that knew it (CFQ, Linux 5.0); leave it out")
		}
		if d.Weight == nil || *d.Weight < 10 || *d.Weight > 1000 {
			return refuse(fmt.Sprintf("blockIO.weightDevice[%d].weight", i), "it must be from 10 to 1000")
		}
	}
	return nil
}

func ioV1(r *specs.LinuxResources, w *writes) error {
	b := r.BlockIO
	if err := checkIO(b); err != nil {
		return err
	}
	either := func(field, name, data string) {
		w.list = append(w.list, write{field: field, file: "blkio." + name, data: data, other: "blkio.bfq." + name, otherData: data})
	}
	if b.Weight != nil {
		either("blockIO.weight", "weight", strconv.Itoa(int(*b.Weight)))
	}
	for _, d := range b.WeightDevice {
		either("blockIO.weightDevice", "weight_device", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.Weight))
	}
	for _, t := range throttles(b) {
		for _, d := range t.list {
			w.add(t.field, t.file, fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate))
		}
	}
	return nil
}

// ioV2 uses the BFQ scheduler's own weights where it has them, which are in
// the same range, and io.weight otherwise, whose 1 to 10000 are stretched
// linearly over OCI's 10 to 1000.
func ioV2(r *specs.LinuxResources, w *writes) error {
	b := r.BlockIO
	if err := checkIO(b); err != nil {
		return err
	}
	either := func(field, device string, weight uint16) {
		w.list = append(w.list, write{
			field: field, file: "io.bfq.weight", data: fmt.Sprintf("%s%d", device, weight),
			other: "io.weight", otherData: fmt.Sprintf("%s%d", device, 1+(int(weight)-10)*9999/990),
		})
	}
	if b.Weight != nil {
		either("blockIO.weight", "", *b.Weight)
	}
	for _, d := range b.WeightDevice {
		either("blockIO.weightDevice", fmt.Sprintf("%d:%d ", d.Major, d.Minor), *d.Weight)
	}
	for _, t := range throttles(b) {
		for _, d := range t.list {
			rate := strconv.FormatUint(d.Rate, 10)
			if d.Rate == 0 { // no limit
				rate = "max"
			}
			w.add(t.field, "io.max", fmt.Sprintf("%d:%d %s=%s", d.Major, d.Minor, t.key, rate))
		}
	}
	return nil
}

// ioKey translates io.max, whose lines are "major:minor rbps=… wiops=…".
func ioKey(key, value string, w *writes) error {
	if key != "io.max" {
		return nil
	}
	for line := range strings.Lines(value) {
		limit, err := ParseIOMax(strings.TrimSpace(line))
		if err != nil {
			return err
		}
		for _, t := range throttles(&specs.LinuxBlockIO{}) {
			if rate, ok := limit.rate(t.key); ok {
				w.add(key, t.file, fmt.Sprintf("%d:%d %d", limit.Major, limit.Minor, rate))
			}
		}
	}
	return nil
}

// ioStatV1 reads "8:0 Read 4096" lines, with Write, Sync, Async, Discard and
// Total.
func ioStatV1(dir int, s *Stats) error {
	for _, f := range [...]struct {
		file  string
		bytes bool
	}{{"blkio.throttle.io_service_bytes", true}, {"blkio.throttle.io_serviced", false}} {
		text, err := readFile(dir, f.file)
		if err != nil {
			return fmt.Errorf("read %s: %w", f.file, err)
		}
		for line := range strings.Lines(string(text)) {
			word := strings.Fields(line)
			if len(word) != 3 {
				continue
			}
			n, err := strconv.ParseUint(word[2], 10, 64)
			if err != nil {
				return fmt.Errorf("read %s: %w", f.file, err)
			}
			d := s.device(word[0])
			switch {
			case word[1] == "Read" && f.bytes:
				d.ReadBytes = n
			case word[1] == "Write" && f.bytes:
				d.WriteBytes = n
			case word[1] == "Read":
				d.Reads = n
			case word[1] == "Write":
				d.Writes = n
			}
		}
	}
	return nil
}

// ioStatV2 reads "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 …" lines.
func ioStatV2(dir int, s *Stats) error {
	text, err := readFile(dir, "io.stat")
	if err != nil {
		return fmt.Errorf("read io.stat: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		word := strings.Fields(line)
		if len(word) < 2 {
			continue
		}
		d := s.device(word[0])
		wanted := map[string]*uint64{"rbytes": &d.ReadBytes, "wbytes": &d.WriteBytes, "rios": &d.Reads, "wios": &d.Writes}
		for _, pair := range word[1:] {
			key, value, _ := strings.Cut(pair, "=")
			if to := wanted[key]; to != nil {
				if *to, err = strconv.ParseUint(value, 10, 64); err != nil {
					return fmt.Errorf("read io.stat: %s of %s: %w", key, word[0], err)
				}
			}
		}
	}
	return nil
}
