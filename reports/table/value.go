package table

import (
	"cmp"
	"strconv"
	"strings"
)

// Value is the figure that a cell shows, in base units, for sorting: of an
// interval its lower end. It reads what this package writes; false means that
// the cell holds words, or a figure that is not known.
func Value(cell string) (float64, bool) {
	first, rest, ok := strings.Cut(cell, " .. ")
	if !ok {
		rest = first
	}
	number, unit := leading(first)
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, false
	}
	if ok {
		end, word := leading(rest)
		if _, err := strconv.ParseFloat(end, 64); err != nil {
			return 0, false
		}
		unit = cmp.Or(unit, word)
	}
	size, known := size(unit)
	return v * size, known
}

// leading cuts a number with its sign from what follows.
func leading(s string) (number, rest string) {
	s = strings.TrimSpace(s)
	sign := ""
	if s != "" && (s[0] == '+' || s[0] == '-') {
		sign, s = s[:1], strings.TrimSpace(s[1:])
	}
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.' || s[end] == ',') {
		end++
	}
	return sign + strings.ReplaceAll(s[:end], ",", ""), strings.TrimSpace(s[end:])
}

// size is how much one of a unit is: 1e3 for "us", 0.01 for "%".
func size(name string) (float64, bool) {
	name = strings.TrimSuffix(name, "/s")
	for _, scale := range [][]unit{times, sizes} {
		for _, u := range scale {
			if u.name == name {
				return u.size, true
			}
		}
	}
	switch name {
	case "", "x", "ns/B":
		return 1, true
	case "%":
		return 0.01, true
	}
	return 0, false
}
