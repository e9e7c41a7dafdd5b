package load

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The children of a storm come and go; each forker works.
func TestForkStorm(t *testing.T) {
	b, _ := started(t, Spec{Kind: "forks", Threads: 8})
	if b.Slots[0].Count.Load() != 0 {
		t.Error("it has begun before it was told to")
	}
	b.Go()
	until(t, "each forker forks", func() bool {
		for i := 1; i <= 8; i++ {
			if b.Slots[i].Count.Load() < 3 {
				return false
			}
		}
		return true
	})
	b.Stop()
	until(t, "the children end", func() bool { return b.Phase.Load() == 0 })
	for i := 1; i <= 8; i++ {
		if e := b.Slots[i].Errno.Load(); e != 0 {
			t.Errorf("forker %d: %v", i, unix.Errno(e))
		}
	}
}

// living are the processes that have the load's board open: the load, its
// forkers, and their children.
func living(t *testing.T, pid int) (pids []int) {
	t.Helper()
	board, err := os.Stat(fmt.Sprintf("/proc/%d/fd/3", pid))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if at, err := os.Stat("/proc/" + e.Name() + "/fd/3"); err == nil && os.SameFile(at, board) {
			var n int
			fmt.Sscan(e.Name(), &n)
			pids = append(pids, n)
		}
	}
	return pids
}

// Children that are held stay, more are made when more are wanted, and nothing
// is left when the load is killed.
func TestForksHeldAndKilled(t *testing.T) {
	b, f, err := NewBoard()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	defer f.Close()
	cmd := command(Spec{Kind: "forks", Threads: 2, Count: 5, Extra: "hold"}, f)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()         //nolint:errcheck // it was killed
	defer cmd.Process.Kill() //nolint:errcheck // again
	until(t, "it is ready", func() bool { return b.Ready.Load() == 2 })
	b.Go()
	until(t, "5 children each", func() bool { return b.Phase.Load() == 10 })
	b.Slots[0].At.Store(7)
	until(t, "7 children each", func() bool { return b.Phase.Load() == 14 && b.Slots[0].Count.Load() == 14 })
	all := living(t, cmd.Process.Pid)
	if len(all) != 17 {
		t.Errorf("%d processes have the board, want 1 and 2 and 14", len(all))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range all {
		if pid == cmd.Process.Pid {
			continue
		}
		until(t, fmt.Sprintf("process %d is gone", pid), func() bool {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(text), ") Z ")
		})
	}
}
