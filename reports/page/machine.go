package page

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/plot"
	"isoperf/reports/table"
)

// machine is the configuration, which makes results comparable or not, and
// the fingerprint, which explains them.
func machine(f *sample.File, files []*sample.File) Section {
	s := Section{Name: "machine", Heading: "The machine"}
	config := table.Table{Header: []string{"key", "value"}}
	pairs := slices.SortedFunc(slices.Values(f.Config), func(a, b sample.Pair) int { return strings.Compare(a.Key, b.Key) })
	for _, p := range pairs {
		config.Rows = append(config.Rows, []string{p.Key, p.Value})
	}
	if len(config.Rows) > 0 {
		s.text(words("Configuration: results are compared only where all of it is the same."))
		s.table(config)
	}
	state := table.Table{Header: config.Header, Rows: fingerprints(f, files)}
	if len(state.Rows) > 0 {
		s.text(words("Fingerprint: the state of the machine when the run began."))
		s.table(state)
	}
	if len(s.Blocks) == 0 {
		s.text(words("The files do not say where they were measured."))
	}
	return s
}

// fingerprints joins those of the files of one machine: a key has one value,
// or the values of the files in their order.
func fingerprints(f *sample.File, files []*sample.File) [][]string {
	values := map[string][]string{}
	var keys []string
	for _, one := range files {
		if !plot.Comparable(one, f) {
			continue
		}
		var doc any
		if json.Unmarshal(one.Fingerprint, &doc) != nil {
			continue
		}
		flat := map[string]string{}
		flatten(flat, "", doc)
		for key, value := range flat {
			if len(values[key]) == 0 {
				keys = append(keys, key)
			}
			if !slices.Contains(values[key], value) {
				values[key] = append(values[key], value)
			}
		}
	}
	slices.Sort(keys)
	var rows [][]string
	for _, key := range keys {
		rows = append(rows, []string{key, several(values[key])})
	}
	return rows
}

// several lists a few values, or the first and last of many.
func several(values []string) string {
	const most = 4
	if len(values) > most {
		return fmt.Sprintf("%s … %s (%d values)", values[0], values[len(values)-1], len(values))
	}
	return strings.Join(values, "; ")
}

// flatten writes the leaves of a JSON document under their path: "clock.ns".
func flatten(into map[string]string, path string, doc any) {
	switch v := doc.(type) {
	case map[string]any:
		for key, value := range v {
			flatten(into, strings.TrimPrefix(path+"."+key, "."), value)
		}
	case []any:
		var words []string
		for _, item := range v {
			text, err := json.Marshal(item)
			if s, ok := item.(string); ok {
				text = []byte(s)
			} else if err != nil {
				continue
			}
			words = append(words, string(text))
		}
		into[path] = strings.Join(words, ", ")
	case string:
		into[path] = v
	case nil:
		into[path] = "-"
	default:
		text, err := json.Marshal(v)
		if err == nil {
			into[path] = string(text)
		}
	}
}

// difference says in what a machine differs from the others of the page.
func difference(groups []*sample.File, i int) string {
	var parts []string
	for _, p := range groups[i].Config {
		for _, other := range groups {
			if other.Key(p.Key) != p.Value {
				parts = append(parts, p.Key+" "+p.Value)
				break
			}
		}
	}
	if len(parts) == 0 {
		return "no configuration of its own"
	}
	return strings.Join(parts, ", ")
}

// commands make the samples and the page again.
const commands = `isoperf doctor                   # what this machine lets you measure, and what to change
isoperf list                     # the cases
isoperf bench                    # measure; writes a result file
isoperf report FILE --dir DIR   # this page and its pictures
benchstat FILE                   # the Go tool reads the same file
`

// reproduce says how to make the samples and the page again.
func reproduce(files []*sample.File) Section {
	s := Section{Name: "reproduce", Heading: "How to reproduce"}
	s.text(words("The samples behind this page, in the Go benchmark format:"))
	var list []Text
	for _, f := range files {
		samples := 0
		for _, c := range f.Cases {
			samples += c.N()
		}
		list = append(list, textf("`%s`: %s of %s%s", filepath.Base(f.Path), table.Plural(samples, "sample", "samples"), table.Plural(len(f.Cases), "case", "cases"), version(f)))
	}
	s.list(list)
	s.Blocks = append(s.Blocks, Block{Code: commands})
	s.text(words("Intervals have a confidence of 95 %: of a median by order statistics, of an increment by Hodges and Lehmann. " +
		"No sample is dropped and nothing is subtracted; a failed operation is counted and never timed. `-` is a figure that is not known."))
	return s
}

// version is the program's, as the file states it.
func version(f *sample.File) string {
	var doc struct{ Version, Commit string }
	if json.Unmarshal(f.Fingerprint, &doc) != nil || doc.Version == "" {
		return ""
	}
	if doc.Commit == "" {
		return ", isoperf " + doc.Version
	}
	return fmt.Sprintf(", isoperf %s (commit %s)", doc.Version, doc.Commit)
}
