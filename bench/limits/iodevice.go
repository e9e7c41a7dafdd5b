package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
)

// ioDevice is a block device of our own: a null block device (see nullBlock), or a
// loop device on memory. The loop device's file has no name, and the device lets
// go of it when the last who has it open is gone (LO_FLAGS_AUTOCLEAR); so nothing
// is left of a measurement that was killed.
type ioDevice struct {
	file  *os.File
	path  string
	id    string // "7:0", as control files name it
	bytes int64
	what  string       // in words
	end   func() error // takes it away; nil: it goes when it is closed
}

// ioDeviceBytes is the size: a multiple of all requests, and little memory.
const ioDeviceBytes = 64 << 20

// newIODevice attaches a loop device. Where none is to be had, the error says why.
func newIODevice() (*ioDevice, error) {
	back, err := unix.MemfdCreate("isoperf-device", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a device's memory: %w", err)
	}
	defer unix.Close(back) // the device has it, too
	// All of it is there from the beginning: a request must not wait for memory.
	err = unix.EINTR
	for err == unix.EINTR { // Go's own signals
		err = unix.Fallocate(back, 0, 0, ioDeviceBytes)
	}
	if err != nil {
		return nil, harness.NotMeasured{Why: fmt.Sprintf("there are no %d MiB of memory for a block device: %v; give this group more", ioDeviceBytes>>20, err)}
	}
	// Only what was opened by a name can take direct I/O.
	opened, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", back), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a device's memory: %w; mount /proc", err)
	}
	defer unix.Close(opened)
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, harness.NotMeasured{Why: fmt.Sprintf("a block device of our own takes root and loop devices: %v; load the module loop, and run as root", err)}
	}
	defer control.Close()
	for range 20 {
		d, err := attachLoop(control, opened)
		if !errors.Is(err, unix.EBUSY) { // somebody else was faster
			return d, err
		}
	}
	return nil, errors.New("attach a loop device: each that was free was taken meanwhile; try again")
}

// attachLoop attaches memory to the first loop device that is free.
func attachLoop(control *os.File, back int) (*ioDevice, error) {
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, harness.NotMeasured{Why: fmt.Sprintf("no loop device is free, and none can be made: %v; run as root", err)}
	}
	d := &ioDevice{path: fmt.Sprintf("/dev/loop%d", n), bytes: ioDeviceBytes, what: "a loop device on memory"}
	if d.file, err = os.OpenFile(d.path, os.O_RDWR, 0); err != nil {
		return nil, harness.NotMeasured{Why: fmt.Sprintf("the free loop device cannot be opened: %v; is /dev a devtmpfs, and this process root?", err)}
	}
	config := unix.LoopConfig{Fd: uint32(back), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO}}
	err = unix.IoctlLoopConfigure(int(d.file.Fd()), &config)
	if err == unix.EINVAL { // the file system of memory takes no direct I/O
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		err = unix.IoctlLoopConfigure(int(d.file.Fd()), &config)
	}
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(int(d.file.Fd()), &st)
	}
	if err != nil {
		d.file.Close()
		return nil, fmt.Errorf("attach %q: %w; it takes Linux 5.8 (LOOP_CONFIGURE)", d.path, err)
	}
	d.id = fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	if text, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(d.path), "loop/dio")); err == nil && strings.TrimSpace(string(text)) == "1" {
		d.what += ", direct"
	}
	return d, nil
}

// close lets go of the device. A loop device detaches itself.
func (d *ioDevice) close() error {
	if d.end != nil {
		return d.end()
	}
	if err := d.file.Close(); err != nil {
		return fmt.Errorf("close %q: %w", d.path, err)
	}
	return nil
}
