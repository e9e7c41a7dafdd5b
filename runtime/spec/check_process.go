package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (c *Container) checkProcess() error {
	p := c.Process
	switch {
	case p == nil:
		return fmt.Errorf("process: there is none")
	case len(p.Args) == 0 && !c.Strict:
		return fmt.Errorf("process.args: there is no command")
	case len(p.Args) > 0 && p.Args[0] == "" && !c.Strict:
		return fmt.Errorf("process.args[0]: the command is empty")
	case !path.IsAbs(p.Cwd):
		return fmt.Errorf("process.cwd: %q is not absolute", p.Cwd)
	}
	for i, e := range p.Env {
		if strings.IndexByte(e, '=') < 1 {
			return fmt.Errorf("process.env[%d]: %q is not NAME=VALUE", i, e)
		}
	}
	for _, l := range []struct {
		name  string
		words []string
	}{{"args", p.Args}, {"env", p.Env}} {
		for i, w := range l.words {
			if strings.IndexByte(w, 0) >= 0 {
				return fmt.Errorf("process.%s[%d]: it contains a NUL", l.name, i)
			}
		}
	}
	if m := p.User.Umask; m != nil && *m > 0o777 {
		return fmt.Errorf("process.user.umask: %d is 0%o, and more than 0777", *m, *m)
	}
	return nil
}

// checkLimits checks what the kernel would refuse without saying what it means.
func (c *Container) checkLimits() error {
	for i, l := range c.Process.Rlimits {
		if _, ok := resource(l.Type); !ok {
			return fmt.Errorf("process.rlimits[%d].type: %q is not a limit of this kernel", i, l.Type)
		}
		if l.Soft > l.Hard {
			return fmt.Errorf("process.rlimits[%d]: soft %d is more than hard %d", i, l.Soft, l.Hard)
		}
		if slices.ContainsFunc(c.Process.Rlimits[:i], func(e specs.POSIXRlimit) bool { return e.Type == l.Type }) {
			return fmt.Errorf("process.rlimits[%d].type: %q is there twice", i, l.Type)
		}
	}
	if adj := c.Process.OOMScoreAdj; adj != nil && (*adj < -1000 || *adj > 1000) {
		return fmt.Errorf("process.oomScoreAdj: %d is outside of -1000 to 1000", *adj)
	}
	return nil
}

// checkScheduler refuses what sched_setattr(2) would not look at, or would
// change in silence: it cuts nice values to their range, and takes each
// parameter with some policies only.
func (c *Container) checkScheduler() error {
	s := c.Process.Scheduler
	if s == nil {
		return nil
	}
	for i, f := range s.Flags {
		if f == specs.SchedFlagUtilClampMin || f == specs.SchedFlagUtilClampMax {
			return fmt.Errorf("process.scheduler.flags[%d]: %q needs a value that config.json has no field for; remove it", i, f)
		}
	}
	fair := s.Policy == specs.SchedOther || s.Policy == specs.SchedBatch
	realtime := s.Policy == specs.SchedFIFO || s.Policy == specs.SchedRR
	deadline := s.Policy == specs.SchedDeadline
	field := func(name, text string) string { return "process.scheduler." + name + ": " + text }
	only := func(policies string) string { return fmt.Sprintf("%s does not have it, only %s", s.Policy, policies) }
	return first([]refusal{
		{s.Nice < -20 || s.Nice > 19, field("nice", fmt.Sprintf("%d is outside of -20 to 19", s.Nice))},
		{s.Nice != 0 && !fair, field("nice", only("SCHED_OTHER and SCHED_BATCH"))},
		{realtime && (s.Priority < 1 || s.Priority > 99), field("priority", fmt.Sprintf("%d is outside of 1 to 99", s.Priority))},
		{s.Priority != 0 && !realtime, field("priority", only("SCHED_FIFO and SCHED_RR"))},
		{s.Runtime != 0 && !deadline, field("runtime", only("SCHED_DEADLINE"))},
		{s.Deadline != 0 && !deadline, field("deadline", only("SCHED_DEADLINE"))},
		{s.Period != 0 && !deadline, field("period", only("SCHED_DEADLINE"))},
	})
}

// noID is "no id", -1: with it setresuid(2) and chown(2) leave an id as it is.
const noID = ^uint32(0)

// checkIDs checks that the command's ids are some, and inside the maps of its
// user namespace.
func (c *Container) checkIDs() error {
	u := c.Process.User
	type id struct {
		field string
		n     uint32
		maps  string
		list  []specs.LinuxIDMapping
	}
	ids := []id{{"uid", u.UID, "uidMappings", c.Linux.UIDMappings}, {"gid", u.GID, "gidMappings", c.Linux.GIDMappings}}
	for i, g := range u.AdditionalGids {
		ids = append(ids, id{fmt.Sprintf("additionalGids[%d]", i), g, "gidMappings", c.Linux.GIDMappings})
	}
	for _, i := range ids {
		if i.n == noID {
			return fmt.Errorf("process.user.%s: %d is no id", i.field, i.n)
		}
		if c.Rootless() && !slices.ContainsFunc(i.list, func(m specs.LinuxIDMapping) bool { return i.n >= m.ContainerID && i.n-m.ContainerID < m.Size }) {
			return fmt.Errorf("process.user.%s: %d is not in the user namespace; add it to linux.%s", i.field, i.n, i.maps)
		}
	}
	return nil
}
