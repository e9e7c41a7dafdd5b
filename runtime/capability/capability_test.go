package capability_test

import (
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	oracle "github.com/moby/sys/capability"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/capability"
	"isoperf/runtime/program"
)

// TestNames: the names and numbers are those of another library.
func TestNames(t *testing.T) {
	known := oracle.ListKnown()
	names := capability.All().Names()
	if len(known) != len(names) {
		t.Errorf("there are %d capabilities, want %d", len(names), len(known))
	}
	for _, c := range known {
		want := "CAP_" + strings.ToUpper(c.String())
		if got := capability.Of(int(c)).Names(); len(got) != 1 || got[0] != want {
			t.Errorf("capability %d is %v, want %s", int(c), got, want)
		}
	}
}

// TestLast: prctl and /proc agree.
func TestLast(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	require(t, err == nil, "there is no /proc/sys/kernel/cap_last_cap")
	want, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if got := last(t); got != want {
		t.Errorf("Last is %d, want %d", got, want)
	}
}

func TestOwn(t *testing.T) {
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	want := parse(t, string(text))
	effective, err := capability.Effective()
	if err != nil || effective != want.Effective || mine(t) != want.Permitted {
		t.Errorf("own capabilities are %v and %v, %v; want %+v", effective, mine(t), err, want)
	}
}

func TestParse(t *testing.T) {
	of := capability.Of
	for _, test := range []struct {
		names string
		want  capability.Set
		err   string
	}{
		{"", 0, ""},
		{"CAP_NET_ADMIN", of(unix.CAP_NET_ADMIN), ""},
		{"net_admin Cap_Kill", of(unix.CAP_NET_ADMIN, unix.CAP_KILL), ""},
		{"all", capability.All(), ""},
		{"CAP_ALL", capability.All(), ""},
		{"CAP_45 chown", of(45, 0), ""},
		{"net_admn", 0, `unknown capability "net_admn"; did you mean CAP_NET_ADMIN?`},
		{"CAP_SYS_TIM", 0, `unknown capability "CAP_SYS_TIM"; did you mean CAP_SYS_TIME?`},
		{"ptrace", 0, `unknown capability "ptrace"; did you mean CAP_SYS_PTRACE?`},
		{"chown xyzzy", 0, `unknown capability "xyzzy"; capabilities(7) lists them`},
		{"CAP_64", 0, `unknown capability "CAP_64"; capabilities(7) lists them`},
		{"CAP_007", 0, `unknown capability "CAP_007"; capabilities(7) lists them`},
		{"CAP_CAP_KILL", 0, `unknown capability "CAP_CAP_KILL"; did you mean CAP_KILL?`},
	} {
		got, err := capability.Parse(strings.Fields(test.names))
		if got != test.want || message(err) != test.err {
			t.Errorf("Parse(%q) is %v, %q; want %v, %q", test.names, got, message(err), test.want, test.err)
		}
	}
	if _, err := capability.Parse([]string{""}); err == nil {
		t.Error("an empty name is a capability")
	}
	for n := range 64 {
		s := capability.Of(n)
		if got, err := capability.Parse(s.Names()); got != s || err != nil {
			t.Errorf("Parse(%q) is %#x, %v", s.Names(), uint64(got), err)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestString(t *testing.T) {
	all := capability.All()
	for _, test := range []struct {
		set  capability.Set
		want string
	}{
		{0, "none"},
		{all, "all"},
		{all &^ capability.Of(unix.CAP_SYS_ADMIN, unix.CAP_BPF), "all but sys_admin,bpf"},
		{capability.Of(unix.CAP_KILL, unix.CAP_CHOWN, 41), "chown,kill,41"},
		{capability.Default(), "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,sys_chroot,mknod,audit_write,setfcap"},
	} {
		if got := test.set.String(); got != test.want {
			t.Errorf("%#x is %q, want %q", uint64(test.set), got, test.want)
		}
	}
	if got := capability.UpTo(-1); got != 0 {
		t.Errorf("UpTo(-1) is %v", got)
	}
	if got := capability.UpTo(99); ^got != 0 {
		t.Errorf("UpTo(99) is %#x", uint64(got))
	}
}

func TestAdjust(t *testing.T) {
	base, of := capability.Default(), capability.Of
	for _, test := range []struct {
		add, drop string
		want      capability.Set
		err       string
	}{
		{"", "", base, ""},
		{"net_admin", "CAP_MKNOD", base&^of(unix.CAP_MKNOD) | of(unix.CAP_NET_ADMIN), ""},
		{"", "all", 0, ""},
		{"chown", "ALL", of(unix.CAP_CHOWN), ""},
		{"all", "", capability.All(), ""},
		{"ALL", "sys_admin", capability.All() &^ of(unix.CAP_SYS_ADMIN), ""},
		{"kill", "kill", 0, "adjust capabilities: kill is in --cap-add and in --cap-drop; take it out of one"},
		{"all", "all", 0, "adjust capabilities: ALL is in --cap-add and in --cap-drop; take it out of one"},
		{"net_rw", "", 0, `parse --cap-add: unknown capability "net_rw"; did you mean CAP_NET_RAW?`},
		{"", "mknode", 0, `parse --cap-drop: unknown capability "mknode"; did you mean CAP_MKNOD?`},
	} {
		got, err := capability.Adjust(base, strings.Fields(test.add), strings.Fields(test.drop))
		if got != test.want || message(err) != test.err {
			t.Errorf("add %q, drop %q is %v, %q; want %v, %q", test.add, test.drop, got, message(err), test.want, test.err)
		}
	}
}

func TestOCI(t *testing.T) {
	sets := different()
	got, err := capability.FromOCI(sets.OCI())
	if err != nil || got != sets {
		t.Errorf("there and back %+v is %+v, %v", sets, got, err)
	}
	if diff := cmp.Diff(sets.OCI().Effective, []string{"CAP_CHOWN", "CAP_KILL"}); diff != "" {
		t.Error(diff)
	}
	if got, err := capability.FromOCI(nil); err != nil || got != (capability.Sets{}) {
		t.Errorf("no capabilities are %+v, %v", got, err)
	}
	for name, want := range map[string]string{
		"CAP_NET_ADMN": `read process.capabilities.ambient[1]: unknown capability "CAP_NET_ADMN"; did you mean CAP_NET_ADMIN?`,
		"ALL":          `read process.capabilities.ambient[1]: unknown capability "ALL"; capabilities(7) lists them`,
		"kill":         `read process.capabilities.ambient[1]: unknown capability "kill"; capabilities(7) lists them`,
	} {
		_, err := capability.FromOCI(&specs.LinuxCapabilities{Ambient: []string{"CAP_KILL", name}})
		if message(err) != want {
			t.Errorf("%s is %q, want %q", name, message(err), want)
		}
	}
}

func TestWithin(t *testing.T) {
	both, one := capability.Of(unix.CAP_KILL, unix.CAP_BPF), capability.Of(unix.CAP_KILL)
	sets := capability.Same(both)
	if given, lack := sets.Within(both); given != sets || lack != 0 {
		t.Errorf("of what is there %v is given, and %v is lacking", given, lack)
	}
	given, lack := sets.Within(one)
	want := capability.Same(one)
	want.Bounding = both
	if given != want || lack != capability.Of(unix.CAP_BPF) {
		t.Errorf("without CAP_BPF %v is given, want %v; and %v is lacking", given, want, lack)
	}
}

var update = flag.Bool("update", false, "write the golden files")

// TestPrint: the ops as a plan shows them; -update writes testdata/ops.golden.
func TestPrint(t *testing.T) {
	p := program.New(program.VM, 0)
	capability.RaiseAmbient(p, capability.Of(unix.CAP_SYS_ADMIN), true)
	capability.DropBounding(p, capability.UpTo(41)&^capability.Of(unix.CAP_SYS_BOOT, unix.CAP_BPF, 41), 41)
	capability.Keep(p)
	capability.Apply(p, different())
	capability.Apply(p, capability.Same(capability.Of(unix.CAP_KILL)))
	var b strings.Builder
	if err := p.Print(&b); err != nil {
		t.Fatal(err)
	}
	const name = "testdata/ops.golden"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the plan is not as in %s (-want +got):\n%s", name, diff)
	}
}

// BenchmarkPlan is the cost of building a container's ops.
func BenchmarkPlan(b *testing.B) {
	b.ReportAllocs()
	s := capability.Same(capability.Default())
	for b.Loop() {
		p := program.New(program.Stub, 0)
		capability.DropBounding(p, s.Bounding, 40)
		capability.Apply(p, s)
	}
}
