package program

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// HideDescriptors keeps what the launcher itself has inherited from the child.
func HideDescriptors(p *Program) error {
	// The call with nothing to do: Linux 5.9 and 5.10 do not know the flag.
	if unix.CloseRange(^uint(0)>>32, ^uint(0)>>32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		p.Early(CloseOnExec(3))
		return nil
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("find the open descriptors: %w", err)
	}
	for _, entry := range list {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || fd < 3 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			p.Hide(fd)
		}
	}
	return nil
}
