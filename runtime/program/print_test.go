package program

import (
	"flag"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
)

var update = flag.Bool("update", false, "write the golden files")

// container is a program like that of a real container.
func container() *Program {
	p := New(Stub, namespace.Flags("user", "time"))
	p.Stdio(5, 6, 6)
	p.Keep(9)
	p.DieWithParent()
	p.Wait("attached to its cgroups")
	p.Add(Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	p.Add(Mount("/srv/rootfs", "/srv/rootfs", "", unix.MS_BIND|unix.MS_REC, ""))
	p.Add(Mount("proc", "/srv/rootfs/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
	p.Add(Mount("tmpfs", "/srv/rootfs/dev", "tmpfs", unix.MS_NOSUID|unix.MS_STRICTATIME, "mode=755,size=65536k"))
	mkdir := Mkdir("/srv/rootfs/dev/pts", 0o755)
	mkdir.Accept = append(mkdir.Accept, unix.EEXIST)
	p.Add(mkdir)
	mask := Open("/srv/rootfs/proc/kcore", unix.O_PATH)
	mask.Accept, mask.Skip = append(mask.Accept, unix.ENOENT), 1
	fd := p.Add(mask)
	p.Add(Close(Result(fd)))
	p.Add(Sethostname("box"))
	p.Add(Chdir("/srv/rootfs"))
	p.Add(PivotRoot(".", "."))
	p.Add(Umount(".", unix.MNT_DETACH))
	p.Add(Op{Name: "setresuid", Call: unix.SYS_SETRESUID, Args: [6]Arg{Int(1000), Int(1000), Int(-1)}, Text: "setresuid(1000, 1000, -1)"})
	p.Rearm()
	p.Tell("created")
	p.Wait("start")
	p.Confirm()
	p.Add(Execve("/bin/sh", []string{"sh", "-c", "echo hi"}, []string{"PATH=/bin"}))
	return p
}

// TestPrint compares with testdata/container.txt; -update writes it.
func TestPrint(t *testing.T) {
	var b strings.Builder
	if err := container().Print(&b); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/container.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the program prints\n%s\nwant\n%s", b.String(), want)
	}
}

// TestPrintIsComplete: what is printed are the ops of the arena, in order.
func TestPrintIsComplete(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := container()
		p.Mode, p.Flags = mode, 0
		var b strings.Builder
		if err := p.Print(&b); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")[1:]
		img := load(t, p)
		if len(lines) != img.ops.len() {
			t.Fatalf("%d lines, %d ops", len(lines), img.ops.len())
		}
		for i, op := range img.ops.all() {
			if !strings.HasSuffix(lines[i], op.String()) {
				t.Errorf("line %d is %q, the op %q", i+1, lines[i], op)
			}
		}
	})
}

func TestArgumentsPrint(t *testing.T) {
	for want, arg := range map[string]Arg{
		"-1": Int(-1), "65535": Int(65535), "0x10000": Int(65536), `"a b"`: String("a b"), "[3 bytes]": Bytes([]byte("abc")),
		"buffer[9]": Buffer(9), `["a", "b"]`: Strings([]string{"a", "b"}), "{1, {}}": Words(Int(1), Words()),
		"result of op 3": Result(2), "header+8": inHeader(8),
	} {
		if got := arg.String(); got != want {
			t.Errorf("an argument prints %s, want %s", got, want)
		}
	}
	op := Op{Call: 999, Args: [6]Arg{Int(1), {}, Int(2)}, Accept: append(Op{}.Accept, unix.EEXIST, unix.ENOENT), Skip: -2}
	if got, want := op.String(), "syscall_999(1, 0, 2)  or EEXIST, ENOENT: back 2"; got != want {
		t.Errorf("an op prints %s, want %s", got, want)
	}
}
