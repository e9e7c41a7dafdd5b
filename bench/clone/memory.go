package clone

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// Memory are the cases with memory that the launcher has touched: a child that
// shares it costs the same, a child that gets a copy pays for its page tables.
// Go's own os/exec stands beside them: it gives up shared memory as soon as a
// user namespace is asked for, so timing namespaces through it publishes the
// size of the heap as "the cost of user namespaces".
func Memory(e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, mib := range []int{1, 4, 16, 64, 256, 1024} {
		for _, name := range []string{"none", "user"} {
			for _, mode := range []string{"vm", "fork", "os-exec"} {
				// Long runs where nothing is copied: what touching and freeing so
				// much memory leaves behind must not weigh.
				samples, length := max(100, 3*e.Burst/2), 100
				cost := time.Millisecond + time.Duration(mib)*10*time.Microsecond
				if mode == "fork" || mode == "os-exec" && name == "user" {
					samples, length = max(20, e.Burst/4), 10
					cost = time.Millisecond + time.Duration(mib)*100*time.Microsecond
				}
				cases = append(cases, harness.Case{
					Name:    fmt.Sprintf("SweepMemory/memory=%s/mode=%s/flag=%s", size(mib), mode, name),
					Samples: samples, Run: length, Ballast: true, Cost: cost,
					Open: func() (harness.Sampler, error) { return openMemory(mib<<20, mode, bitsOf(name)) },
				})
			}
		}
	}
	return cases
}

func size(mib int) string {
	if mib >= 1024 {
		return fmt.Sprintf("%dGiB", mib/1024)
	}
	return fmt.Sprintf("%dMiB", mib)
}

func openMemory(bytes int, mode string, bits uint64) (harness.Sampler, error) {
	free, err := available()
	if err != nil {
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	if int64(bytes) > free/2 {
		return nil, harness.NotMeasured{Why: fmt.Sprintf("it touches %d bytes, over half of the %d that are available", bytes, free)}
	}
	ballast, err := touch(bytes)
	if err != nil {
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	var s harness.Sampler
	if mode == "os-exec" {
		s, err = openExec(bits)
	} else {
		m := program.VM
		if mode == "fork" {
			m = program.Fork
		}
		s, err = openClone(m, bits)
	}
	if err != nil {
		unix.Munmap(ballast)
		return nil, err
	}
	return withClose{s, func() error { return unix.Munmap(ballast) }}, nil
}

// touch maps memory and writes to each of its small pages.
func touch(bytes int) ([]byte, error) {
	m, err := unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", bytes, err)
	}
	if err := unix.Madvise(m, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		unix.Munmap(m)
		return nil, fmt.Errorf("keep to small pages: %w", err)
	}
	for i := 0; i < len(m); i += os.Getpagesize() {
		m[i] = 1
	}
	return m, nil
}

// available is MemAvailable in bytes.
func available() (int64, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read the available memory: %w", err)
	}
	var kib int64
	for line := range strings.Lines(string(data)) {
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("read the available memory: no MemAvailable in /proc/meminfo")
}

// openExec times Go's own way: os/exec with Cloneflags, of the stub, which
// exits at once. clone-ns is Start, reap-ns is to the end of Wait.
func openExec(bits uint64) (harness.Sampler, error) {
	fd, err := unix.MemfdCreate("isoperf-exit", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, harness.NotMeasured{Why: fmt.Sprintf("create a memfd: %v", err)}
	}
	file := os.NewFile(uintptr(fd), "stub")
	if _, err := file.Write(program.StubELF()); err != nil {
		file.Close()
		return nil, harness.NotMeasured{Why: fmt.Sprintf("write the stub: %v", err)}
	}
	// A descriptor that is open for reading only, or the file is busy.
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	read, err := os.Open(path)
	file.Close()
	if err != nil {
		return nil, harness.NotMeasured{Why: fmt.Sprintf("reopen the stub: %v", err)}
	}
	path = fmt.Sprintf("/proc/self/fd/%d", read.Fd())
	one := func() ([]sample.Value, error) { return execOnce(path, bits) }
	if _, err := one(); err != nil {
		read.Close()
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	return harness.Each(one, read.Close), nil
}

// stubStatus is how the stub exits without an arena.
const stubStatus = 125

func execOnce(path string, bits uint64) ([]sample.Value, error) {
	cmd := exec.Command(path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: uintptr(bits)}
	from := program.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	started := program.Now()
	err := cmd.Wait()
	ended := program.Now()
	if code := cmd.ProcessState.ExitCode(); code != stubStatus {
		return nil, fmt.Errorf("run the stub by os/exec: exit status %d: %w", code, err)
	}
	return []sample.Value{
		{Unit: "clone-ns", Value: float64(started - from)},
		{Unit: "reap-ns", Value: float64(ended - from)},
	}, nil
}
