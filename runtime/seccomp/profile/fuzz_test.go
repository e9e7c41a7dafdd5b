package profile

import (
	"os"
	"strings"
	"testing"

	"isoperf/runtime/seccomp"
)

// FuzzLoad: a profile that is taken can be assembled, unless it is too long.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		`{"defaultAction": "SCMP_ACT_ALLOW"}`,
		`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
			"syscalls": [{"names": ["read", "write", "nothing"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"], "minKernel": "4.8"}},
			{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}], "excludes": {"arches": ["s390"]}}]}`,
		`{"defaultAction": "SCMP_ACT_KILL", "architectures": ["SCMP_ARCH_X86_64"], "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [{"name": "read", "action": "SCMP_ACT_LOG",
			"args": [{"index": 5, "value": 18446744073709551615, "valueTwo": 1, "op": "SCMP_CMP_GT"}]}]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := t.TempDir() + "/profile.json"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Load(file, nil)
		if err != nil {
			return
		}
		if _, err := seccomp.Assemble(p); err != nil && !strings.Contains(err.Error(), "instructions") {
			t.Errorf("it was loaded, and cannot be assembled: %v", err)
		}
	})
}
