package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// checkNetDevices checks the network devices of the host that are to be moved into
// the container.
func (c *Container) checkNetDevices() error {
	devices := c.Linux.NetDevices
	if len(devices) == 0 {
		return nil
	}
	if _, ok := c.Namespace(specs.NetworkNamespace); !ok {
		return fmt.Errorf("linux.netDevices: they need a network namespace that is not the host's")
	}
	taken := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		field, to := fmt.Sprintf("linux.netDevices[%q]", name), devices[name].Name
		if text := badDeviceName(name); text != "" {
			return fmt.Errorf("%s: it is no name of a device: %s", field, text)
		}
		if to == "" {
			to = name
		}
		number := strings.Contains(to, "%")
		switch text := badDeviceName(to); {
		case text != "":
			return fmt.Errorf("%s.name: %q is no name of a device: %s", field, to, text)
		case number && (strings.Count(to, "%") != 1 || !strings.Contains(to, "%d")):
			return fmt.Errorf("%s.name: %q is no name of a device: \"%%d\", once, is for a number", field, to)
		case !number && taken[to]:
			return fmt.Errorf("%s.name: %q is another device's already", field, to)
		}
		taken[to] = true
	}
	return nil
}

// badDeviceName says what is wrong with a name, as the kernel has them.
func badDeviceName(name string) string {
	if name == "" || name == "." || name == ".." || len(name) >= unix.IFNAMSIZ || strings.ContainsAny(name, "/: \t\n\v\f\r\x00") {
		return `1 to 15 bytes without blanks, "/" and ":"`
	}
	return ""
}
