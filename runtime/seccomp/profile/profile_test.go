package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/seccomp"
)

func withCaps(caps ...string) *specs.Spec {
	return &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
}

const (
	allow  = unix.SECCOMP_RET_ALLOW
	eperm  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	enosys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// TestDefault: Docker's decisions, by the system call's name in the native
// table.
func TestDefault(t *testing.T) {
	audit := uint32(unix.AUDIT_ARCH_X86_64)
	if unix.SYS_READ != 0 { // arm64's is 63
		audit = unix.AUDIT_ARCH_AARCH64
	}
	for _, c := range []struct {
		name string
		spec *specs.Spec
		nr   uint32
		args [6]uint64
		want uint32
	}{
		{"read", nil, unix.SYS_READ, [6]uint64{}, allow},
		{"execve", nil, unix.SYS_EXECVE, [6]uint64{}, allow},
		{"execveat", nil, unix.SYS_EXECVEAT, [6]uint64{}, allow},
		{"clone of a thread", nil, unix.SYS_CLONE, [6]uint64{unix.CLONE_VM | unix.CLONE_THREAD}, allow},
		{"clone NEWUSER", nil, unix.SYS_CLONE, [6]uint64{unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)}, eperm},
		{"clone NEWNS|VM", nil, unix.SYS_CLONE, [6]uint64{unix.CLONE_NEWNS | unix.CLONE_VM}, eperm},
		{"clone NEWUSER with SYS_ADMIN", withCaps("CAP_SYS_ADMIN"), unix.SYS_CLONE, [6]uint64{unix.CLONE_NEWUSER}, allow},
		{"clone3", nil, unix.SYS_CLONE3, [6]uint64{}, enosys},
		{"clone3 with SYS_ADMIN", withCaps("CAP_SYS_ADMIN"), unix.SYS_CLONE3, [6]uint64{}, allow},
		{"mount", nil, unix.SYS_MOUNT, [6]uint64{}, eperm},
		{"mount with SYS_ADMIN", withCaps("CAP_SYS_ADMIN"), unix.SYS_MOUNT, [6]uint64{}, allow},
		{"unshare", nil, unix.SYS_UNSHARE, [6]uint64{}, eperm},
		{"bpf", withCaps("CAP_CHOWN"), unix.SYS_BPF, [6]uint64{}, eperm},
		{"keyctl", nil, unix.SYS_KEYCTL, [6]uint64{}, eperm},
		{"chroot", withCaps("CAP_SYS_CHROOT"), unix.SYS_CHROOT, [6]uint64{}, allow},
		{"socket INET", nil, unix.SYS_SOCKET, [6]uint64{unix.AF_INET}, allow},
		{"socket ALG", nil, unix.SYS_SOCKET, [6]uint64{unix.AF_ALG}, eperm},
		{"socket VSOCK", nil, unix.SYS_SOCKET, [6]uint64{unix.AF_VSOCK}, eperm},
		{"personality 0", nil, unix.SYS_PERSONALITY, [6]uint64{0}, allow},
		{"personality ADDR_NO_RANDOMIZE", nil, unix.SYS_PERSONALITY, [6]uint64{0x40000}, eperm},
		{"personality query", nil, unix.SYS_PERSONALITY, [6]uint64{0xffffffff}, allow},
		{"a call of the future", nil, 999, [6]uint64{}, enosys},
	} {
		s, err := Default(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		f, err := seccomp.Assemble(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Decide(audit, c.nr, c.args); got != c.want {
			t.Errorf("%s is %#x; want %#x", c.name, got, c.want)
		}
		if len(f.Code) > 1000 {
			t.Errorf("the filter has %d instructions", len(f.Code))
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "profile.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLoad: the OCI's format, Docker's with its conditions, and Podman's errno
// names.
func TestLoad(t *testing.T) {
	oci := write(t, `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
		"syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "errno": "ENOSYS",
			"args": [{"index": 1, "value": 18446744073709551615, "valueTwo": 2, "op": "SCMP_CMP_GE"}]}]}`)
	s, err := Load(oci, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := s.Syscalls[0]; len(s.Syscalls) != 1 || e.Names[0] != "mount" || *e.ErrnoRet != 38 || e.Args[0].Value != 1<<64-1 ||
		len(s.Architectures) != 1 || len(s.Flags) != 1 {
		t.Errorf("the OCI profile is %+v", s)
	}

	docker := write(t, `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
		"archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}, {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
		"syscalls": [
			{"name": "read", "action": "SCMP_ACT_ALLOW", "comment": "old"},
			{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
			{"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
			{"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "200.0"}}]}`)
	for _, c := range []struct {
		spec *specs.Spec
		want string
	}{{nil, "read ptrace"}, {withCaps("CAP_SYS_ADMIN"), "read mount ptrace"}, {&specs.Spec{}, "read ptrace"}} {
		s, err := Load(docker, c.spec)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range s.Syscalls {
			names = append(names, e.Names...)
		}
		if got := strings.Join(names, " "); got != c.want || len(s.Architectures) != 2 {
			t.Errorf("Docker's profile allows %q for %v; want %q and two architectures", got, s.Architectures, c.want)
		}
	}
}

// TestLoadErrors: they name the file and the field, in entries that do not
// apply here too.
func TestLoadErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, "line 1: it ends too early"},
		{"{\"defaultAction\":\n", "line 2: it ends too early"},
		{"{\n\"defaultAction\": \"SCMP_ACT_ALLOW\",\n}", "line 3: "},
		{`[]`, "line 1: "},
		{`{}`, "linux.seccomp.defaultAction: it is not set"},
		{`null`, "linux.seccomp.defaultAction: it is not set"},
		{`{"defaultAction": "SCMP_ACT_ALLOW"} {}`, "there is more after the profile"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "sycalls": []}`, `unknown field "sycalls"`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": "EPERM"}`, "defaultErrnoRet"},
		{`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "defaultErrno": "ENOSYS"}`, `linux.seccomp.defaultErrno: "ENOSYS" is not errno 1`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "/x"}`, "linux.seccomp.listenerMetadata: "},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [null]}`, "linux.seccomp.syscalls[0]: it is null"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errno": "EIO"}]}`, `linux.seccomp.syscalls[0].errno: "EIO" has no number`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG"}, {"names": ["read"], "action": "deny", "includes": {"arches": ["s390x"]}}]}`, `linux.seccomp.syscalls[1].action: unknown action "deny"`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "names": ["b"], "action": "SCMP_ACT_LOG"}]}`, "both 'name' and 'names'"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["b"], "action": "SCMP_ACT_LOG", "includes": {"minKernel": "x"}}]}`, "kernel version"},
	} {
		path := write(t, c.text)
		_, err := Load(path, nil)
		if err == nil || !strings.HasPrefix(err.Error(), `load seccomp profile "`+path+`": `) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n\tit says %v\n\twant %q", c.text, err, c.want)
		}
	}
	if _, err := Load("/no/such/file", nil); err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("a missing file is %v", err)
	}
}

// BenchmarkDefault is what a start pays for the default profile, before it is
// assembled.
func BenchmarkDefault(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Default(nil); err != nil {
			b.Fatal(err)
		}
	}
}
