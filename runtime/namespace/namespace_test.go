package namespace

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKernelKnows: the table is that of the running kernel.
func TestKernelKnows(t *testing.T) {
	var known []string
	entries, err := os.ReadDir("/proc/self/ns")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), "_for_children") {
			known = append(known, entry.Name())
		}
	}
	for _, n := range All() {
		if !slices.Contains(known, n.Name) {
			t.Logf("this kernel has no %s namespaces", n.Name)
			continue
		}
		known = slices.DeleteFunc(known, func(name string) bool { return name == n.Name })
		if _, err := os.Stat(n.Path(os.Getpid())); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat("/proc/sys/user/" + n.Limit); err != nil {
			t.Error(err)
		}
	}
	if len(known) > 0 {
		t.Errorf("the kernel has namespaces %v beside the table's", known)
	}
}

func TestByName(t *testing.T) {
	for _, n := range All() {
		if got, ok := ByName(n.Name); !ok || got != n {
			t.Errorf("%s is %+v, %v", n.Name, got, ok)
		}
	}
	if _, ok := ByName("mount"); ok {
		t.Error("there is a namespace called mount")
	}
}

func TestFlags(t *testing.T) {
	all := Flags()
	for _, n := range All() {
		if all&n.Flag == 0 || Flags(n.Name)&n.Flag != 0 || Flags(n.Name)|n.Flag != all {
			t.Errorf("the flags of all, and of all but %s, are %#x and %#x", n.Name, all, Flags(n.Name))
		}
	}
	if got, want := Flags("user", "time"), all&^(unix.CLONE_NEWUSER|unix.CLONE_NEWTIME); got != want {
		t.Errorf("the flags of all but two are %#x, want %#x", got, want)
	}
}

func TestParseList(t *testing.T) {
	for list, want := range map[string]uint64{
		"none": 0, "all": Flags(), "net": unix.CLONE_NEWNET, "net, mnt": unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		"all,-user": Flags("user"), "net,-net": 0, "-net": 0, "all,-all,pid": unix.CLONE_NEWPID, "net,none": unix.CLONE_NEWNET,
	} {
		if got, err := ParseList(list); err != nil || got != want {
			t.Errorf("%q is %#x, %v; want %#x", list, got, err, want)
		}
	}
	for _, list := range []string{"", "mount", "net,", "all,-mount", "--net", "NET"} {
		if got, err := ParseList(list); err == nil || !strings.Contains(err.Error(), "is not a namespace") {
			t.Errorf("%q is %#x, %v", list, got, err)
		}
	}
}

func TestFlagString(t *testing.T) {
	for flags, want := range map[uint64]string{
		0: "0", unix.CLONE_NEWNS: "CLONE_NEWNS", unix.CLONE_NEWCGROUP | unix.CLONE_NEWUSER: "CLONE_NEWUSER|CLONE_NEWCGROUP",
		unix.CLONE_VM | unix.CLONE_PIDFD | unix.CLONE_INTO_CGROUP | 1: "CLONE_VM|CLONE_PIDFD|CLONE_INTO_CGROUP|0x1", 1: "0x1",
	} {
		if got := FlagString(flags); got != want {
			t.Errorf("%#x prints %s, want %s", flags, got, want)
		}
	}
}
