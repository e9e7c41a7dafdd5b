package startup

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"isoperf/bench/harness"
	"isoperf/workloads/payload"
)

// machine is a peer that boots a kernel, whose first process is the payload: the
// smallest virtual machine that QEMU makes, with no device but a serial port.
func machine(name, about, accel string, within time.Duration) peer {
	return peer{
		name: name, about: about, binary: "qemu-system-x86_64", takes: machines, slow: 20, within: within, version: machineVersion,
		launch: func(w *world, s setup) (start, error) { return qemu(w, s, accel) },
		notes:  []string{"a kernel of its own, of which the payload is all that runs"},
	}
}

// qemu is a start of a machine. Its kernel says nothing, so that the console has
// only what the payload writes; reboot=t ends it, since there is no other device
// that could.
func qemu(w *world, s setup, accel string) (start, error) {
	if s.variant.base != "" || w.config.Rootfs != "" || len(w.config.Exec) > 0 {
		return start{}, fmt.Errorf("start a machine: it has a root of its own, with nothing but the payload")
	}
	if runtime.GOARCH != "amd64" {
		return start{}, harness.NotMeasured{Why: "only for amd64: its kernel and its machine are a PC's"}
	}
	kernel, err := findKernel()
	if err != nil {
		return start{}, err
	}
	initrd := filepath.Join(w.dir, "initrd.cpio")
	if err := os.WriteFile(initrd, archive(payload.ELF()), 0o644); err != nil {
		return start{}, fmt.Errorf("write the machine's root: %w", err)
	}
	arg := "reboot"
	if len(s.args) > 1 {
		arg = s.args[1]
	}
	return start{
		outside: true,
		argv: []string{
			s.path, "-accel", accel, "-M", "microvm,isa-serial=on,acpi=off", "-m", "128M",
			"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
			"-kernel", kernel, "-initrd", initrd,
			"-append", "quiet loglevel=0 edd=off console=ttyS0 panic=-1 reboot=t cryptomgr.notests no_timer_check tsc=reliable -- " + arg,
		},
	}, nil
}

// findKernel is the newest kernel in the first place that has one that can be
// read: where scripts/peers puts it, or /boot.
func findKernel() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/nonexistent"
	}
	data := cmp.Or(os.Getenv("XDG_DATA_HOME"), filepath.Join(home, ".local", "share"))
	for _, pattern := range []string{filepath.Join(data, "isoperf", "vmlinuz"), "/usr/local/lib/isoperf/vmlinuz", "/boot/vmlinuz-*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("look for a kernel: %w", err)
		}
		newest, at := "", time.Time{}
		for _, path := range found {
			if info, err := os.Stat(path); err == nil && readable(path) && info.ModTime().After(at) {
				newest, at = path, info.ModTime()
			}
		}
		if newest != "" {
			return newest, nil
		}
	}
	return "", harness.NotMeasured{Why: "there is no kernel for a machine that can be read (scripts/peers gets one)"}
}

// machineVersion is that of QEMU and of the kernel.
func machineVersion(path string) (string, error) {
	line, err := versionLine(path, 10*time.Second)
	if err != nil {
		return "", err
	}
	kernel, err := findKernel()
	if err != nil {
		return "", err
	}
	release, err := kernelRelease(kernel)
	if err != nil {
		return "", err
	}
	return line + ", Linux " + release, nil
}

// kernelRelease reads the release out of a bzImage: its header says at 0x20e
// where the text is. See Documentation/arch/x86/boot.rst, kernel_version.
func kernelRelease(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the kernel: %w", err)
	}
	defer file.Close()
	head := make([]byte, 0x210)
	if _, err := io.ReadFull(file, head); err != nil {
		return "", fmt.Errorf("read the kernel %q: %w", path, err)
	}
	if string(head[0x202:0x206]) != "HdrS" {
		return "", fmt.Errorf("read the kernel %q: it is no bzImage; see file(1)", path)
	}
	text := make([]byte, 128)
	n, err := file.ReadAt(text, 0x200+int64(binary.LittleEndian.Uint16(head[0x20e:])))
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the kernel %q: %w", path, err)
	}
	text, _, _ = bytes.Cut(text[:n], []byte{0})
	release, _, _ := strings.Cut(string(text), " ")
	return release, nil
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err == nil {
		err = f.Close()
	}
	return err == nil
}

// archive is the machine's root in the form that the kernel unpacks ("newc", see
// Documentation/driver-api/early-userspace/buffer-format.rst): /init and the
// console that it writes to.
func archive(init []byte) []byte {
	const dir, char, regular = 0o040000, 0o020000, 0o100000
	var b bytes.Buffer
	inode := 0
	add := func(name string, mode, major, minor int, data []byte) {
		inode++
		pad := func() {
			for b.Len()%4 != 0 {
				b.WriteByte(0)
			}
		}
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name)
		pad()
		b.Write(data)
		pad()
	}
	add("dev", dir|0o755, 0, 0, nil)
	add("dev/console", char|0o600, 5, 1, nil)
	add("init", regular|0o755, 0, 0, init)
	add("TRAILER!!!", 0, 0, 0, nil)
	return b.Bytes()
}
