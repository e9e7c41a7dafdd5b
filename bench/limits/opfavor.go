package limits

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// A lone write to cgroup.procs waits for RCU, unless the hierarchy is mounted with
// favordynmods (Linux 6.0). The option is the hierarchy's, not a mount's: whoever
// remounts it, in a mount namespace or not, changes it for the whole machine. So
// it is changed only where that is allowed (Config.FavorDynMods), for the time of
// a few samples, and then set back:
//
//	remount with or without ─► look ─► rest ─► attach, alone ─► remount as before ─► look
//
// Since Linux 6.18 it cannot be taken back (commit 0568f89d4fb8), so there it is
// left alone. A process that is killed meanwhile leaves the option as it set it;
// mount -o remount takes it back.

// favorActs are a lone attach with the option, and without.
func (b *Bench) favorActs() []opAct {
	var list []opAct
	for _, on := range []bool{false, true} {
		name := "op=attach-nofavordynmods"
		if on {
			name = "op=attach-favordynmods"
		}
		list = append(list, opAct{name: name + "/threads=1", hierarchies: []string{version2}, moved: 1, paced: true,
			open: func(o *opStage, paced bool) (harness.Sampler, error) { return b.openFavor(o, on, paced) }})
	}
	return list
}

// openFavor is openMigrate with the option on or off.
func (b *Bench) openFavor(o *opStage, on, paced bool) (harness.Sampler, error) {
	before, err := b.favorable(o)
	if err != nil {
		return nil, o.failed(err)
	}
	inner, err := openMigrate(o, paced)
	if err != nil {
		return nil, err
	}
	return &favored{inner, before, on}, nil
}

// favorable says why the option cannot be changed here; it is given as it is.
func (b *Bench) favorable(*opStage) (unified, error) {
	m, err := readMachine()
	if err != nil {
		return unified{}, err
	}
	switch {
	case !b.FavorDynMods:
		return unified{}, harness.NotMeasured{Why: "favordynmods is an option of the whole hierarchy, so changing it concerns the whole machine; --allow favordynmods has it changed for some seconds, and set back"}
	case !atLeast(m.env.Kernel, "6.0"):
		return unified{}, harness.NotMeasured{Why: "favordynmods takes Linux 6.0"}
	case atLeast(m.env.Kernel, "6.18"):
		return unified{}, harness.NotMeasured{Why: "since Linux 6.18 favordynmods cannot be switched off again, so it is left as it is"}
	}
	u, err := readUnified()
	if err != nil {
		return u, err
	}
	// A remount from another than the first cgroup namespace is ignored silently.
	if err := u.set(u.favored()); err != nil {
		return u, harness.NotMeasured{Why: fmt.Sprintf("the hierarchy cannot be remounted: %v; run as root", err)}
	}
	return u, nil
}

// unified is how cgroup2 is mounted.
type unified struct {
	point   string
	options []string // of the hierarchy, as mountinfo has them
}

const favorOption = "favordynmods"

func (u unified) favored() bool { return slices.Contains(u.options, favorOption) }

// readUnified finds the mount.
func readUnified() (u unified, err error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return u, fmt.Errorf("find where cgroup2 is mounted: %w", err)
	}
	u, ok := unifiedOf(string(text))
	if !ok {
		return u, harness.NotMeasured{Why: "cgroup2 is not mounted here"}
	}
	return u, nil
}

// unifiedOf finds it in the text of mountinfo; see proc_pid_mountinfo(5).
func unifiedOf(mountinfo string) (u unified, ok bool) {
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(strings.TrimSpace(line), " - ")
		words, super := strings.Fields(before), strings.Fields(after)
		if len(words) < 5 || len(super) < 3 || super[0] != "cgroup2" || strings.Contains(words[4], `\`) {
			continue
		}
		return unified{words[4], strings.Split(super[2], ",")}, true
	}
	return u, false
}

// flags are the options to give at a remount: all that there are, since one that
// is left out is switched off.
func (u unified) flags(favor bool) ([]string, error) {
	var list []string
	for _, o := range u.options {
		switch o {
		case "rw", "ro", "seclabel", favorOption: // no options of the hierarchy, and the one that is changed
		case "nsdelegate", "memory_localevents", "memory_recursiveprot", "memory_hugetlb_accounting", "pids_localevents":
			list = append(list, o)
		default:
			return nil, fmt.Errorf("remount %q: option %q is unknown here, and would be lost", u.point, o)
		}
	}
	if favor {
		list = append(list, favorOption)
	}
	return list, nil
}

// set remounts the hierarchy, and sees that it has the options that it is to have.
func (u unified) set(favor bool) error {
	flags, err := u.flags(favor)
	if err != nil {
		return err
	}
	fs, err := unix.Fspick(unix.AT_FDCWD, u.point, unix.FSPICK_CLOEXEC)
	if err != nil {
		return fmt.Errorf("remount %q: %w", u.point, err)
	}
	defer unix.Close(fs)
	for _, f := range flags {
		if err := unix.FsconfigSetFlag(fs, f); err != nil {
			return fmt.Errorf("remount %q with %s: %w", u.point, f, err)
		}
	}
	if err := unix.FsconfigReconfigure(fs); err != nil {
		return fmt.Errorf("remount %q: %w", u.point, err)
	}
	now, err := readUnified()
	if err != nil {
		return err
	}
	got, err := now.flags(now.favored())
	if err != nil {
		return err
	}
	slices.Sort(got)
	slices.Sort(flags)
	if !slices.Equal(got, flags) {
		return fmt.Errorf("remount %q: it has the options %q, not %q; do it from the machine's first cgroup namespace", u.point, got, flags)
	}
	return nil
}

// favored samples with the option on or off; between its samples it is as before.
type favored struct {
	inner  harness.Sampler
	before unified
	on     bool
}

// favorRest is the pause behind a remount: it starts, or ends, a grace period of
// RCU, beyond which a write is a lone one again.
const favorRest = 60 * time.Millisecond

// Sample implements harness.Sampler.
func (f *favored) Sample(n int, emit func([]sample.Value, error)) {
	err := f.before.set(f.on)
	if err == nil {
		harness.Rest(favorRest)
		f.inner.Sample(n, emit)
	}
	if err = errors.Join(err, f.before.set(f.before.favored())); err != nil {
		emit(nil, err)
	}
}

// Close implements harness.Sampler.
func (f *favored) Close() error {
	return errors.Join(f.before.set(f.before.favored()), f.inner.Close())
}
