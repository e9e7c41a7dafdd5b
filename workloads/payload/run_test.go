package payload

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const mib = 1 << 20

func TestWeigh(t *testing.T) {
	env := append(os.Environ(), helperEnv+"=memory")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	touch(256)
	got, err := Weigh(t.Context(), []string{self, "64"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if got < 64*mib || got > 96*mib {
		t.Errorf("a program that touches 64 MiB weighs %d MiB", got/mib)
	}
	if got, err = Weigh(t.Context(), []string{"true"}, nil); err != nil || got < mib/16 || got > 16*mib {
		t.Errorf("true(1) weighs %d KiB beside a launcher of more than 256 MiB, %v", got>>10, err)
	}
	// Why there is a payload in between:
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	t.Logf("under os/exec it weighs %d KiB", cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
}

// The largest of the command and what it waited for counts.
func TestWeighDescendants(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), helperEnv+"=memory", "SELF="+self)
	got, err := Weigh(t.Context(), []string{"sh", "-c", `"$SELF" 64; :`}, env)
	if err != nil || got < 64*mib || got > 96*mib {
		t.Errorf("a shell whose child touches 64 MiB weighs %d MiB, %v", got/mib, err)
	}
}

func TestWeighErrors(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/none\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		argv []string
		want string
	}{
		"no command":     {nil, "there is none"},
		"not here":       {[]string{"no-such-command"}, "no-such-command"},
		"not executable": {[]string{script}, "exit status 127"},
		"it fails":       {[]string{"sh", "-c", "echo the reason; exit 3"}, `exit status 3; it said "the reason"`},
		"it says much":   {[]string{"sh", "-c", "head -c 1000000 /dev/zero; exit 3"}, "exit status 3"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Weigh(t.Context(), row.argv, nil)
			if err == nil || got != 0 || !strings.Contains(err.Error(), row.want) || len(err.Error()) > 2000 {
				t.Errorf("got %d, %v; want an error with %q", got, err, row.want)
			}
		})
	}
}

// endless is the arguments of a shell that has the fifo open until it and its
// child are gone.
func endless(fifo string) []string {
	return []string{"sh", "-c", `exec >"$0"; sleep 600 & wait`, fifo}
}

func makeFifo(t *testing.T) string {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	return fifo
}

// opened waits until a command has the fifo open; the channel is closed when
// none has any more.
func opened(t *testing.T, fifo string) (gone chan struct{}) {
	t.Helper()
	r, err := os.OpenFile(fifo, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	gone = make(chan struct{})
	go func() {
		r.Read(make([]byte, 1))
		r.Close()
		close(gone)
	}()
	return gone
}

func mustEnd(t *testing.T, gone chan struct{}) {
	t.Helper()
	select {
	case <-gone:
	case <-time.After(time.Minute):
		t.Error("the command still runs")
	}
}

func TestWeighEndsWithItsContext(t *testing.T) {
	fifo := makeFifo(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := Weigh(ctx, endless(fifo), nil)
		done <- err
	}()
	gone := opened(t, fifo)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want the context's error", err)
	}
	mustEnd(t, gone)
}

func TestCommandDiesWithThePayload(t *testing.T) {
	fifo := makeFifo(t)
	cmd := exec.Command(file(t), "weigh", "/bin/sh", "-c", `exec sleep 600 >"$0"`, fifo)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := opened(t, fifo)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	mustEnd(t, gone)
}

// What a command leaves running does not hold Weigh up.
func TestWeighLeavesTheBackground(t *testing.T) {
	stop := makeFifo(t)
	w, err := os.OpenFile(stop, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close() // ends the cat
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := Weigh(ctx, []string{"sh", "-c", `cat "$0" &`, stop}, nil); err != nil {
		t.Error(err)
	}
}
