package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/harness"
	"isoperf/runtime/program"
)

// contender is a command whose whole process is measured.
type contender struct {
	name    string
	argv    []string
	witness []string // the same with the witness inside; nil: there is no container
	bar     float64  // ours by it, at most; 0: none

	img     *program.Image
	samples []float64 // nanoseconds
	peak    int64     // bytes of resident memory
	differs string    // from isorun's container, as its witness saw it
}

// setting is a table: contenders of which the first is ours and the second is
// C, and a pause before each sample.
type setting struct {
	title      string
	contenders []*contender
	pause      time.Duration
}

// load readies the start: a clone with shared memory and an execve by the
// engine's loop, the same few system calls for each contender.
func (c *contender) load(null int) error {
	p := program.New(program.VM, 0)
	p.Stdio(null, null, null)
	p.Exec(c.argv[0], c.argv, variables())
	img, err := program.Load(p)
	if err != nil {
		return fmt.Errorf("load the start of %s: %w", c.name, err)
	}
	c.img = img
	return nil
}

// one is a sample: from before the clone until the process is reaped. A
// process that does not exit with status 0 is an error.
func (c *contender) one() (float64, error) {
	t, err := c.img.Cycle()
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", c.name, err)
	}
	return float64(t.Reaped), nil
}

// weigh measures the peak of resident memory, with the program peak.
func (c *contender) weigh(peak string) error {
	out, err := exec.Command(peak, c.argv...).Output()
	if err != nil {
		return fmt.Errorf("measure the memory of %s: %w", c.name, withStderr(err))
	}
	kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return fmt.Errorf("measure the memory of %s: %w", c.name, err)
	}
	c.peak = kib * 1024
	return nil
}

// look runs the container with the witness inside.
func (c *contender) look() (facts, error) {
	cmd := exec.Command(c.witness[0], c.witness[1:]...)
	cmd.Env = variables()
	var out, message bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &message
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("look into the container of %s: %w: %s", c.name, err, strings.TrimSpace(message.String()))
	}
	return readFacts(out.String())
}

// prepare looks into every container, and readies the starts. C has to make
// exactly what isorun makes; what a peer makes differently is kept.
func (s *setting) prepare(null int, peak string) error {
	var ours facts
	for i, c := range s.contenders {
		if c.witness != nil {
			seen, err := c.look()
			if err != nil {
				return err
			}
			switch i {
			case 0:
				ours = seen
			case 1:
				if lacks, adds := ours.exactly(seen); len(lacks)+len(adds) > 0 {
					return fmt.Errorf("compare the containers of isorun and C: C lacks %q and adds %q, so it is no yardstick; make the translation of the plan complete", lacks, adds)
				}
			default:
				c.differs = ours.roughly(seen)
			}
		}
		if err := errors.Join(c.weigh(peak), c.load(null)); err != nil {
			return err
		}
	}
	return nil
}

// measure takes a sample of each contender in each round, in random order:
// what one leaves behind (the destruction of its namespaces) is paid for by
// the next, so each follows each other one equally often. It ends after limit,
// or after so many rounds when they are not 0.
func (s *setting) measure(limit time.Duration, rounds int) error {
	random := rand.New(rand.NewPCG(1, 2))
	const warm = 2
	start := time.Now()
	for round := 0; ; round++ {
		if done := round - warm; done >= 5 && (rounds > 0 && done >= rounds || rounds == 0 && time.Since(start) > limit) {
			return nil
		}
		for _, i := range random.Perm(len(s.contenders)) {
			if s.pause > 0 {
				harness.Rest(s.pause)
			}
			ns, err := s.contenders[i].one()
			if err != nil {
				return fmt.Errorf("measure %q, round %d: %w", s.title, round+1, err)
			}
			if round >= warm {
				s.contenders[i].samples = append(s.contenders[i].samples, ns)
			}
		}
	}
}

func (s *setting) close() {
	for _, c := range s.contenders {
		if c.img != nil {
			c.img.Close()
		}
	}
}
