package limits

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
)

const stormEnv = "ISOPERF_TEST_STORM"

// TestStormHelper is not a test: it is the program that TestStormDies kills.
func TestStormHelper(t *testing.T) {
	if os.Getenv(stormEnv) == "" {
		return
	}
	var got taken
	got.take(t, collect(&got).pidsCases(harness.Extent{}, []PidsCell{{100, "storm"}}, func(s *pidsSample) ([]sample.Value, error) {
		s.worker.board.Go()
		for s.worker.board.Phase.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		fmt.Println("\nstorm", s.place.dir)
		select {}
	})[0])
}

// A storm ends when who started it is killed, and the group can be removed.
func TestStormDies(t *testing.T) {
	g, err := newGround(t.Context())
	skipNotMeasured(t, err)
	_, err = g.group("look", pidsLimit(100))
	if e := g.close(); e != nil {
		t.Fatal(e)
	}
	skipNotMeasured(t, err)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestStormHelper$")
	cmd.Env, cmd.Stderr = append(os.Environ(), stormEnv+"=1"), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dir, lines := "", bufio.NewScanner(out)
	for dir == "" && lines.Scan() {
		dir, _ = strings.CutPrefix(lines.Text(), "storm ")
		if !strings.HasPrefix(lines.Text(), "storm ") {
			dir = ""
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if dir == "" {
		t.Fatal("there was no storm")
	}
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		left, err := numbers(dir + "/cgroup.procs")
		if err != nil || len(left) == 0 {
			break // systemd removes a group that is empty
		}
		if time.Since(begin) > patience {
			t.Fatalf("%d processes are left: %v", len(left), left)
		}
	}
	host, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cgroup.Sweep(host, ""); err != nil {
		t.Error(err)
	}
	// A group in a scope goes with the scope, which systemd removes when it hears
	// that the last process is gone.
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(dir); err != nil {
			break
		}
		if !strings.Contains(dir, ".scope/") || time.Since(begin) > patience {
			t.Fatalf("%q is left after a sweep", dir)
		}
	}
}
