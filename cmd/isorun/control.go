package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"isoperf/runtime/jsontext"
)

func pause(g *globals, c *call) error {
	if err := c.parse(nil, 1, 1); err != nil {
		return err
	}
	r, err := g.runtime()
	if err != nil {
		return err
	}
	return r.Pause(c.args[0])
}

func resume(g *globals, c *call) error {
	if err := c.parse(nil, 1, 1); err != nil {
		return err
	}
	r, err := g.runtime()
	if err != nil {
		return err
	}
	return r.Resume(c.args[0])
}

// listProcesses is "isorun ps": what ps(1) says of a container's processes, or
// their numbers.
func listProcesses(g *globals, c *call) error {
	format := "table"
	flags := flagSet{{short: "f", long: "format", value: "FORMAT", text: &format, preset: format, help: "table, which ps(1) makes, or json: a list of numbers"}}
	if err := c.parseCommand(flags, 1); err != nil {
		return err
	}
	if format != "table" && format != "json" {
		return fmt.Errorf("--format: %q is none of table and json", format)
	}
	ct, err := g.open(c.args[0])
	if err != nil {
		return err
	}
	defer ct.Close()
	pids, err := ct.Processes()
	if err != nil {
		return err
	}
	if format == "json" {
		w := jsontext.Writer{}
		w.Open('[')
		for _, pid := range pids {
			w.Next()
			w.Int(int64(pid))
		}
		w.Close(']')
		_, err = fmt.Fprintf(g.stdout, "%s\n", w.Text)
		return err
	}
	args := c.args[1:]
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	out, err := exec.Command("ps", args...).Output()
	if err != nil {
		return fmt.Errorf("run ps %s: %w; install procps, or use --format json", strings.Join(args, " "), err)
	}
	text, err := onlyProcesses(out, pids)
	if err != nil {
		return fmt.Errorf("read what ps %s printed: %w", strings.Join(args, " "), err)
	}
	_, err = g.stdout.Write(text)
	return err
}

// onlyProcesses are the header and the lines of ps about some processes.
func onlyProcesses(out []byte, pids []int) ([]byte, error) {
	var b bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20) // a command may be long
	if !lines.Scan() {
		return nil, fmt.Errorf("there is no header")
	}
	column := slices.Index(strings.Fields(lines.Text()), "PID")
	if column < 0 {
		return nil, fmt.Errorf("there is no column PID in %q; ask for one", lines.Text())
	}
	fmt.Fprintln(&b, lines.Text())
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) <= column {
			continue
		}
		if pid, err := strconv.Atoi(fields[column]); err == nil && slices.Contains(pids, pid) {
			fmt.Fprintln(&b, lines.Text())
		}
	}
	return b.Bytes(), lines.Err()
}

// readInput reads a file, or standard input for "-".
func readInput(name string) (string, error) {
	if name == "-" {
		name = "/dev/stdin"
	}
	text, err := os.ReadFile(name)
	return string(text), err
}
