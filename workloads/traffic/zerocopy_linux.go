package traffic

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// byZeroCopy sends the buffer's own pages. The buffer never changes, so nobody
// has to wait until the kernel is done with it; but it says so in the socket's
// error queue, which has to be read, since it is charged to the socket
// (net.core.optmem_max). Documentation/networking/msg_zerocopy.rst.
func byZeroCopy(fd int, buf []byte) (mover, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1); err != nil {
		return mover{}, fmt.Errorf("ask for MSG_ZEROCOPY: %w; it needs Linux 4.14", err)
	}
	q := &completions{fd: fd}
	calls := 0
	return mover{
		call: func() (int, unix.Errno) {
			n, errno := raw(unix.SYS_SENDTO, uintptr(fd), base(buf), uintptr(len(buf)), unix.MSG_ZEROCOPY|unix.MSG_NOSIGNAL)
			if errno == unix.ENOBUFS { // too many that were not read
				q.wait()
				q.read()
				return 0, unix.EAGAIN
			}
			if calls++; calls%16 == 0 {
				q.read()
			}
			return n, errno
		},
		after: func(s *Stream) {
			q.read()
			s.ZeroCopyDone, s.ZeroCopyCopied = q.done, q.copied
		},
	}, nil
}

// completions are what the kernel says in a socket's error queue: that it is done
// with a range of calls, and whether it has copied after all.
type completions struct {
	fd           int
	done, copied int64
	control      [256]byte
	header       unix.Msghdr
	poll         unix.PollFd
	limit        unix.Timespec
}

// wait waits for one, 50 ms at most.
func (q *completions) wait() {
	q.poll = unix.PollFd{Fd: int32(q.fd)} // POLLERR is always waited for
	q.limit = unix.NsecToTimespec(int64(look))
	_, _ = raw(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&q.poll)), 1, uintptr(unsafe.Pointer(&q.limit))) // a pause; the read tells
}

// read reads all that are there.
func (q *completions) read() {
	for {
		q.header = unix.Msghdr{Control: &q.control[0]}
		q.header.SetControllen(len(q.control))
		if _, errno := raw(unix.SYS_RECVMSG, uintptr(q.fd), uintptr(unsafe.Pointer(&q.header)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT); errno != 0 {
			return
		}
		messages, err := unix.ParseSocketControlMessage(q.control[:q.header.Controllen])
		if err != nil {
			return
		}
		for _, m := range messages {
			if len(m.Data) < int(unsafe.Sizeof(unix.SockExtendedErr{})) {
				continue
			}
			e := (*unix.SockExtendedErr)(unsafe.Pointer(&m.Data[0]))
			if e.Origin != unix.SO_EE_ORIGIN_ZEROCOPY {
				continue
			}
			n := int64(e.Data - e.Info + 1) // calls Info to Data, both included
			q.done += n
			if e.Code == unix.SO_EE_CODE_ZEROCOPY_COPIED {
				q.copied += n
			}
		}
	}
}
