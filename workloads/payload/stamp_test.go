package payload

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"isoperf/runtime/program"
)

func TestParseStamp(t *testing.T) {
	for name, row := range map[string]struct {
		text string
		want int64 // 0: an error
	}{
		"alone":             {"00000b47c9d8d319\n", 0xb47c9d8d319},
		"a terminal":        {"00000b47c9d8d319\r\n", 0xb47c9d8d319},
		"a serial console":  {"\x1bcBooting from ROM..\r\n[    0.1] x\r\n00000b47c9d8d319\r\n[    1.0] reboot: Restarting system\r\n", 0xb47c9d8d319},
		"no newline":        {"00000b47c9d8d319", 0xb47c9d8d319},
		"the first of two":  {"0000000000000001\n0000000000000002\n", 1},
		"behind zero":       {"0000000000000000\n0000000000000002\n", 2},
		"nothing":           {"", 0},
		"text":              {"exec /payload: no such file or directory\n", 0},
		"too short":         {"0000b47c9d8d319\n", 0},
		"too long":          {"000000b47c9d8d319\n", 0},
		"upper case":        {"00000B47C9D8D319\n", 0},
		"a sign":            {"+0000b47c9d8d319\n", 0},
		"a register":        {"CR2: 00000b47c9d8d319\n", 0},
		"an address":        {"0x00000b47c9d8d319\n", 0},
		"zero":              {"0000000000000000\n", 0},
		"beyond 292 years":  {"8000000000000000\n", 0},
		"an unseen control": {"00000b47c9d8d319\x00\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseStamp([]byte(row.text))
			if got != row.want || (err == nil) != (row.want != 0) {
				t.Errorf("got %d, %v; want %d", got, err, row.want)
			}
		})
	}
}

func TestParseStampSaysWhatWasThere(t *testing.T) {
	_, err := ParseStamp([]byte(strings.Repeat("x", 10000) + "the reason\n"))
	if err == nil || !strings.Contains(err.Error(), "the reason") || len(err.Error()) > 500 {
		t.Errorf("got %.600v", err)
	}
}

func FuzzParseStamp(f *testing.F) {
	f.Add([]byte("x\r\n00000b47c9d8d319\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ns, err := ParseStamp(b)
		if (ns > 0) != (err == nil) {
			t.Fatalf("got %d, %v", ns, err)
		}
		if err == nil && !bytes.Contains(b, fmt.Appendf(nil, "%016x", ns)) {
			t.Fatalf("%d is not in %q", ns, b)
		}
	})
}

func TestStampLiesBetweenTwoReadings(t *testing.T) {
	path := file(t)
	for range 20 {
		before := program.Now()
		out, status := run(t, exec.Command(path))
		after := program.Now()
		ns, err := ParseStamp(out)
		if err != nil || status != 0 || len(out) != 17 {
			t.Fatalf("%q, status %d, %v", out, status, err)
		}
		if ns <= before || ns >= after {
			t.Fatalf("stamp %d is not within %d … %d", ns, before, after)
		}
	}
}

func TestExitStatus(t *testing.T) {
	path := file(t)
	for name, row := range map[string]struct {
		script string
		want   int
	}{
		"a stamp":           {`exec "$0"`, 0},
		"closed output":     {`exec "$0" >&-`, 1},
		"a full device":     {`exec "$0" >/dev/full`, 1},
		"look, closed":      {`exec "$0" look >&-`, 1},
		"look, full":        {`exec "$0" look >/dev/full`, 1},
		"reboot, closed":    {`exec "$0" reboot >&-`, 1},
		"another argument":  {`exec "$0" other`, 2},
		"an empty argument": {`exec "$0" ""`, 2},
		"weigh nothing":     {`exec "$0" weigh`, 2},
		"weigh, closed":     {`exec "$0" weigh /bin/true >&-`, 1},
		"weigh 0":           {`exec "$0" weigh /bin/true`, 0},
		"weigh 7":           {`exec "$0" weigh /bin/sh -c 'exit 7'`, 7},
		"weigh a signal":    {`exec "$0" weigh /bin/sh -c 'kill -9 $$'`, 137},
		"weigh no file":     {`exec "$0" weigh /none`, 127},
		"no descriptor 2":   {`exec "$0" weigh /bin/true 2>&-`, 127},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := os.Stat("/dev/full")
			require(t, err == nil || !strings.Contains(row.script, "full"), "there is no /dev/full")
			// The user namespace keeps the restart from anything else.
			cmd := exec.Command("/bin/sh", "-c", row.script, path)
			if strings.Contains(row.script, "reboot") {
				requireNamespaces(t)
				namespaces(cmd, syscall.CLONE_NEWPID)
			}
			if _, status := run(t, cmd); status != row.want {
				t.Errorf("status %d; want %d", status, row.want)
			}
		})
	}
}

// A restart within a pid namespace ends its first process with SIGHUP, which
// is how the payload's request shows (reboot(2)).
func TestReboot(t *testing.T) {
	requireNamespaces(t)
	path := file(t)
	before := program.Now()
	out, status := run(t, namespaces(exec.Command(path, "reboot"), syscall.CLONE_NEWPID))
	ns, err := ParseStamp(out)
	if err != nil || ns <= before || ns >= program.Now() {
		t.Errorf("stamp %d, %v", ns, err)
	}
	if status != 128+int(syscall.SIGHUP) {
		t.Errorf("status %d; want that of SIGHUP", status)
	}
	// Without the privilege, the call returns.
	cmd := namespaces(exec.Command(path, "reboot"), syscall.CLONE_NEWPID)
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 1, HostID: os.Geteuid(), Size: 1}}
	if out, status := run(t, cmd); status != 1 || len(out) != 18 {
		t.Errorf("without privilege: %q, status %d; want a stamp and 1", out, status)
	}
}
