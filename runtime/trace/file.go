package trace

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// process is what viewers call the only process of a trace. Processes are
// numbered from 1; to some viewers 0 is the idle process.
const process = "isoperf"

// argText is the argument that holds an event's Text.
const argText = "text"

// record is an event of the format. Its times are microseconds after the
// trace's origin.
type record struct {
	Name string          `json:"name"`
	Ph   string          `json:"ph"`
	Ts   json.RawMessage `json:"ts,omitempty"`
	Dur  json.RawMessage `json:"dur,omitempty"`
	Pid  int             `json:"pid"`
	Tid  int             `json:"tid"`
	Args map[string]any  `json:"args,omitempty"`
}

// file is the format's object. A key that the format does not know is
// metadata to it.
type file struct {
	Unit   string            `json:"displayTimeUnit"`
	Origin int64             `json:"originNs,string"` // CLOCK_MONOTONIC of ts 0
	Meta   map[string]string `json:"otherData"`
	Events []json.RawMessage `json:"traceEvents"`
}

// Write writes a trace, an event a line, in the order of time; the same events
// give the same bytes. The metadata may be nil. An event that ends before it
// begins is an error, and one whose argument is called "text".
func Write(w io.Writer, events []Event, meta map[string]string) error {
	events = sorted(events)
	origin := int64(0)
	if len(events) > 0 {
		origin = events[0].Start
	}
	records, pids, lanes := named(events)
	for _, e := range events {
		args, err := e.args()
		if err != nil {
			return fmt.Errorf("write trace: %w", err)
		}
		records = append(records, record{
			Name: e.Name, Ph: "X", Ts: micros(e.Start - origin), Dur: micros(e.End - e.Start), Pid: pids[e.Process], Tid: lanes[e.lane()], Args: args,
		})
	}
	text, err := assemble(records, origin, meta)
	if err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	_, err = w.Write(text)
	return err
}

// named are the metadata that name processes and lanes, in the order in which
// they appear, and their numbers.
func named(events []Event) (records []record, pids map[string]int, lanes map[lane]int) {
	pids, lanes = map[string]int{}, map[lane]int{}
	name := func(what string, pid, tid int, name string) {
		records = append(records, record{Name: what, Ph: "M", Pid: pid, Tid: tid, Args: map[string]any{"name": name}})
	}
	if len(events) == 0 {
		name("process_name", 1, 0, process)
	}
	for _, e := range events {
		if pids[e.Process] == 0 {
			pids[e.Process] = len(pids) + 1
			name("process_name", pids[e.Process], 0, cmp.Or(e.Process, process))
		}
		if lanes[e.lane()] == 0 {
			lanes[e.lane()] = len(lanes) + 1
			name("thread_name", pids[e.Process], lanes[e.lane()], e.Lane)
		}
	}
	return records, pids, lanes
}

// args are an event's as the file has them.
func (e Event) args() (map[string]any, error) {
	if e.End < e.Start {
		return nil, fmt.Errorf("event %q ends %d ns before it begins", e.Name, e.Start-e.End)
	}
	if _, taken := e.Args[argText]; taken {
		return nil, fmt.Errorf("event %q has an argument %q, where its Text goes; give it another name", e.Name, argText)
	}
	args := make(map[string]any, len(e.Args)+1)
	for k, v := range e.Args {
		args[k] = v
	}
	if e.Text != "" {
		args[argText] = e.Text
	}
	return args, nil
}

// assemble prints the object, an event a line.
func assemble(records []record, origin int64, meta map[string]string) ([]byte, error) {
	if meta == nil {
		meta = map[string]string{}
	}
	data, err := marshal(meta)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"displayTimeUnit\":\"ns\",\n\"originNs\":\"%d\",\n\"otherData\":%s,\n\"traceEvents\":[", origin, data)
	for i, r := range records {
		line, err := marshal(r)
		if err != nil {
			return nil, fmt.Errorf("event %q: %w", r.Name, err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(line)
	}
	b.WriteString("\n]}\n")
	return b.Bytes(), nil
}

// marshal leaves < and > as they are; the file is not for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// micros prints nanoseconds as microseconds; no digit is lost.
func micros(ns int64) json.RawMessage {
	return fmt.Appendf(nil, "%d.%03d", ns/1000, ns%1000)
}

// nanos reads what micros prints.
func nanos(text json.RawMessage) (int64, error) {
	whole, part, ok := strings.Cut(string(text), ".")
	us, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || !ok || len(part) != 3 {
		return 0, fmt.Errorf("%q is not a time as this package writes it: microseconds with three decimals", text)
	}
	ns, err := strconv.ParseUint(part, 10, 10)
	if err != nil || us > (1<<63-1)/1000-1 {
		return 0, fmt.Errorf("%q is not a time as this package writes it: microseconds with three decimals", text)
	}
	return int64(us)*1000 + int64(ns), nil
}

// Read reads a trace that Write has written: the same events, sorted, to the
// nanosecond, and the metadata. A number among the arguments comes back as an
// int64 when it is whole, and as a float64 otherwise; a missing map of
// arguments or metadata is nil.
func Read(r io.Reader) ([]Event, map[string]string, error) {
	var f file
	if err := json.NewDecoder(r).Decode(&f); err != nil {
		return nil, nil, fmt.Errorf("read trace: %w", err)
	}
	var events []Event
	lanes := names{processes: map[int]string{}, lanes: map[int]string{}}
	for i, raw := range f.Events {
		if err := f.event(raw, lanes, &events); err != nil {
			return nil, nil, fmt.Errorf("read trace: event %d: %w", i+1, err)
		}
	}
	if len(f.Meta) == 0 {
		f.Meta = nil
	}
	if !slices.IsSortedFunc(events, func(a, b Event) int { return int(min(max(a.Start-b.Start, -1), 1)) }) {
		return nil, nil, fmt.Errorf("read trace: its events are not in the order of time; was it changed by hand?")
	}
	return events, f.Meta, nil
}

// names are those of the processes and lanes, by their numbers.
type names struct{ processes, lanes map[int]string }

// event reads one event, or the name of a process or lane.
func (f *file) event(raw json.RawMessage, known names, events *[]Event) error {
	var r record
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&r); err != nil {
		return err
	}
	switch r.Ph {
	case "M":
		switch name, ok := r.Args["name"].(string); {
		case ok && r.Name == "thread_name":
			known.lanes[r.Tid] = name
		case ok && r.Name == "process_name" && name != process:
			known.processes[r.Pid] = name
		}
		return nil
	case "X":
	default:
		return fmt.Errorf("its ph is %q; this package writes only X and M", r.Ph)
	}
	start, err := nanos(r.Ts)
	if err != nil {
		return err
	}
	took, err := nanos(r.Dur)
	if err != nil {
		return err
	}
	lane, named := known.lanes[r.Tid]
	if !named {
		return fmt.Errorf("its tid %d has no name", r.Tid)
	}
	e := Event{Process: known.processes[r.Pid], Lane: lane, Name: r.Name, Start: f.Origin + start, End: f.Origin + start + took}
	e.Text, _ = r.Args[argText].(string)
	delete(r.Args, argText)
	for k, v := range r.Args {
		if e.Args == nil {
			e.Args = map[string]any{}
		}
		e.Args[k] = plain(v)
	}
	*events = append(*events, e)
	return nil
}

// plain turns the numbers in a value into int64 and float64.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // out of range is infinite
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}
