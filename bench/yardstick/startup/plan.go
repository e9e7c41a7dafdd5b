package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// plan is what "isorun run --plan" prints, taken apart.
type plan struct {
	launcher []string // the launcher's steps
	flags    string   // of clone3
	ops      []op
}

// op is one line of the program.
type op struct {
	number int    // 0: one that the mode adds
	name   string // "mount proc"
	call   string // "fsopen"
	args   []string
	accept []string // errnos
	skip   int      // after one of them
	zero   int      // after the result 0
}

var (
	planLine  = regexp.MustCompile(`^ *(\d+|-)  (.*?)  +(\S.*)$`)
	zeroTail  = regexp.MustCompile(`  when 0: (skip|back) (\d+)$`)
	errnoTail = regexp.MustCompile(`  or ([A-Z0-9, ]+?)(?:: (skip|back) (\d+))?$`)
	callText  = regexp.MustCompile(`^([a-z_0-9]+)\((.*)\)$`)
)

// parsePlan reads the printed plan. What it does not know is an error: a call
// that was left out would make the yardstick too fast.
func parsePlan(text string) (*plan, error) {
	p := &plan{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if step, ok := strings.CutPrefix(line, "launcher: "); ok {
			p.launcher = append(p.launcher, step)
			continue
		}
		if rest, ok := strings.CutPrefix(line, "clone3({"); ok {
			var found bool
			if p.flags, _, found = strings.Cut(rest, "}"); !found {
				return nil, fmt.Errorf("read the plan's clone %q: it has no closing brace", line)
			}
			continue
		}
		m := planLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("read line %q of the plan: it is neither a launcher's step nor an op", line)
		}
		o, err := parseOp(m[1], m[2], m[3])
		if err != nil {
			return nil, err
		}
		p.ops = append(p.ops, o)
	}
	if p.flags == "" || len(p.ops) == 0 {
		return nil, fmt.Errorf("read the plan: it has no clone3 or no ops, in %d bytes", len(text))
	}
	return p, p.spare()
}

var spareStep = regexp.MustCompile(`^unshare\(([A-Z_|]+)\)(, lo up)?, in a process beside the start of Go$`)

// spare makes namespaces that isorun has ready, and the child joins, flags of
// the clone again, and an interface that is up there calls of the child: a program
// without a start of its own to use has no other way.
func (p *plan) spare() error {
	for i, step := range p.launcher {
		m := spareStep.FindStringSubmatch(step)
		if m == nil {
			continue
		}
		p.launcher = slices.Delete(p.launcher, i, i+1)
		p.flags += "|" + m[1]
		joins := strings.Count(m[1], "|") + 1
		for _, o := range p.ops[:min(joins, len(p.ops))] {
			if o.call != "setns" {
				return fmt.Errorf("read the plan: its child does not begin by joining %s", m[1])
			}
		}
		for i := range joins {
			p.ops[i].call = joined
		}
		if m[2] != "" {
			p.ops = slices.Insert(p.ops, joins, loopbackUp(len(p.ops))...)
		}
		return nil
	}
	return nil
}

// loopbackUp are the ops that bring the interface up, behind number last.
func loopbackUp(last int) []op {
	result := fmt.Sprintf("result of op %d", last+1)
	return []op{
		{number: last + 1, name: "lo socket", call: "socket", args: []string{"AF_INET", "SOCK_DGRAM|SOCK_CLOEXEC", "0"}},
		{number: last + 2, name: "lo up", call: "ioctl", args: []string{result, "SIOCSIFFLAGS", `{"lo", IFF_UP}`}},
		{number: last + 3, name: "lo socket closed", call: "close", args: []string{result}},
	}
}

// joined stands for a call that the clone has made unnecessary.
const joined = "joined"

func parseOp(number, name, text string) (op, error) {
	o := op{name: name}
	if number != "-" {
		o.number, _ = strconv.Atoi(number) // the pattern lets digits through only
	}
	distance := func(word, digits string) int {
		n, _ := strconv.Atoi(digits) // as above
		if word == "back" {
			n = -n
		}
		return n
	}
	if m := zeroTail.FindStringSubmatch(text); m != nil {
		text = strings.TrimSuffix(text, m[0])
		o.zero = distance(m[1], m[2])
	}
	if m := errnoTail.FindStringSubmatch(text); m != nil {
		text = strings.TrimSuffix(text, m[0])
		o.accept = strings.Split(m[1], ", ")
		o.skip = distance(m[2], m[3])
	}
	for _, control := range []string{"tell ", "wait ", "gettid, set_robust_list", "execveat(stub"} {
		if strings.HasPrefix(text, control) {
			o.call = text
			return o, nil
		}
	}
	m := callText.FindStringSubmatch(text)
	if m == nil {
		return o, fmt.Errorf("read op %q of the plan: %q is not a call", name, text)
	}
	var err error
	if o.args, err = split(m[2]); err != nil {
		return o, fmt.Errorf("read op %q of the plan: %w", name, err)
	}
	o.call = m[1]
	return o, nil
}

// split divides arguments at the commas that are not inside something.
func split(text string) (args []string, err error) {
	depth, quoted, start := 0, false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case strings.IndexByte(")]}", c) >= 0:
			depth--
		case c == ',' && depth == 0:
			args = append(args, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	if depth != 0 || quoted {
		return nil, fmt.Errorf("the arguments %q do not close what they open", text)
	}
	if last := strings.TrimSpace(text[start:]); last != "" {
		args = append(args, last)
	}
	return args, nil
}

// groupStep is a step of the launcher on control groups.
type groupStep struct {
	mkdir       string // a directory
	file, value string // a file, relative to the last directory, and its new text
	enter       string // a tasks file
	late        bool   // once the child is on its own
}

var (
	writeStep = regexp.MustCompile(`^write ("(?:[^"\\]|\\.)*") to (\S+)( \(once the child is on its own\))?$`)
	enterStep = regexp.MustCompile(`^the launching thread writes itself to (\S+), and goes back once the child is born$`)
)

// groupSteps are the launcher's, in its order.
func (p *plan) groupSteps() (steps []groupStep, err error) {
	dir := ""
	for _, text := range p.launcher {
		if path, ok := strings.CutPrefix(text, "mkdir "); ok {
			dir = path
			steps = append(steps, groupStep{mkdir: path})
			continue
		}
		if m := writeStep.FindStringSubmatch(text); m != nil {
			value, err := strconv.Unquote(m[1])
			if err != nil {
				return nil, fmt.Errorf("read the launcher's step %q: %w", text, err)
			}
			file := m[2]
			if !filepath.IsAbs(file) {
				file = filepath.Join(dir, file)
			}
			steps = append(steps, groupStep{file: file, value: value, late: m[3] != ""})
			continue
		}
		if m := enterStep.FindStringSubmatch(text); m != nil {
			steps = append(steps, groupStep{enter: m[1]})
			continue
		}
		return nil, fmt.Errorf("read the launcher's step %q: the yardstick in C cannot do that; measure with a bundle that does not need it", text)
	}
	return steps, nil
}
