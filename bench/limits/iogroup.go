package limits

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"isoperf/runtime/cgroup"
)

// ioPlace is where a group is, for the controller of block devices.
type ioPlace struct {
	dir string
	v2  bool
}

func ioPlaceOf(g *cgroup.Group) ioPlace {
	if dir := g.Dir("blkio"); dir != "" {
		return ioPlace{dir, false}
	}
	return ioPlace{g.Dir("v2"), true}
}

// inForce is the limit that a device has in a group: "1048576", or "max".
func (p ioPlace) inForce(c IOCell, d *ioDevice) (string, error) {
	file := p.dir + "/io.max"
	if !p.v2 {
		file = p.dir + "/blkio.throttle." + map[string]string{"rbps": "read_bps", "wbps": "write_bps", "riops": "read_iops", "wiops": "write_iops"}[c.Way] + "_device"
	}
	text, err := readLine(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != d.id {
			continue
		}
		if !p.v2 {
			return words[1], nil
		}
		for _, w := range words[1:] {
			if value, ok := strings.CutPrefix(w, c.Way+"="); ok {
				return value, nil
			}
		}
	}
	return "max", nil
}

// counted are the bytes and requests of a device that the kernel has charged to
// a group.
func (p ioPlace) counted(reads bool, d *ioDevice) (bytes, requests int64, err error) {
	if p.v2 {
		text, err := os.ReadFile(p.dir + "/io.stat")
		if err != nil {
			return 0, 0, fmt.Errorf("read a group's I/O counters: %w", err)
		}
		wanted := map[string]*int64{"wbytes": &bytes, "wios": &requests}
		if reads {
			wanted = map[string]*int64{"rbytes": &bytes, "rios": &requests}
		}
		for line := range strings.Lines(string(text)) {
			if words := strings.Fields(line); len(words) > 0 && words[0] == d.id {
				for _, w := range words[1:] {
					key, value, _ := strings.Cut(w, "=")
					if into := wanted[key]; into != nil {
						if *into, err = strconv.ParseInt(value, 10, 64); err != nil {
							return 0, 0, fmt.Errorf("read a group's I/O counters: %s: %w", key, err)
						}
					}
				}
			}
		}
		return bytes, requests, nil
	}
	word := "Write"
	if reads {
		word = "Read"
	}
	for file, into := range map[string]*int64{"io_service_bytes": &bytes, "io_serviced": &requests} {
		text, err := os.ReadFile(p.dir + "/blkio.throttle." + file)
		if err != nil {
			return 0, 0, fmt.Errorf("read a group's I/O counters: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			if words := strings.Fields(line); len(words) == 3 && words[0] == d.id && words[1] == word {
				if *into, err = strconv.ParseInt(words[2], 10, 64); err != nil {
					return 0, 0, fmt.Errorf("read a group's I/O counters: %s: %w", file, err)
				}
			}
		}
	}
	return bytes, requests, nil
}
