package ab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"isoperf/bench/sample"
)

// Build is a side that is a build of isoperf: each visit is a short run of its
// bench with one pattern, whose result file is read and removed.
type Build struct {
	Path     string
	Patterns []string // one a group
	Samples  int      // of each case in a visit
	Dir      string   // for the result files
	// Config is what its files say of the machine; two builds that differ in it
	// are not comparable. It is known after a visit.
	Config []sample.Pair
	// Better is what its files say of units.
	Better map[string]string
	visits int
}

// Visit runs bench once.
func (b *Build) Visit(ctx context.Context, group, offset int) ([]Sample, error) {
	b.visits++
	file := filepath.Join(b.Dir, fmt.Sprintf("%s-%d.txt", filepath.Base(b.Path), b.visits))
	defer os.Remove(file) // it may not be there
	cmd := exec.CommandContext(ctx, b.Path, "bench", b.Patterns[group], "--quick", "--samples", strconv.Itoa(b.Samples), "--out", file)
	cmd.Env = append(os.Environ(), startupOffset+"="+strings.Repeat("x", offset))
	// Interrupted, it ends in order; a group of its own keeps the terminal's Ctrl-C
	// away, so that it is told once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	runtime.LockOSThread() // for Pdeathsig
	err := cmd.Run()
	runtime.UnlockOSThread()
	if err != nil {
		return nil, fmt.Errorf("run %q bench %s: %w%s", b.Path, b.Patterns[group], err, lastWords(said.String()))
	}
	f, err := sample.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if b.Config == nil {
		b.Config = f.Config
	} else if !slices.Equal(b.Config, f.Config) {
		return nil, errors.New("the machine is not what it was when the first visit was made: it differs in its configuration")
	}
	if b.Better == nil {
		b.Better = map[string]string{}
	}
	for _, u := range f.Units {
		b.Better[u.Name] = u.Better
	}
	return samples(f), nil
}

// startupOffset is the variable that bench/startup has for single starts.
const startupOffset = "ISOPERF_OFFSET"

// samples are the lines of a file.
func samples(f *sample.File) []Sample {
	var list []Sample
	for _, c := range f.Cases {
		for i := range c.N() {
			var values []sample.Value
			for _, unit := range c.Units {
				if v, ok := c.Value(unit, i); ok {
					values = append(values, sample.Value{Unit: unit, Value: v})
				}
			}
			list = append(list, Sample{Case: c.Name, Values: values})
		}
		for _, why := range c.Failures {
			list = append(list, Sample{Case: c.Name, Failed: why})
		}
	}
	return list
}

// lastWords is the last line of what a program said.
func lastWords(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for _, line := range slices.Backward(lines) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "Try '") {
			return ": " + line[:min(len(line), 300)]
		}
	}
	return ""
}
