package explain

import (
	"strings"

	"isoperf/runtime/program"
)

// entry is what is said of a call. The controls, which are no system calls,
// have a negative number and are known by how they print.
type entry struct {
	call program.Call
	name string // as the printed call begins
	has  string // words of which the call's text must have one, separated by ";"; "": always
	man  string
	text string
}

// find is the first entry that fits: by the call's number, or by the printed
// name for what the mode adds and for the controls; then by the words.
func find(l line) (entry, bool) {
	name := callName(l.text)
	for _, part := range [][]entry{processCalls(), mountCalls(), fileCalls(), deviceCalls(), privilegeCalls()} {
		for _, e := range part {
			fits := e.name == name
			if l.own && l.call >= 0 {
				fits = e.call == l.call
			}
			if fits && contains(l.text, e.has) {
				return e, true
			}
		}
	}
	return entry{}, false
}

// callName is what a printed call begins with.
func callName(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	})
	if end < 0 {
		return text
	}
	return text[:end]
}

func contains(text, words string) bool {
	if words == "" {
		return true
	}
	for word := range strings.SplitSeq(words, ";") {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}
