package payload

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestELFIsOneSmallSegment(t *testing.T) {
	b := ELF()
	if !bytes.Equal(b, ELF()) {
		t.Error("two calls differ")
	}
	if len(b) > 1536 {
		t.Errorf("%d bytes; want at most 1536", len(b))
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
	if f.Machine != want || f.Type != elf.ET_EXEC || f.Class != elf.ELFCLASS64 {
		t.Errorf("it is %v, %v, %v", f.Machine, f.Type, f.Class)
	}
	loads := 0
	for _, p := range f.Progs {
		if p.Flags&elf.PF_X != 0 && p.Flags&elf.PF_W != 0 {
			t.Errorf("segment %v can be written and executed", p.Type)
		}
		if p.Type != elf.PT_LOAD {
			continue
		}
		loads++
		if p.Filesz != uint64(len(b)) || p.Memsz != p.Filesz {
			t.Errorf("the segment has %d bytes of %d", p.Filesz, len(b))
		}
		code := f.Entry - p.Vaddr
		if code >= p.Filesz || code%16 != 0 || !bytes.HasSuffix(bytes.TrimRight(b[:code], "\x00"), []byte("== end")) {
			t.Errorf("the entry, at %#x of %#x, is not behind the table", code, p.Filesz)
		}
	}
	if loads != 1 || len(f.Sections) != 0 {
		t.Errorf("%d segments to load, %d sections; want 1 and 0", loads, len(f.Sections))
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "payload")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o755 || info.Size() != int64(len(ELF())) {
		t.Errorf("mode %v, %d bytes; want 0755, %d", info.Mode(), info.Size(), len(ELF()))
	}
	// A directory that is not there, and one that is in the way.
	if err := os.MkdirAll(filepath.Join(dir, "full", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{filepath.Join(dir, "none", "payload"), filepath.Join(dir, "full")} {
		if err := Write(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("Write(%q) = %v; want an error that names it", bad, err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left are %v, %v; want the payload and the directory", left, err)
	}
}
