package lifecycle

import (
	"errors"
	"fmt"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/spec"
	"isoperf/runtime/state"
)

// ErrNotPaused says that there is nothing to resume.
var ErrNotPaused = errors.New("container not paused")

// Pause has all processes of a container stand still.
func (r *Runtime) Pause(id string) error {
	return r.control("pause", id, func(c *Container, s Status, g *cgroup.Group) error {
		if s != Running && s != Created {
			return fmt.Errorf("%w: it is %s", ErrNotRunning, s)
		}
		return g.Freeze()
	})
}

// Resume lets them go on.
func (r *Runtime) Resume(id string) error {
	return r.control("resume", id, func(c *Container, s Status, g *cgroup.Group) error {
		// One that waits for its start may be frozen, too.
		if s == Stopped || s == Creating || !c.Group.Frozen() {
			return fmt.Errorf("%w: it is %s", ErrNotPaused, s)
		}
		return g.Thaw()
	})
}

// Update changes the limits of a container; what r does not mention stays, and
// so does what it gives as 0, as with runc.
func (r *Runtime) Update(id string, limits *specs.LinuxResources) error {
	limits = mentioned(limits)
	return r.control("update", id, func(c *Container, s Status, g *cgroup.Group) error {
		if s == Stopped || s == Creating {
			return fmt.Errorf("%w: it is %s", ErrNotRunning, s)
		}
		sc, err := c.Spec()
		if err != nil {
			return err
		}
		if err := g.Update(checked(limits, sc.Linux.Resources)); err != nil {
			return err
		}
		merged, err := spec.MergeResources(sc.Linux.Resources, limits)
		if err != nil {
			return err
		}
		return c.entry.Write(state.ResourcesFile, append(spec.ResourcesText(merged), '\n'))
	})
}

// checked has a new limit of memory compared with what is in use where the
// container was created so, unless r itself says how: memory.checkBeforeUpdate
// is about every later limit.
func checked(r, before *specs.LinuxResources) *specs.LinuxResources {
	if r.Memory == nil || r.Memory.CheckBeforeUpdate != nil || before == nil || before.Memory == nil {
		return r
	}
	n, m := *r, *r.Memory
	m.CheckBeforeUpdate = before.Memory.CheckBeforeUpdate
	n.Memory = &m
	return &n
}

// mentioned leaves out what is 0: it says nothing. Of the swap, 0 beside a limit
// says nothing either.
func mentioned(r *specs.LinuxResources) *specs.LinuxResources {
	n := *r
	n.Devices = nil // they are what they were at the creation, as with runc
	if r.Memory != nil {
		m := *r.Memory
		m.Limit, m.Reservation, m.Swap = given(m.Limit), given(m.Reservation), given(m.Swap)
		n.Memory = &m
	}
	if r.CPU != nil {
		u := *r.CPU
		u.Shares, u.Quota, u.Period = given(u.Shares), given(u.Quota), given(u.Period)
		u.RealtimeRuntime, u.RealtimePeriod = given(u.RealtimeRuntime), given(u.RealtimePeriod)
		n.CPU = &u
	}
	if r.Pids != nil {
		p := *r.Pids
		if p.Limit = given(p.Limit); p.Limit == nil {
			n.Pids = nil
		} else {
			n.Pids = &p
		}
	}
	if r.BlockIO != nil {
		b := *r.BlockIO
		b.Weight, b.LeafWeight = given(b.Weight), given(b.LeafWeight)
		n.BlockIO = &b
	}
	return &n
}

// given is nil for 0.
func given[T comparable](v *T) *T {
	var zero T
	if v == nil || *v == zero {
		return nil
	}
	return v
}

// control does something to a container's control group, with the lock held.
func (r *Runtime) control(verb, id string, do func(*Container, Status, *cgroup.Group) error) error {
	c, err := r.open(id)
	if err != nil {
		return err
	}
	defer c.Close()
	g, err := c.group()
	if err != nil {
		return err
	}
	s := c.Status()
	switch {
	case g != nil:
		defer g.Close()
	case s == Running || s == Created:
		return fmt.Errorf("%s container %q: it has no control group; create it where this user may make one (systemd-run --user --scope -p Delegate=yes), or as root", verb, id)
	default:
		g = &cgroup.Group{} // for the error that the status is
	}
	if err := do(c, s, g); err != nil {
		return fmt.Errorf("%s container %q: %w", verb, id, err)
	}
	return nil
}

// Processes are those of the container, as this process sees them. Without a
// control group only the first one is known.
func (c *Container) Processes() ([]int, error) {
	g, err := c.group()
	if err != nil {
		return nil, err
	}
	if g == nil {
		if s := c.Status(); s == Stopped || s == Creating {
			return nil, nil
		}
		return []int{c.Pid}, nil
	}
	defer g.Close()
	return g.Processes()
}

// Stats are what the container has used.
func (c *Container) Stats() (cgroup.Stats, error) {
	g, err := c.group()
	if err != nil {
		return cgroup.Stats{}, err
	}
	if g == nil {
		return cgroup.Stats{}, fmt.Errorf("read the statistics of container %q: it has no control group, which would count", c.ID)
	}
	defer g.Close()
	return g.Stats()
}

// resources are the limits as they were updated last; nil: they were not.
func (c *Container) resources() (*specs.LinuxResources, error) {
	text, err := c.entry.Read(state.ResourcesFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return spec.ParseResources(text)
}
