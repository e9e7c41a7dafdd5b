package unpack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
	"github.com/ulikunitz/xz"
)

// Why an archive is not one, or not whole.
var (
	errEmpty = errors.New("it is empty")
	errNoEnd = errors.New("the archive was cut short: its end-of-archive blocks are missing; fetch or make it again")
)

// damageError is an error of the decompressor.
type damageError struct {
	format string
	err    error
}

func (e damageError) Error() string {
	return fmt.Sprintf("the %s data is damaged: %v; fetch or make it again", e.format, e.err)
}

func (e damageError) Unwrap() error { return e.err }

// format is a compression, known by the bytes that files of it begin with.
type format struct {
	name  string
	magic string
	open  func(io.Reader) (io.ReadCloser, error)
}

// formats are the compressions that are understood: RFC 1952, the .xz file
// format 1.2.1, RFC 8878 (a plain frame, or a skippable one before it), bzip2.
func formats() []format {
	return []format{
		{"gzip", "\x1f\x8b", func(r io.Reader) (io.ReadCloser, error) { return pgzip.NewReader(r) }},
		{"xz", "\xfd7zXZ\x00", func(r io.Reader) (io.ReadCloser, error) {
			x, err := xz.NewReader(r)
			if err != nil {
				return nil, err
			}
			return ahead(x), nil
		}},
		{"zstd", "\x28\xb5\x2f\xfd", openZstd},
		{"zstd", "\x50\x2a\x4d\x18", openZstd},
		{"bzip2", "BZh", func(r io.Reader) (io.ReadCloser, error) { return ahead(bzip2.NewReader(r)), nil }},
	}
}

func openZstd(r io.Reader) (io.ReadCloser, error) {
	z, err := zstd.NewReader(r)
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// stream is the decompressed archive. It knows how it ends, since the tar
// reader takes a missing end for one.
type stream struct {
	from   io.Reader
	closer io.Closer // nil: not compressed
	format string
	cancel func() // no read of the archive begins after it
	limit  int64  // bytes; 0: none
	read   int64  // bytes
	zeros  int    // zero bytes at the end of what was read, up to one block
	ended  bool   // a read found nothing more
}

// open looks at the first bytes and starts the decompressor.
func open(ctx context.Context, r io.Reader, limit int64) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	in := bufio.NewReaderSize(&interruptible{ctx, r}, chunk)
	head, err := in.Peek(6)
	if len(head) == 0 {
		cancel()
		if err == io.EOF {
			return nil, errEmpty
		}
		return nil, err
	}
	s := &stream{from: in, cancel: cancel, limit: limit}
	for _, f := range formats() {
		if !bytes.HasPrefix(head, []byte(f.magic)) {
			continue
		}
		c, err := f.open(in)
		if err != nil {
			cancel()
			return nil, damageError{f.name, err}
		}
		s.format, s.closer, s.from = f.name, c, bufio.NewReaderSize(c, chunk)
		break
	}
	return s, nil
}

// Read is the tar reader's source.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	s.read += int64(n)
	s.ended = n == 0 && err == io.EOF
	zeros := 0
	for zeros < n && zeros < 512 && p[n-1-zeros] == 0 {
		zeros++
	}
	if zeros == n {
		zeros = min(512, zeros+s.zeros)
	}
	s.zeros = zeros
	if s.limit > 0 && s.read > s.limit {
		return n, fmt.Errorf("the archive is longer than %d bytes, decompressed; raise the limit if it can be trusted", s.limit)
	}
	if err != nil && err != io.EOF {
		err = s.damaged(err)
	}
	return n, err
}

// damaged marks the decompressor's own errors as such.
func (s *stream) damaged(err error) error {
	if s.format == "" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return damageError{s.format, err}
}

// finish is called when the tar reader has found the end: a block of zeros
// must have been there, and what follows is read for the decompressor's
// checksums. Whatever follows the end is not looked at, as tar does.
func (s *stream) finish() error {
	if s.zeros < 512 {
		if s.read == 0 {
			return errEmpty
		}
		return errNoEnd
	}
	if s.ended {
		return nil
	}
	_, err := io.Copy(io.Discard, s)
	return err
}

// blame finds out why something is not a tar header: a decompressor compares
// checksums after it has given the data away. Only so much is read for it.
func (s *stream) blame(err error) error {
	if s.format == "" || err != tar.ErrHeader {
		return err
	}
	var damage damageError
	if _, rest := io.CopyN(io.Discard, s, 64<<20); errors.As(rest, &damage) {
		return rest
	}
	return err
}

func (s *stream) close() {
	s.cancel()
	if s.closer != nil {
		_ = s.closer.Close() // its errors came with the last Read
	}
}

// interruptible is a reader that ends with its context.
type interruptible struct {
	ctx  context.Context
	from io.Reader
}

func (r *interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// readAhead decompresses in a goroutine of its own, while files are written.
type readAhead struct {
	*io.PipeReader
	done chan struct{}
}

func ahead(r io.Reader) io.ReadCloser {
	out, in := io.Pipe()
	a := readAhead{out, make(chan struct{})}
	go func() {
		defer close(a.done)
		w := bufio.NewWriterSize(in, chunk)
		_, err := io.Copy(w, r)
		if flushErr := w.Flush(); err == nil {
			err = flushErr
		}
		_ = in.CloseWithError(err) // it cannot fail
	}()
	return a
}

// Close ends the goroutine, so that nothing reads the archive any more.
func (a readAhead) Close() error {
	err := a.PipeReader.Close()
	<-a.done
	return err
}
