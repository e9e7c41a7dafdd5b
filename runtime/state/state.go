package state

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/jsontext"
)

// version is that of state.json's form. A reader refuses what is newer.
const version = 1

// State is what is known of a container.
type State struct {
	OCIVersion  string            // of its configuration
	ID          string            //
	Bundle      string            // absolute
	Rootfs      string            // absolute, on the host
	Pid         int               // of its first process; 0: there is none yet
	Start       uint64            // when that was born: field 22 of /proc/PID/stat, so that a number that is used again is not trusted
	Created     time.Time         // when create began
	Owner       int               // the user who created it
	Annotations map[string]string // of its configuration
	Group       cgroup.State      // its control group; without Dirs: none
	SharesPids  bool              // it has no pid namespace of its own, so its processes outlive its first one
	Creating    bool              // it has a process, and was not set up when this was written
	Hooks       bool              // its configuration has hooks for its later life
}

// text is the state as state.json has it.
func (s *State) text() []byte {
	w := jsontext.Writer{Indent: " ", Text: make([]byte, 0, 1<<10)}
	w.Open('{')
	w.Name("version")
	w.Int(version)
	for _, f := range []struct{ name, value string }{
		{"ociVersion", s.OCIVersion}, {"id", s.ID}, {"bundle", s.Bundle}, {"rootfs", s.Rootfs}, {"created", s.Created.UTC().Format(time.RFC3339Nano)},
	} {
		w.Name(f.name)
		w.String(f.value)
	}
	w.Name("owner")
	w.Int(int64(s.Owner))
	w.Name("pid")
	w.Int(int64(s.Pid))
	w.Name("start")
	w.Uint(s.Start)
	w.Name("sharesPids")
	w.Bool(s.SharesPids)
	w.Name("annotations")
	WriteMap(&w, s.Annotations)
	w.Name("creating")
	w.Bool(s.Creating)
	w.Name("hooks")
	w.Bool(s.Hooks)
	w.Name("group")
	w.Open('{')
	w.Name("name")
	w.String(s.Group.Name)
	w.Name("dirs")
	w.Strings(s.Group.Dirs)
	w.Name("record")
	w.String(s.Group.Record)
	if s.Group.Unit != "" {
		w.Name("unit")
		w.String(s.Group.Unit)
		w.Name("user")
		w.Bool(s.Group.User)
	}
	w.Close('}')
	w.Close('}')
	return append(w.Text, '\n')
}

// WriteMap writes an object, ordered by its names.
func WriteMap(w *jsontext.Writer, m map[string]string) {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	w.Open('{')
	for _, name := range names {
		w.Name(name)
		w.String(m[name])
	}
	w.Close('}')
}

// parse reads a state.json.
func parse(text string) (*State, error) {
	s, found, created := &State{}, 0, ""
	err := jsontext.Parse(text, s, func(d *jsontext.Decoder, s *State) {
		for name := range d.Object {
			switch name {
			case "version":
				jsontext.Integer(d, &found)
			case "ociVersion":
				jsontext.Text(d, &s.OCIVersion)
			case "id":
				jsontext.Text(d, &s.ID)
			case "bundle":
				jsontext.Text(d, &s.Bundle)
			case "rootfs":
				jsontext.Text(d, &s.Rootfs)
			case "created":
				jsontext.Text(d, &created)
			case "owner":
				jsontext.Integer(d, &s.Owner)
			case "pid":
				jsontext.Integer(d, &s.Pid)
			case "start":
				jsontext.Integer(d, &s.Start)
			case "sharesPids":
				jsontext.Boolean(d, &s.SharesPids)
			case "annotations":
				jsontext.Table(d, &s.Annotations, jsontext.Text)
			case "creating":
				jsontext.Boolean(d, &s.Creating)
			case "hooks":
				jsontext.Boolean(d, &s.Hooks)
			case "group":
				readGroup(d, &s.Group)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if found != version {
		return nil, fmt.Errorf("its version is %d, and this isorun knows %d: use the isorun that wrote it", found, version)
	}
	if s.Pid < 0 {
		return nil, fmt.Errorf("pid: %d is no process", s.Pid)
	}
	if s.Created, err = time.Parse(time.RFC3339Nano, created); err != nil || s.Created.UTC().Year() > 9999 || s.Created.UTC().Year() < 0 {
		return nil, fmt.Errorf("created: %s is no time", strconv.Quote(created))
	}
	return s, nil
}

func readGroup(d *jsontext.Decoder, g *cgroup.State) {
	for name := range d.Object {
		switch name {
		case "name":
			jsontext.Text(d, &g.Name)
		case "dirs":
			jsontext.List(d, &g.Dirs, jsontext.Text)
		case "record":
			jsontext.Text(d, &g.Record)
		case "unit":
			jsontext.Text(d, &g.Unit)
		case "user":
			jsontext.Boolean(d, &g.User)
		}
	}
}
