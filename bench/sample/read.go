package sample

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/perf/benchfmt"
)

// ReadFile reads the result file at path. A damaged line is skipped and named
// in File.Notes; a file without any sample is an error.
func ReadFile(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read result file: %w", err)
	}
	return parse(path, data)
}

// Read reads a result file from r; name is used in messages.
func Read(name string, r io.Reader) (*File, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read result file %s: %w", name, err)
	}
	return parse(name, data)
}

func parse(path string, data []byte) (*File, error) {
	f := &File{Path: path}
	byName := map[string]*growing{}
	get := func(name []byte) *growing {
		c := byName[string(name)] // does not copy the name
		if c == nil {
			c = &growing{Case: &Case{Name: string(name), Values: map[string][]float64{}}}
			byName[c.Name] = c
			f.Cases = append(f.Cases, c.Case)
		}
		return c
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("read result file %s: it is empty", path)
	}
	// A line without its newline is what a killed process leaves: even when
	// it parses, its last figure or unit may be cut, so it does not count.
	end := bytes.LastIndexByte(data, '\n')
	cut := end != len(data)-1
	if cut {
		f.Notes = append(f.Notes, fmt.Sprintf("the end is missing: the last line is cut (%q) and was skipped; the run did not finish", clip(data[end+1:])))
		data = data[:end+1]
	}
	r := benchfmt.NewReader(bytes.NewReader(data), path)
	var last *growing
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.Result:
			c := get(rec.Name)
			if c != last {
				c.Blocks = append(c.Blocks, c.n)
				last = c
			}
			f.sample(c, rec)
		case *benchfmt.UnitMetadata:
			if rec.Key == "better" {
				f.Units = append(f.Units, Unit{Name: rec.OrigUnit, Better: rec.Value})
			}
		case *benchfmt.SyntaxError:
			f.Notes = append(f.Notes, "skipped a damaged line: "+rec.Error())
		}
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("read result file: %w", err)
	}
	f.comments(data, get)
	switch {
	case f.End.Why == "" && !cut && f.Fingerprint != nil:
		f.Notes = append(f.Notes, "the end is missing: the run was cut short; what is here was measured and counts")
	case f.End.Why != "" && f.End.Why != "done" && f.End.Why != "the time was up": // which was asked for
		f.Notes = append(f.Notes, "the run ended early: "+f.End.Why)
	}
	if len(f.Cases) == 0 && len(f.NotMeasured) == 0 {
		return nil, fmt.Errorf("read result file %s: it holds no sample (is it a file that isoperf bench wrote?)", path)
	}
	return f, nil
}

// growing is a case while its samples are read.
type growing struct {
	*Case
	n int // samples so far
}

func (f *File) sample(c *growing, rec *benchfmt.Result) {
	if f.Config == nil {
		for _, cfg := range rec.Config {
			f.Config = append(f.Config, Pair{cfg.Key, string(cfg.Value)})
		}
	}
	n := c.n
	c.n++
	for _, v := range rec.Values {
		value, unit := v.Value, v.Unit
		if v.OrigUnit != "" {
			value, unit = v.OrigValue, v.OrigUnit
		}
		if !slices.Contains(c.Units, unit) {
			c.Units = append(c.Units, unit)
		}
		c.add(unit, value, n)
	}
}

// comments reads the lines that benchfmt passes over.
func (f *File) comments(data []byte, get func([]byte) *growing) {
	for line := range bytes.Lines(data) {
		rest, ok := bytes.CutPrefix(line, []byte("# "))
		if !ok {
			continue
		}
		kind, text, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
		var err error
		switch string(kind) {
		case "isoperf":
			if f.Fingerprint == nil && json.Valid(text) {
				f.Fingerprint = bytes.Clone(text)
			}
		case "end":
			var end Ending
			if err = json.Unmarshal(text, &end); err == nil {
				f.End = end
			}
		case "observed":
			err = gather(&f.Observed, text)
		case "timeline":
			err = gather(&f.Timelines, text)
		case "checked":
			err = gather(&f.Checked, text)
		case "series":
			err = gather(&f.Series, text)
		case "noise":
			err = gather(&f.Noise, text)
		case "not-measured":
			err = gather(&f.NotMeasured, text)
		case "failed":
			var n Note
			if err = json.Unmarshal(text, &n); err == nil {
				c := get([]byte(n.Case))
				c.Failures = append(c.Failures, n.Why)
			}
		}
		if err != nil {
			f.Notes = append(f.Notes, fmt.Sprintf("skipped a damaged line: %q: %v", clip(line), err))
		}
	}
}

// gather appends what a comment line holds.
func gather[T any](list *[]T, text []byte) error {
	var v T
	err := json.Unmarshal(text, &v)
	if err == nil {
		*list = append(*list, v)
	}
	return err
}

func clip(b []byte) string {
	const most = 60
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(bytes.TrimSpace(b))
}
