package follow

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// narrow is a 32-bit program: mkdir("d", 0700), and exit with 9.
func narrow(t *testing.T) string {
	t.Helper()
	const base, headers = 0x8048000, 52 + 32
	code := []byte{0xbb, 0, 0, 0, 0, 0xb9, 0xc0, 1, 0, 0, 0xb8, 39, 0, 0, 0, 0xcd, 0x80} // ebx path, ecx 0700, eax mkdir; int $0x80
	code = append(code, 0xbb, 9, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0xcd, 0x80, 'd', 0)          // exit(9)
	binary.LittleEndian.PutUint32(code[1:], base+headers+uint32(len(code))-2)
	elf := []byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x03\x00")
	for _, word := range []uint32{1, base + headers, 52, 0, 0} {
		elf = binary.LittleEndian.AppendUint32(elf, word)
	}
	for _, half := range []uint16{52, 32, 1, 40, 0, 0} {
		elf = binary.LittleEndian.AppendUint16(elf, half)
	}
	size := uint32(headers + len(code))
	for _, word := range []uint32{1, 0, base, base, size, size, 5, 0x1000} {
		elf = binary.LittleEndian.AppendUint32(elf, word)
	}
	path := filepath.Join(t.TempDir(), "narrow")
	if err := os.WriteFile(path, append(elf, code...), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNarrow: the calls of a 32-bit program are followed by its own numbers.
func TestNarrow(t *testing.T) {
	path := narrow(t)
	t.Chdir(t.TempDir())
	err := exec.Command(path).Run()
	if errors.Is(err, unix.ENOEXEC) && os.Getenv("ISOPERF_VM") != "1" {
		// It is the kernel's or the hypervisor's own, and nothing installs it: the
		// machines of make test-vm must run this test.
		t.Skipf("this kernel runs no 32-bit programs: %v", err)
	}
	if e := (*exec.ExitError)(nil); !asExit(err, &e) || e.ExitCode() != 9 {
		needs(t, "a kernel that runs 32-bit programs", err)
	}
	if err := os.Remove("d"); err != nil {
		t.Fatal(err)
	}
	r := followed(t, command(t, path))
	checkStatus(t, r.Status, 9)
	if i := slices.IndexFunc(r.Calls, func(c Call) bool { return c.Name == "mkdir" }); i < 0 || !strings.HasPrefix(r.Calls[i].Text, `mkdir("d", 0700`) || r.Calls[i].Result != 0 {
		t.Errorf("the calls are %+v", r.Calls)
	}
}

func asExit(err error, e **exec.ExitError) bool {
	return errors.As(err, e)
}
