package capability

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Permitted is what the calling thread is permitted, in its user namespace: the
// most that a child gets which stays in it. See capget(2).
func Permitted() (Set, error) {
	_, permitted, err := own()
	return permitted, err
}

// Effective is what the calling thread may do, in its user namespace.
func Effective() (Set, error) {
	effective, _, err := own()
	return effective, err
}

func own() (effective, permitted Set, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, 0, fmt.Errorf("read the own capabilities (capget): %w; a seccomp filter may forbid it", err)
	}
	join := func(low, high uint32) Set { return Set(low) | Set(high)<<32 }
	return join(data[0].Effective, data[1].Effective), join(data[0].Permitted, data[1].Permitted), nil
}
