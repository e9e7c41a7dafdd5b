package container

import (
	"context"

	"isoperf/runtime/program"
)

// placed says whether the child is not born in its control group: it waits at its
// first gate until systemd has moved it there.
func (pl *Plan) placed() bool {
	e := pl.options.Entered
	return pl.group.Scoped() || e != nil && e.Group.Moves()
}

// place has systemd move such a child, and make the group when it is the container's
// first process.
func (c *Container) place(ctx context.Context) (err error) {
	pl := c.plan
	if !pl.placed() {
		return nil
	}
	start := program.Now()
	if pl.options.Entered != nil {
		err = c.group.Bring(ctx, c.process.Pid())
		c.event("attach", start)
	} else {
		c.group, err = pl.group.Adopt(ctx, c.process.Pid())
		c.event("create control group", start)
	}
	return err
}
