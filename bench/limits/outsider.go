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

// An outsider is a load that knows nothing of this program: stress, or stress-ng.
// It works at once, in processes of its own, and ends by itself. Of what it did
// nothing is believed but the counters of its group, and CPU clocks.

// outsider is a program of others, and what it is told.
type outsider struct {
	program string // which is the name of its package, too
	args    []string
	hogs    int // processes of its own that compute all the time, and whose CPU clocks count; 0: none do
}

func stress(longest time.Duration) outsider {
	return outsider{"stress", []string{"-q", "-c", "1", "-t", inSeconds(longest)}, 1}
}

// stressNG is n of a kind of stress-ng's: cpu, vm, fork.
func stressNG(kind string, n int, longest time.Duration, more ...string) outsider {
	o := outsider{"stress-ng", append([]string{"--quiet", "--temp-path", os.TempDir(), "--timeout", inSeconds(longest), "--" + kind, strconv.Itoa(n)}, more...), 0}
	if kind == "cpu" {
		o.hogs = n
	}
	return o
}

func inSeconds(t time.Duration) string { return strconv.Itoa(int(t/time.Second) + 1) }

// installed is where a program is.
func installed(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", harness.NotMeasured{Why: fmt.Sprintf("there is no program %s here; install the package of that name", name)}
	}
	return path, nil
}

// admit starts an outsider in a group.
func (g *ground) admit(in *cgroup.Group, o outsider) (*worker, error) {
	path, err := installed(o.program)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the program %s: %w", o.program, err)
	}
	defer file.Close()
	w := &worker{spec: load.Spec{Kind: o.program}, group: in, quiet: o.program == "stress-ng", ended: true}
	err = g.exec(w, in, file, append([]string{o.program}, o.args...), []string{"PATH=" + os.Getenv("PATH")})
	if err == nil && o.hogs > 0 {
		err = w.awaitHogs(in, o.hogs)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", o.program, err), w.close())
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
	parent, _ := strconv.Atoi(words[1]) // 0, nobody, when it is no number
	return parent
}
