package limits

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/harness"
	"isoperf/runtime/cgroup"
	"isoperf/workloads/load"
)

// outsider starts `stress -c 1` in a group: a load that knows nothing of this
// program. It computes at once, in a process of its own, and ends by itself.
func (g *ground) outsider(in *cgroup.Group, longest time.Duration) (*worker, error) {
	path, err := exec.LookPath("stress")
	if err != nil {
		return nil, harness.NotMeasured{Why: "there is no program stress here; install the package of that name"}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the program stress: %w", err)
	}
	defer file.Close()
	seconds := strconv.Itoa(int(longest/time.Second) + 1)
	w := &worker{spec: load.Spec{Kind: "stress"}, group: in, ended: true}
	err = g.exec(w, in, file, []string{"stress", "-q", "-c", "1", "-t", seconds}, []string{"PATH=" + os.Getenv("PATH")})
	if err == nil {
		err = w.awaitHogs(in, 1)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start stress: %w", err), w.close())
	}
	g.workers = append(g.workers, w)
	return w, nil
}

// awaitHogs waits until the load has so many processes of its own.
func (w *worker) awaitHogs(in *cgroup.Group, n int) error {
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		all, err := in.Processes()
		if err != nil {
			return err
		}
		w.hogs = nil
		for _, pid := range all {
			if parentOf(pid) == w.proc.Pid() {
				w.hogs = append(w.hogs, pid)
			}
		}
		if len(w.hogs) == n {
			return nil
		}
		if w.gone() {
			return errors.New("it ended at once")
		}
		if time.Since(begin) > patience {
			return fmt.Errorf("it has %d processes that compute, not %d, after %v", len(w.hogs), n, patience)
		}
	}
}

// parentOf is the parent of a process; 0: it is gone. See proc_pid_stat(5).
func parentOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	words := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(words) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(words[1])
	return parent
}
