package checkup

import (
	"fmt"
	"slices"
	"strings"
)

// Answer says in one sentence what can be measured.
func Answer(families []Family) string {
	var whole, part, none []string
	for _, f := range families {
		switch {
		case !f.Measurable:
			none = append(none, f.Name)
		case len(f.Missing) > 0:
			part = append(part, f.Name)
		default:
			whole = append(whole, f.Name)
		}
	}
	why := losses(families)
	switch {
	case len(families) == 0:
		return "What this machine has:"
	case len(whole) == len(families):
		return "Everything can be measured here: " + list(whole, len(whole)) + "."
	case len(none) == len(families) && len(why) > 0:
		return full("Nothing can be measured here: " + brief(why[0].why))
	case len(none) == len(families):
		return "Nothing can be measured here."
	case len(whole) == 0:
		return full("Part of the " + familyOf(part) + " can be measured here" + clauses(why))
	case len(part) == 0:
		return full("Everything in the " + familyOf(whole) + " can be measured here" + clauses(why))
	}
	return full("Everything in the " + familyOf(whole) + " can be measured here, and part of " + list(part, len(part)) +
		clauses(why))
}

// full ends a sentence.
func full(sentence string) string {
	if strings.HasSuffix(sentence, "...") {
		return sentence
	}
	return sentence + "."
}

// loss is one reason, with what it takes away.
type loss struct {
	why      string
	families []string // as a whole
	names    []string // of findings, in families that can be measured otherwise
}

// losses are the reasons, each once; those of whole families come first.
func losses(families []Family) []*loss {
	var all []*loss
	because := func(why string) *loss {
		i := slices.IndexFunc(all, func(l *loss) bool { return l.why == why })
		if i < 0 {
			i = len(all)
			all = append(all, &loss{why: why})
		}
		return all[i]
	}
	for _, f := range families {
		if !f.Measurable && len(f.Missing) > 0 {
			l := because(f.Missing[0].Why)
			l.families = append(l.families, f.Name)
		}
	}
	for _, f := range families {
		if !f.Measurable {
			continue
		}
		for _, m := range f.Missing {
			if l := because(m.Why); !slices.Contains(l.names, m.Name) {
				l.names = append(l.names, m.Name)
			}
		}
	}
	return all
}

// clauses are the first few reasons in words.
func clauses(all []*loss) string {
	var text strings.Builder
	for i, l := range all {
		if i == mostReasons {
			fmt.Fprintf(&text, "; %d more below", len(all)-i)
			break
		}
		what := list(l.names, mostNames) + " cannot: "
		if len(l.families) > 0 {
			what = "nothing in the " + familyOf(l.families) + ": "
		}
		text.WriteString("; " + what + brief(l.why))
	}
	return text.String()
}

const (
	mostReasons = 3
	mostNames   = 3
	longestWhy  = 120 // bytes of a reason within the answer; all of it stands below
)

func brief(why string) string {
	if len(why) <= longestWhy {
		return why
	}
	cut := strings.LastIndexByte(why[:longestWhy], ' ')
	if cut < 0 {
		cut = longestWhy
	}
	return strings.TrimRight(why[:cut], " ,:;") + " ..."
}

func familyOf(names []string) string {
	if len(names) == 1 {
		return names[0] + " family"
	}
	return list(names, len(names)) + " families"
}

// list joins names, at most so many: "a, b and 3 others".
func list(names []string, most int) string {
	tail := ""
	switch {
	case len(names) > most+1:
		tail = fmt.Sprintf("%d others", len(names)-most)
		names = names[:most]
	case len(names) > 1:
		tail, names = names[len(names)-1], names[:len(names)-1]
	}
	if tail == "" {
		return strings.Join(names, ", ")
	}
	return strings.Join(names, ", ") + " and " + tail
}
