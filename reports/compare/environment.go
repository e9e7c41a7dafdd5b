package compare

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// Difference is a fact of both columns.
type Difference struct {
	Key string `json:"key"`
	Old string `json:"old"`
	New string `json:"new"`
}

// configs are the configuration keys of both columns, in the files' order.
func configs(base, head Column) []Difference {
	var list []Difference
	at := map[string]int{}
	add := func(key string) *Difference {
		i, ok := at[key]
		if !ok {
			i = len(list)
			at[key] = i
			list = append(list, Difference{Key: key})
		}
		return &list[i]
	}
	for _, p := range base.config {
		add(p.Key).Old = p.Value
	}
	for _, p := range head.config {
		add(p.Key).New = p.Value
	}
	return list
}

// passing are facts that differ in any two runs, and say nothing of them.
func passing(key string) bool {
	return slices.Contains([]string{"start", "patterns", "runnable", "cgroup_count", "net_namespaces"}, key)
}

// environments are the facts that the first file of either column records and that
// differ.
func environments(base, head Column) []Difference {
	if len(base.Files) == 0 || len(head.Files) == 0 {
		return nil
	}
	var old, next map[string]json.RawMessage
	if json.Unmarshal(base.Files[0].Fingerprint, &old) != nil || json.Unmarshal(head.Files[0].Fingerprint, &next) != nil {
		return nil
	}
	all := maps.Clone(old)
	maps.Copy(all, next)
	var list []Difference
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if !passing(key) && !bytes.Equal(old[key], next[key]) {
			list = append(list, Difference{key, fact(old[key]), fact(next[key])})
		}
	}
	return list
}

// fact is a value of the fingerprint as it is read: text without its quotes.
func fact(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return orNone(string(raw))
}

func (c Column) paths() []string {
	var list []string
	for _, f := range c.Files {
		list = append(list, f.Path)
	}
	return list
}
