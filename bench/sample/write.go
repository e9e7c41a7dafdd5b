package sample

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/perf/benchfmt"
)

// Writer appends to one result file. It is not safe for concurrent use.
type Writer struct {
	file *os.File
	out  *benchfmt.Writer // of the header
	line []byte
}

// Create makes the file at path, which must not exist yet, and writes the
// header.
func Create(path string, h Header) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create result file: %w", err)
	}
	w := &Writer{file: f, out: benchfmt.NewWriter(f)}
	if err := w.header(h); err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

func (w *Writer) header(h Header) error {
	for _, p := range h.Config {
		if p.Value == "" {
			continue // an empty value would delete the key
		}
		if _, err := fmt.Fprintf(w.file, "%s: %s\n", p.Key, p.Value); err != nil {
			return w.fail(err)
		}
	}
	if err := w.comment("isoperf", h.Fingerprint); err != nil {
		return err
	}
	for _, u := range h.Units {
		if u.Better == "" {
			continue
		}
		meta := &benchfmt.UnitMetadata{
			UnitMetadataKey: benchfmt.UnitMetadataKey{Unit: u.Name, Key: "better"},
			OrigUnit:        u.Name,
			Value:           u.Better,
		}
		if err := w.out.Write(meta); err != nil {
			return w.fail(err)
		}
	}
	return nil
}

// Path is the file's path, as given to Create.
func (w *Writer) Path() string { return w.file.Name() }

// Sample writes one sample; it is in the file when Sample returns. The line is
// the one that benchfmt.Writer would write, but with figures that a person can
// read: 1770465, not 1.770465e+06.
func (w *Writer) Sample(name string, values []Value) error {
	w.line = append(append(append(w.line[:0], "Benchmark"...), name...), " 1"...)
	for _, v := range values {
		w.line = strconv.AppendFloat(append(w.line, ' '), v.Value, 'f', -1, 64)
		w.line = append(append(w.line, ' '), v.Unit...)
	}
	if _, err := w.file.Write(append(w.line, '\n')); err != nil {
		return w.fail(err)
	}
	return nil
}

// Failed records an operation that failed. It has no time.
func (w *Writer) Failed(name, why string) error {
	return w.comment("failed", Note{name, why})
}

// NotMeasured records a case that cannot be measured here.
func (w *Writer) NotMeasured(name, why string) error {
	return w.comment("not-measured", Note{name, why})
}

// Observed records what was seen of a case before it was measured.
func (w *Writer) Observed(o Observed) error { return w.comment("observed", o) }

// Timeline records what happened in a sample.
func (w *Writer) Timeline(t Timeline) error { return w.comment("timeline", t) }

// Checked records what was checked about a sample.
func (w *Writer) Checked(c Checked) error { return w.comment("checked", c) }

// Series records a curve of a sample.
func (w *Writer) Series(s Series) error { return w.comment("series", s) }

// Noise records what a case does when nothing differs.
func (w *Writer) Noise(n Noise) error { return w.comment("noise", n) }

// End records that the run ended in order, and why. A file without it was cut
// short.
func (w *Writer) End(e Ending) error { return w.comment("end", e) }

func (w *Writer) comment(kind string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the %s line: %w", kind, err)
	}
	if _, err := fmt.Fprintf(w.file, "# %s %s\n", kind, text); err != nil {
		return w.fail(err)
	}
	return nil
}

func (w *Writer) fail(err error) error {
	return fmt.Errorf("write result file %s: %w (what was written before is kept)", w.Path(), err)
}

// Close closes the file.
func (w *Writer) Close() error {
	if err := w.file.Close(); err != nil {
		return w.fail(err)
	}
	return nil
}
