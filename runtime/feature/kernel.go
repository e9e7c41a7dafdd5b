package feature

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// oldest is the kernel below which nothing is measured: the first long-term
// release that has clone3, pidfds, time namespaces and CLONE_INTO_CGROUP.
var oldest = version{5, 10}

// Kernel asks for the release and the calls that a start is made of.
func (h *Host) Kernel() []Result {
	return []Result{h.KernelRelease(), h.Clone3(), h.ClearSighand(), h.Pidfd(), h.MemfdExec(), h.Openat2()}
}

// KernelRelease asks for Linux 5.10 or newer.
func (h *Host) KernelRelease() Result {
	p := probe{groupKernel, "kernel release"}
	v, text, err := h.kernel()
	if err != nil {
		return p.failed(err)
	}
	if v.before(oldest) {
		return p.notHere("uname -r is "+text+", older than "+oldest.String(), "boot Linux "+oldest.String()+" or newer")
	}
	return p.have(text)
}

// Clone3 asks for clone3(2), Linux 5.3. Default container filters hide it
// with ENOSYS, so that C libraries fall back to clone.
func (h *Host) Clone3() Result { return h.callable(probe{groupKernel, "clone3"}, "clone3") }

// Pidfd asks for pidfd_open(2), Linux 5.3.
func (h *Host) Pidfd() Result { return h.callable(probe{groupKernel, "pidfd"}, "pidfd_open") }

// Openat2 asks for openat2(2), Linux 5.6: paths that cannot leave a tree.
func (h *Host) Openat2() Result { return h.callable(probe{groupKernel, "openat2"}, "openat2") }

// ClearSighand asks for CLONE_CLEAR_SIGHAND, Linux 5.5. It is a flag of
// clone3, whose presence the release tells.
func (h *Host) ClearSighand() Result {
	p := probe{groupKernel, "CLONE_CLEAR_SIGHAND"}
	if clone3 := h.Clone3(); clone3.State != Have {
		return p.because(clone3)
	}
	return h.since(p, version{5, 5})
}

// MemfdExec asks whether a memory file may be executed: the sysctl
// vm.memfd_noexec, Linux 6.3, forbids it at 2.
func (h *Host) MemfdExec() Result {
	p := probe{groupKernel, "memfd exec"}
	const file = "/proc/sys/vm/memfd_noexec"
	err := h.Memfd()
	switch {
	case err == nil:
		return p.have("memory files may be executed")
	case h.is(file, "2"):
		return p.notHere(file+" is 2: memory files that can be executed are refused",
			"sudo sysctl -w vm.memfd_noexec=0").with(err)
	case refused(err), errors.Is(err, unix.ENOSYS):
		why, fix := h.refusal("memfd_create", err)
		return p.notHere(why, fix).with(err)
	}
	return p.failed(fmt.Errorf("memfd_create: %w", err))
}

// since decides by release alone, where a probe would have to do the thing.
func (h *Host) since(p probe, v version) Result {
	running, text, err := h.kernel()
	if err != nil {
		return p.failed(err)
	}
	if running.before(v) {
		return p.notHere("it came with Linux "+v.String()+", and uname -r is "+text, "boot Linux "+v.String()+" or newer")
	}
	return p.have("by release: Linux " + v.String() + " brought it")
}

// callable asks for one call of the table.
func (h *Host) callable(p probe, names ...string) Result {
	for _, c := range calls() {
		for _, name := range names {
			if c.name != name {
				continue
			}
			if r := h.callOne(p, c); r.State != Have {
				return r
			}
		}
	}
	return p.have("present")
}

func (h *Host) callOne(p probe, c invalid) Result {
	err := h.Call(c.name)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EBADF), errors.Is(err, unix.EFAULT):
		return p.have("present")
	case errors.Is(err, unix.EPERM) && c.gated && (!h.capable(unix.CAP_SYS_ADMIN) || h.InUserNamespace()):
		return p.have("present")
	case errors.Is(err, unix.ENOSYS):
		if r := h.since(p, c.since); r.State != Have {
			return r.with(err)
		}
		why, fix := h.refusal(c.name, err)
		return p.notHere(why, fix).with(err)
	case refused(err):
		why, fix := h.refusal(c.name, err)
		return p.notHere(why, fix).with(err)
	}
	return p.failed(fmt.Errorf("%s: %w", c.name, err))
}

// refused reports whether the kernel knew the request and said no.
func refused(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
}
