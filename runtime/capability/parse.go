package capability

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse reads names as people write them: "CAP_NET_ADMIN", "net_admin", in any
// case; "ALL" is every one that is known. The error names the first that is
// not, and what may have been meant.
func Parse(list []string) (Set, error) {
	var s Set
	for _, text := range list {
		upper := strings.ToUpper(text)
		if upper == "ALL" || upper == "CAP_ALL" {
			s |= All()
			continue
		}
		one, err := parseOne(text, "CAP_"+strings.TrimPrefix(upper, "CAP_"))
		if err != nil {
			return 0, err
		}
		s |= one
	}
	return s, nil
}

// parseOne finds a name of the form CAP_X; text is how it was given.
func parseOne(text, canonical string) (Set, error) {
	for n, known := range names {
		if canonical == known {
			return Of(n), nil
		}
	}
	// One that a newer kernel has is written as its number.
	digits := strings.TrimPrefix(canonical, "CAP_")
	if n, err := strconv.ParseUint(digits, 10, 8); err == nil && n <= most && strconv.Itoa(int(n)) == digits {
		return Of(int(n)), nil
	}
	hint := "capabilities(7) lists them"
	if near := near(canonical); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return 0, fmt.Errorf("unknown capability %q; %s", text, hint)
}

// near are the names that a mistyped one may stand for, the nearest first; at
// most three.
func near(canonical string) []string {
	typed := strings.TrimPrefix(canonical, "CAP_")
	var found [4][]string
	for _, known := range names {
		switch d := distance(typed, known[len("CAP_"):]); {
		case d < 3 && d <= len(typed)/3:
			found[d] = append(found[d], known)
		case len(typed) >= 3 && strings.Contains(known, typed):
			found[3] = append(found[3], known)
		}
	}
	var list []string
	for _, names := range found {
		list = append(list, names...)
	}
	return list[:min(len(list), 3)]
}

// distance is how many letters must be changed, added or taken away (the
// Levenshtein distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Adjust is base without drop and with add, as --cap-add and --cap-drop mean
// it: "ALL" in one list starts from all or from none, and the other list is the
// exception. The same name in both lists is an error.
func Adjust(base Set, add, drop []string) (Set, error) {
	more, moreAll, err := parseAdjust("--cap-add", add)
	if err != nil {
		return 0, err
	}
	less, lessAll, err := parseAdjust("--cap-drop", drop)
	if err != nil {
		return 0, err
	}
	if both := more & less; both != 0 || moreAll && lessAll {
		what := both.String()
		if moreAll && lessAll {
			what = "ALL"
		}
		return 0, fmt.Errorf("adjust capabilities: %s is in --cap-add and in --cap-drop; take it out of one", what)
	}
	switch {
	case moreAll:
		base = All()
	case lessAll:
		base = 0
	}
	return base&^less | more, nil
}

// parseAdjust reads one list; what "ALL" stands for is told apart.
func parseAdjust(field string, list []string) (s Set, all bool, err error) {
	for _, text := range list {
		if strings.EqualFold(text, "ALL") || strings.EqualFold(text, "CAP_ALL") {
			all = true
			continue
		}
		one, err := Parse([]string{text})
		if err != nil {
			return 0, false, fmt.Errorf("parse %s: %w", field, err)
		}
		s |= one
	}
	return s, all, nil
}
