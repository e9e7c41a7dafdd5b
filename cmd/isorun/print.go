package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"isoperf/runtime/jsontext"
	"isoperf/runtime/lifecycle"
	"isoperf/runtime/state"
)

// seen is a container as state and list print it.
type seen struct {
	*state.State
	status lifecycle.Status
	owner  string
}

// write is the JSON of state, whose owner is not asked for, and of list, as runc
// prints it.
func (s *seen) write(w *jsontext.Writer) {
	w.Open('{')
	w.Name("ociVersion")
	w.String(s.OCIVersion)
	w.Name("id")
	w.String(s.ID)
	w.Name("pid")
	w.Int(int64(s.pid()))
	w.Name("status")
	w.String(string(s.status))
	w.Name("bundle")
	w.String(s.Bundle)
	w.Name("rootfs")
	w.String(s.Rootfs)
	w.Name("created")
	w.String(s.Created.UTC().Format(time.RFC3339Nano))
	if len(s.Annotations) > 0 {
		w.Name("annotations")
		state.WriteMap(w, s.Annotations)
	}
	w.Name("owner")
	w.String(s.owner)
	w.Close('}')
}

// pid is 0 when it has ended: the number may be another process's.
func (s *seen) pid() int {
	if s.status == lifecycle.Stopped {
		return 0
	}
	return s.Pid
}

func printState(g *globals, c *call) error {
	if err := c.parse(nil, 1, 1); err != nil {
		return err
	}
	ct, err := g.open(c.args[0])
	if err != nil {
		return err
	}
	defer ct.Close()
	w := jsontext.Writer{Indent: "  "}
	(&seen{State: ct.State, status: ct.Status()}).write(&w)
	_, err = fmt.Fprintf(g.stdout, "%s\n", w.Text)
	return err
}

func list(g *globals, c *call) error {
	format, quiet := "table", false
	flags := flagSet{
		{short: "f", long: "format", value: "FORMAT", text: &format, preset: format, help: "table or json"},
		{short: "q", long: "quiet", on: &quiet, help: "print IDs alone"},
	}
	if err := c.parse(flags, 0, 0); err != nil {
		return err
	}
	if format != "table" && format != "json" {
		return fmt.Errorf("--format: %q is none of table and json", format)
	}
	r, err := g.runtime()
	if err != nil {
		return err
	}
	ids, err := r.Root.List()
	if err != nil {
		return err
	}
	var all []*seen
	for _, id := range ids {
		if quiet {
			fmt.Fprintln(g.stdout, id)
			continue
		}
		ct, err := r.Open(id)
		if err != nil {
			g.warn(err.Error()) // the others can be listed
			continue
		}
		all = append(all, &seen{State: ct.State, status: ct.Status(), owner: userName(ct.Owner)})
		ct.Close()
	}
	switch {
	case quiet:
		return nil
	case format == "json":
		w := jsontext.Writer{}
		w.Open('[')
		for _, s := range all {
			w.Next()
			s.write(&w)
		}
		w.Close(']')
		_, err = fmt.Fprintf(g.stdout, "%s\n", w.Text)
		return err
	}
	return printTable(g, all)
}

// printTable prints columns as wide as they have to be, 12 characters at least.
func printTable(g *globals, all []*seen) error {
	rows := [][]string{{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}}
	for _, s := range all {
		rows = append(rows, []string{s.ID, strconv.Itoa(s.pid()), string(s.status), s.Bundle, s.Created.UTC().Format(time.RFC3339Nano), s.owner})
	}
	var b strings.Builder
	for _, row := range rows {
		for column, text := range row {
			b.WriteString(text)
			if column == len(row)-1 {
				continue
			}
			width := 12 - 3
			for _, other := range rows {
				width = max(width, len(other[column]))
			}
			b.WriteString(strings.Repeat(" ", width+3-len(text)))
		}
		b.WriteByte('\n')
	}
	_, err := g.stdout.Write([]byte(b.String()))
	return err
}

// userName is a user's name in /etc/passwd, or #NUMBER for one without: package
// os/user would also ask other sources, through C where it can.
func userName(uid int) string {
	number := strconv.Itoa(uid)
	text, err := os.ReadFile("/etc/passwd")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if f := strings.SplitN(line, ":", 4); len(f) == 4 && f[2] == number {
				return f[0]
			}
		}
	}
	return "#" + number
}
