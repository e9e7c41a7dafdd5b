package main

import (
	"fmt"
	"io"
	"time"

	"isoperf/bench/environment"
	enforce "isoperf/bench/limits"
	"isoperf/bench/sample"
	"isoperf/reports/limits"
	"isoperf/reports/table"
)

// watch reads a group that is there already. Nothing is made in it, and nothing
// is written to it.
func (v *verification) watch() error {
	found, err := enforce.Find(v.ctx, v.flags.target)
	if err != nil {
		return cannot(err)
	}
	if err := v.open("watch", []string{"verify", found.Name}); err != nil {
		return err
	}
	defer v.discard()
	fmt.Fprintf(v.stderr, "%s: %s on the way up, watched for %v; samples go to %s\n", found.Name, table.Plural(len(found.Levels), "CPU limit", "CPU limits"), v.flags.length, v.writer.Path())
	before, timesErr := environment.ReadCPUTimes("/")
	length := v.flags.length
	if len(found.Levels) == 0 {
		length = 0 // there is nothing to wait for
	}
	bar := v.startProgress(length)
	bar.measures(found.Name)
	seen := enforce.New(v.config(nil)).Watch(found, length, v.writer.Sample)
	bar.stop()
	why := "done"
	switch {
	case enforce.Interrupted(seen):
		why = "interrupted"
	case enforce.Vanished(seen):
		why = vanished
	case seen != nil:
		return cannot(seen)
	}
	if found.Hidden != "" {
		err = v.writer.NotMeasured("Watch/limit=cpu.max/rank=hidden", found.Hidden)
	}
	if len(found.Levels) == 0 && found.Hidden == "" && err == nil {
		none := "no group on the way up to the root has a CPU limit"
		if !found.Able {
			none = "the CPU controller is not enabled for the group, nor for any above it (cgroup.subtree_control), so there can be no limit"
		}
		err = v.writer.NotMeasured("Watch/limit=cpu.max/rank=none", none)
	}
	if eerr := v.end(why, before, timesErr); err == nil {
		err = eerr
	}
	if err != nil {
		return cannot(err)
	}
	ended := v.conclude(why, func(w io.Writer, f *sample.File, list []limits.Judgement) error {
		return limits.WriteWatch(w, f, list, limits.Printing{Width: width(w), Verbose: v.flags.verbose, Next: v.after(length)})
	})
	if enforce.Vanished(seen) {
		return cannot(seen)
	}
	return ended
}

// after says what to do next.
func (v *verification) after(length time.Duration) string {
	if length == 0 {
		return "isoperf verify, for limits made here"
	}
	return fmt.Sprintf("--for %v | --json FILE | isoperf verify, for limits made here", min(time.Hour, 4*length))
}
