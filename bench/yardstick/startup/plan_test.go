package main

import (
	"reflect"
	"strings"
	"testing"
)

const printed = `launcher: mkdir /sys/fs/cgroup/pids/x
launcher: write "a \"b\"" to pids.some
launcher: the launching thread writes itself to /sys/fs/cgroup/pids/x/tasks, and goes back once the child is born
launcher: write "7" to pids.max (once the child is on its own)
clone3({CLONE_VM|CLONE_NEWNS}), mode stub
   1  inherit           fcntl(0, F_SETFD, 0)
   -  enter stub        execveat(stub, "", …, AT_EMPTY_PATH): the rest runs in the stub
   -  watch             gettid, set_robust_list: mark exec and exit
   2  armed             tell 1: armed
   3  open proc         openat2(result of op 1, "a, (b", {O_PATH|O_CLOEXEC, 0, RESOLVE_IN_ROOT})  or ENOENT, ENOTDIR: skip 1
   4  mask /proc/acpi   move_mount(result of op 3, "")  when 0: skip 1
   5  limits complete   wait 1: limits complete
  10  confirm           wait until the launcher has seen tell 1
`

func TestParsePlan(t *testing.T) {
	p, err := parsePlan(printed)
	if err != nil {
		t.Fatal(err)
	}
	want := []op{
		{number: 1, name: "inherit", call: "fcntl", args: []string{"0", "F_SETFD", "0"}},
		{name: "enter stub", call: `execveat(stub, "", …, AT_EMPTY_PATH): the rest runs in the stub`},
		{name: "watch", call: "gettid, set_robust_list: mark exec and exit"},
		{number: 2, name: "armed", call: "tell 1: armed"},
		{
			number: 3, name: "open proc", call: "openat2", args: []string{"result of op 1", `"a, (b"`, "{O_PATH|O_CLOEXEC, 0, RESOLVE_IN_ROOT}"},
			accept: []string{"ENOENT", "ENOTDIR"}, skip: 1,
		},
		{number: 4, name: "mask /proc/acpi", call: "move_mount", args: []string{"result of op 3", `""`}, zero: 1},
		{number: 5, name: "limits complete", call: "wait 1: limits complete"},
		{number: 10, name: "confirm", call: "wait until the launcher has seen tell 1"},
	}
	if p.flags != "CLONE_VM|CLONE_NEWNS" || !reflect.DeepEqual(p.ops, want) {
		t.Errorf("flags %q, ops\n%+v, not\n%+v", p.flags, p.ops, want)
	}
	steps, err := p.groupSteps()
	wantSteps := []groupStep{
		{mkdir: "/sys/fs/cgroup/pids/x"},
		{file: "/sys/fs/cgroup/pids/x/pids.some", value: `a "b"`},
		{enter: "/sys/fs/cgroup/pids/x/tasks"},
		{file: "/sys/fs/cgroup/pids/x/pids.max", value: "7", late: true},
	}
	if err != nil || !reflect.DeepEqual(steps, wantSteps) {
		t.Errorf("%+v, %v, not %+v", steps, err, wantSteps)
	}
}

// What is not understood is an error: left out, it would make C too fast.
func TestNotUnderstood(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{"fcntl(0, F_SETFD, 0)", "fcntl 0", "is not a call"},
		{"fcntl(0, F_SETFD, 0)", "fcntl({0, F_SETFD, 0)", "do not close"},
		{"   1  inherit ", "what inherit ", "neither a launcher's step nor an op"},
		{"clone3({", "clone9({", "neither"},
		{"wait 1: limits complete", "wait 1: network connected", "a meeting with the launcher"},
		{"mkdir /sys", "attach a BPF program to /sys", "cannot do that"},
		{"skip 1\n   5", "skip 9\n   5", "past the end"},
		{"{O_PATH|O_CLOEXEC, 0, RESOLVE_IN_ROOT}", "{O_PATH}", "1 fields, not 3"},
		{"fcntl(0, F_SETFD, 0)", "capset({V, 0}, {effective: bogus, permitted: none, inheritable: none})", "bogus"},
	} {
		text := strings.Replace(printed, test.old, test.new, 1)
		if text == printed {
			t.Fatalf("%q is not in the plan", test.old)
		}
		p, err := parsePlan(text)
		if err == nil {
			_, err = p.translate(nil)
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q for %q: error %v, want %q", test.new, test.old, err, test.want)
		}
	}
}

func TestTranslate(t *testing.T) {
	p, err := parsePlan(printed)
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.translate([]string{`A="?`})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"#define CLONE_FLAGS (CLONE_VM|CLONE_NEWNS)", "#define TELLS 1\n#define LIMITS 1\n",
		`"A=\042\077"`,
		"v = r[1] = call(SYS_fcntl, (long)(0), (long)(F_SETFD), (long)(0), (long)(0), (long)(0), (long)(0));",
		"static struct open_how o2 = {O_PATH|O_CLOEXEC, 0, RESOLVE_IN_ROOT};",
		`call(SYS_openat2, (long)(r[1]), (long)("a, (b"), (long)(&o2), (long)(sizeof o2), (long)(0), (long)(0));`,
		"if (v == -ENOTDIR)\n\t\tgoto op6;", "if (v == 0)\n\t\tgoto op7;",
		"raise_to(&tell, 1);", "wait_for(&opened, 1);", "wait_for(&bond, 1);",
		`home[0] = call(SYS_openat, AT_FDCWD, (long)"/sys/fs/cgroup/pids/tasks"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// What isorun has ready, the C program makes itself.
func TestSpare(t *testing.T) {
	plan := "launcher: unshare(CLONE_NEWNET|CLONE_NEWUTS), lo up, in a process beside the start of Go\n" +
		strings.Replace(printed, "   1  inherit ", "   1  join net          setns(3, CLONE_NEWNET)\n   1  join uts          setns(4, CLONE_NEWUTS)\n   1  inherit ", 1)
	p, err := parsePlan(plan)
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.translate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"#define CLONE_FLAGS (CLONE_VM|CLONE_NEWNS|CLONE_NEWNET|CLONE_NEWUTS)", "static long r[14];",
		"v = r[11] = call(SYS_socket, (long)(AF_INET), (long)(SOCK_DGRAM|SOCK_CLOEXEC), (long)(0), (long)(0), (long)(0), (long)(0));",
		"v = r[12] = call(SYS_ioctl, (long)(r[11]), (long)(SIOCSIFFLAGS),", "v = r[13] = call(SYS_close, (long)(r[11]),",
		"if (v == 0)\n\t\tgoto op12;",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "SYS_setns") {
		t.Errorf("the child joins what there is not:\n%s", text)
	}
}

func TestCapabilitySet(t *testing.T) {
	for text, want := range map[string]uint64{"none": 0, "kill": 1 << 5, "chown,syslog": 1 | 1<<34, "all": 1<<41 - 1, "all but chown": 1<<41 - 2} {
		if got, err := capabilitySet(text); uint64(got) != want || err != nil {
			t.Errorf("%q is %#x, %v, not %#x", text, got, err, want)
		}
	}
}
