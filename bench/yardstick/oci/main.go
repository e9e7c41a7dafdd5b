// Command oci answers one question: how long do create, start and delete take,
// each a process of its own, beside crun and runc; and what does a container
// hold that waits for its start?
//
//	round: isorun, crun, runc in turn ─► create ─► start ─► its end ─► delete ─► medians, ratio by round
//
// All run the same bundle, with their roots side by side in one directory. The
// time is that of the commands: the container's own, between start and delete, is
// not in it. crun refuses a hybrid cgroup tree, so all of it runs in a private
// mount namespace that has lost version 2's.
//
// Exit status 0: all bars are met; 1: one is missed; 2: something could not be
// measured. It takes root, and the runtimes (scripts/peers).
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// The bars.
const (
	crunBar    = 0.5 // the whole, ours by crun's
	privateBar = 200 // KiB that a waiting container holds of its own
)

// contender is a runtime.
type contender struct {
	name, path string
	global     []string
	times      [4][]float64 // create, start, delete, whole; microseconds
	private    int          // KiB
	exe        string
}

func main() {
	isorun := flag.String("isorun", "bin/isorun", "the isorun to measure")
	where := flag.String("root", "/run", "directory in which the state directories are made")
	limit := flag.Duration("time", 20*time.Second, "how long to measure")
	flag.Parse()
	missed, err := measure(*isorun, *where, *limit)
	if err != nil {
		fmt.Fprintf(os.Stderr, "oci: %v\n", err)
		os.Exit(2)
	}
	os.Exit(missed)
}

func measure(isorun, where string, limit time.Duration) (missed int, err error) {
	runtime.LockOSThread() // the namespace is this thread's, and so its children's
	if err := alone(); err != nil {
		return 0, err
	}
	isorun, err = filepath.Abs(isorun)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp(where, "isoperf-oci-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := bundle(dir + "/bundle"); err != nil {
		return 0, err
	}
	var all []*contender
	for _, name := range []string{"isorun", "crun", "runc"} {
		c := &contender{name: name, path: isorun, global: []string{"--root", dir + "/" + name}}
		if name != "isorun" {
			if c.path, err = exec.LookPath(name); err != nil {
				return 0, fmt.Errorf("%w; run scripts/peers", err)
			}
		}
		all = append(all, c)
	}
	end := time.Now().Add(limit)
	for round := -2; time.Now().Before(end); round++ {
		for i := range all {
			c := all[(i+round+len(all))%len(all)]
			if err := c.life(dir, round < 0); err != nil {
				return 0, fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return report(all), nil
}

// alone gives this thread its own mounts, without a version 2 tree beside version
// 1's, and makes it the parent of orphans.
func alone() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare mounts: %w; run as root", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, name := range []string{"/sys/fs/cgroup/unified"} {
		if err := unix.Unmount(name, 0); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			return fmt.Errorf("unmount %s: %w", name, err)
		}
	}
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// bundle is what "runc spec" writes, with a command that ends at once.
func bundle(dir string) error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("%w; run scripts/setup", err)
	}
	text, err := os.ReadFile(busybox)
	if err == nil {
		err = errors.Join(os.MkdirAll(dir+"/rootfs/proc", 0o755), os.Mkdir(dir+"/rootfs/dev", 0o755), os.Mkdir(dir+"/rootfs/sys", 0o755),
			os.WriteFile(dir+"/rootfs/busybox", text, 0o755))
	}
	if err != nil {
		return err
	}
	if out, err := exec.Command("runc", "spec", "-b", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("runc spec: %w: %s", err, out)
	}
	var config map[string]any
	if text, err = os.ReadFile(dir + "/config.json"); err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err != nil {
		return err
	}
	process := config["process"].(map[string]any)
	process["terminal"], process["args"] = false, []string{"/busybox", "true"}
	delete(process["capabilities"].(map[string]any), "ambient") // isorun warns of it: it is not inheritable
	if text, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(dir+"/config.json", text, 0o644)
}

// run runs one command of a runtime, and says how long it took.
func (c *contender) run(args ...string) (float64, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	argv := append(append([]string{c.path}, c.global...), args...)
	begin := time.Now()
	p, err := os.StartProcess(c.path, argv, &os.ProcAttr{Env: os.Environ(), Files: []*os.File{null, null, os.Stderr}})
	if err != nil {
		return 0, err
	}
	state, err := p.Wait()
	took := float64(time.Since(begin).Nanoseconds()) / 1e3
	if err == nil && !state.Success() {
		err = fmt.Errorf("%s: %s", strings.Join(args, " "), state)
	}
	return took, err
}

// life is one container's; a rehearsal is looked at, and not counted.
func (c *contender) life(dir string, rehearsal bool) error {
	const id = "yardstick"
	pidFile := dir + "/pid"
	create, err := c.run("create", "--bundle", dir+"/bundle", "--pid-file", pidFile, id)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if rehearsal {
		if err := c.look(pid); err != nil {
			return err
		}
	}
	start, err := c.run("start", id)
	if err != nil {
		return err
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil {
		return fmt.Errorf("wait for the container: %w", err)
	}
	if status.ExitStatus() != 0 {
		return fmt.Errorf("the container ended with status %d", status.ExitStatus())
	}
	end, err := c.run("delete", id)
	if err != nil {
		return err
	}
	if !rehearsal {
		for i, t := range []float64{create, start, end, create + start + end} {
			c.times[i] = append(c.times[i], t)
		}
	}
	return nil
}

// look reads what a waiting container holds.
func (c *contender) look(pid int) (err error) {
	if c.exe, err = os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil {
		return err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return err
	}
	c.private = 0
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Private_") {
			n, _ := strconv.Atoi(f[1]) // the kernel wrote it
			c.private += n
		}
	}
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// report prints the figures, and returns 1 when a bar is missed.
func report(all []*contender) (missed int) {
	fmt.Printf("Medians of %d rounds, in microseconds; each command is a process of its own.\n\n", len(all[0].times[0]))
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\tcreate\tstart\tdelete\twhole\tprivate KiB while it waits\t/proc/PID/exe then")
	for _, c := range all {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%d\t%s\n", c.name, median(c.times[0]), median(c.times[1]), median(c.times[2]), median(c.times[3]), c.private, c.exe)
	}
	_ = w.Flush() // to standard output
	fmt.Println()
	bar := func(what string, got, most float64) {
		verdict := "met"
		if !(got <= most) {
			verdict, missed = "MISSED", 1
		}
		fmt.Printf("%s: %.2f, at most %.2f: %s\n", what, got, most, verdict)
	}
	for _, other := range all[1:] {
		ratios := make([]float64, len(other.times[3]))
		for i := range ratios {
			ratios[i] = all[0].times[3][i] / other.times[3][i]
		}
		if other.name == "crun" {
			bar("isorun by crun, the whole", median(ratios), crunBar)
		} else {
			fmt.Printf("isorun by %s, the whole: %.2f\n", other.name, median(ratios))
		}
	}
	bar("KiB that a waiting container holds", float64(all[0].private), privateBar)
	return missed
}
