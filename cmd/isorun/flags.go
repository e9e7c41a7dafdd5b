package main

import (
	"errors"
	"fmt"
	"strings"
)

// flagSet reads flags as most commands do: -b DIR, -bDIR, --bundle DIR,
// --bundle=DIR, --plan, and -- before arguments that look like flags; names are
// not shortened, and short ones not joined. A library does
// that too, but the smallest ones link package net, for which every start of a
// container would pay (a tenth of a millisecond).
type flagSet []flagDef

// flagDef is a flag with a value, or a switch.
type flagDef struct {
	short  string // without the dash; empty: none
	long   string
	value  string // what the help calls the value; empty: a switch
	help   string
	text   *string
	list   *[]string // of a flag that can be given several times
	on     *bool
	given  *bool  // whether it was; nil: nobody asks
	preset string // what the help says of the value when it is not given; empty: nothing
}

var errHelp = errors.New("help")

// parse sets what args say and returns the rest. With stop, flags end at the
// first argument that is none: the others belong to a command.
func (s flagSet) parse(args []string, stop bool) (rest []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return append(rest, args...), nil
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			rest = append(rest, arg)
			if stop {
				return append(rest, args...), nil
			}
			continue
		case arg == "-h" || arg == "--help":
			return nil, errHelp
		}
		if args, err = s.set(arg, args); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// set takes one flag, and its value from args when it is not in the same word.
func (s flagSet) set(arg string, args []string) ([]string, error) {
	name, value, given := strings.Cut(arg, "=")
	short := !strings.HasPrefix(arg, "--")
	if short {
		name, value, given = arg[:2], arg[2:], len(arg) > 2
	}
	for _, f := range s {
		if short && name != "-"+f.short || !short && name != "--"+f.long {
			continue
		}
		if f.given != nil {
			*f.given = true
		}
		switch {
		case f.value == "" && given && !short && (value == "true" || value == "false"):
			*f.on = value == "true"
			return args, nil
		case f.value == "" && given:
			return nil, fmt.Errorf("flag %s takes no value, %q is one", name, value)
		case f.value == "":
			*f.on = true
			return args, nil
		case !given && len(args) == 0:
			return nil, fmt.Errorf("flag %s needs a value", name)
		case !given:
			value, args = args[0], args[1:]
		}
		if f.list != nil {
			*f.list = append(*f.list, value)
		} else {
			*f.text = value
		}
		return args, nil
	}
	return nil, fmt.Errorf("unknown flag %s", name)
}

// usage is the list for a help text.
func (s flagSet) usage() string {
	left, width := make([]string, len(s)), 0
	for i, f := range s {
		left[i] = "      --" + f.long
		if f.short != "" {
			left[i] = "  -" + f.short + ", --" + f.long
		}
		if f.value != "" {
			left[i] += " " + f.value
		}
		width = max(width, len(left[i]))
	}
	var b strings.Builder
	for i, f := range s {
		fmt.Fprintf(&b, "%-*s   %s", width, left[i], f.help)
		if f.preset != "" {
			fmt.Fprintf(&b, " (default %q)", f.preset)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
