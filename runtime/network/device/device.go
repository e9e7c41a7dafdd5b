// Package device moves network devices of the host into a container's network
// namespace, as linux.netDevices of the OCI runtime specification 1.3 asks:
//
//	host       find it, its permanent global addresses ─► down ─► move, under its new name
//	container                                    (name free?) ───────────────────────► addresses ─► up
//
// It speaks rtnetlink(7) itself: isorun, which uses it, is to start fast.
package device

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Move moves the devices into the network namespace behind a descriptor. The
// calling goroutine's thread visits that namespace for a moment. What was moved
// before an error stays there, and is gone, or back, with the namespace.
func Move(devices map[string]specs.LinuxNetDevice, ns int) error {
	host, err := dial()
	if err != nil {
		return err
	}
	defer host.close()
	inside, err := dialIn(ns)
	if err != nil {
		return err
	}
	defer inside.close()
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		if err := move(host, inside, ns, name, devices[name].Name); err != nil {
			return fmt.Errorf("linux.netDevices[%q]: %w", name, err)
		}
	}
	return nil
}

// dialIn is a socket of another network namespace.
func dialIn(ns int) (*socket, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the network namespace: %w; mount /proc", err)
	}
	defer unix.Close(own)
	if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("visit the container's network namespace: %w; it takes CAP_SYS_ADMIN", err)
	}
	s, err := dial()
	if back := unix.Setns(own, unix.CLONE_NEWNET); back != nil {
		// Nothing that this thread does later would be done where it should be.
		panic(fmt.Sprintf("device: return to the host's network namespace: %v", back))
	}
	return s, err
}

// move moves one device.
func move(host, inside *socket, ns int, name, newName string) error {
	if newName == "" {
		newName = name
	}
	link, err := host.link(name)
	if errors.Is(err, unix.ENODEV) {
		return errors.New("the host has no device of that name")
	}
	if err != nil {
		return fmt.Errorf("find it: %w", err)
	}
	if link.flags&unix.IFF_LOOPBACK != 0 {
		return errors.New("a loopback device cannot be moved")
	}
	template := strings.Contains(newName, "%d")
	if !template {
		if _, err := inside.link(newName); err == nil {
			return fmt.Errorf("the container has a device %q already; choose another name", newName)
		} else if !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("look for %q in the container: %w", newName, err)
		}
	}
	before, err := inside.indices()
	if err != nil {
		return err
	}
	addresses, err := host.addresses(link.index)
	if err != nil {
		return err
	}
	if err := host.setUp(link.index, false); err != nil {
		return fmt.Errorf("take it down: %w", err)
	}
	if err := host.send(unix.RTM_NEWLINK, linkMessage(link.index, 0, 0), attribute(unix.IFLA_NET_NS_FD, word(uint32(ns))), attribute(unix.IFLA_IFNAME, zeroed(newName))); err != nil {
		back := error(nil)
		if link.flags&unix.IFF_UP != 0 {
			back = host.setUp(link.index, true)
		}
		return errors.Join(fmt.Errorf("move it to %q: %w; some devices belong to their namespace", newName, err), back)
	}
	return arrive(inside, newName, template, before, addresses)
}

// arrive gives a device that was moved its addresses, and has it work.
func arrive(inside *socket, name string, template bool, before map[int]bool, addresses [][]byte) error {
	index := 0
	if template {
		after, err := inside.indices()
		if err != nil {
			return err
		}
		for i := range after {
			if !before[i] {
				index = i
			}
		}
	} else {
		link, err := inside.link(name)
		if err != nil {
			return fmt.Errorf("find it in the container: %w", err)
		}
		index = link.index
	}
	for _, a := range addresses {
		if err := inside.addAddress(index, a); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("give it its address back: %w", err)
		}
	}
	if err := inside.setUp(index, true); err != nil {
		return fmt.Errorf("bring it up in the container: %w", err)
	}
	return nil
}
