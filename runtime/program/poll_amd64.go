package program

import "golang.org/x/sys/unix"

// PollCall is the call with which a child that waits looks, after a tenth of a
// second, whether its launcher is still there.
const PollCall = unix.SYS_POLL
