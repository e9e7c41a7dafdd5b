// Package inherittest has a binary that begins in package inherit's entry choose as
// a test wants it to, whatever the machine is.
package inherittest

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
)

// SlowFrom changes a binary, which must have its symbols: the first touch of a page
// counts as slow when it takes that many nanoseconds. With 0 there are large pages and
// no maker, with math.MaxInt64 there is a maker and no large page. On another
// architecture than amd64, where entry does not choose, the binary is left alone.
func SlowFrom(path string, nanoseconds int64) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("change what is slow in %s: %w", path, err)
		}
	}()
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Machine != elf.EM_X86_64 {
		return nil
	}
	symbols, err := f.Symbols()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == "isoperf/runtime/program/inherit.slow" })
	if at < 0 {
		return errors.New("it does not have the variable: is it linked with -E?")
	}
	section := f.Sections[symbols[at].Section]
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = w.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(nanoseconds)), int64(section.Offset+symbols[at].Value-section.Addr))
	return errors.Join(err, w.Close())
}
