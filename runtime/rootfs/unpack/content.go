package unpack

import (
	"bytes"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// block is how long a stretch of zeros must be to become a hole, in bytes.
const block = 4096

// fill copies the entry's content. The tar reader gives holes as zeros; in a
// sparse file, blocks of zeros are left out again.
func (u *unpacker) fill(fd int, sparse bool) error {
	write := writeAll
	if sparse {
		write = writeSparse
	}
	size := int64(0)
	for {
		n, err := u.read()
		if writeErr := write(fd, u.buf[:n], size); writeErr != nil {
			return fmt.Errorf("write its content at byte %d: %w", size, writeErr)
		}
		size += int64(n)
		u.report.Bytes += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read its content at byte %d: %w", size, err)
		}
		if err := u.ctx.Err(); err != nil {
			return err
		}
	}
	if sparse {
		if err := unix.Ftruncate(fd, size); err != nil {
			return fmt.Errorf("set its length to %d bytes: %w", size, err)
		}
	}
	return nil
}

// read fills the buffer from the entry. Unlike io.ReadFull it tells the
// entry's end (io.EOF) from the archive's (io.ErrUnexpectedEOF).
func (u *unpacker) read() (n int, err error) {
	for n < len(u.buf) && err == nil {
		var k int
		k, err = u.tar.Read(u.buf[n:])
		n += k
	}
	return n, err
}

// writeAll writes data at the descriptor's position.
func writeAll(fd int, data []byte, _ int64) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// writeSparse writes the blocks of data that are not zero, at their offset.
func writeSparse(fd int, data []byte, offset int64) error {
	zero := make([]byte, block)
	for start := 0; start < len(data); {
		end := start
		for end < len(data) && !bytes.HasPrefix(zero, data[end:min(end+block, len(data))]) {
			end = min(end+block, len(data))
		}
		for part := data[start:end]; len(part) > 0; {
			n, err := unix.Pwrite(fd, part, offset+int64(end-len(part)))
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return err
			}
			part = part[n:]
		}
		start = min(end+block, len(data)) // what stopped the stretch is zero
	}
	return nil
}
