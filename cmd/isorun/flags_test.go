package main

import (
	"slices"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args, dir, rest, err string
		on, stop             bool
	}{
		{args: "", dir: "."},
		{args: "one two", rest: "one two", dir: "."},
		{args: "-b d one", dir: "d", rest: "one"},
		{args: "-bd one", dir: "d", rest: "one"},
		{args: "--bundle d one", dir: "d", rest: "one"},
		{args: "one --bundle=d=e", dir: "d=e", rest: "one"},
		{args: "one -b d", dir: "one -b d", stop: true, rest: "one -b d"},
		{args: "--plan -- -b one", on: true, dir: ".", rest: "-b one"},
		{args: "- one", dir: ".", rest: "- one"},
		{args: "--bundle", err: "flag --bundle needs a value"},
		{args: "-b", err: "flag -b needs a value"},
		{args: "--plan=yes", err: `flag --plan takes no value, "yes" is one`},
		{args: "--nonsense", err: "unknown flag --nonsense"},
		{args: "-x", err: "unknown flag -x"},
		{args: "-bx --bun y", err: "unknown flag --bun"},
		{args: "one -h", err: "help"},
	} {
		dir, on := ".", false
		flags := flagSet{{short: "b", long: "bundle", value: "DIR", text: &dir}, {long: "plan", on: &on}}
		rest, err := flags.parse(strings.Fields(c.args), c.stop)
		if c.stop {
			c.dir = "."
		}
		switch {
		case c.err != "":
			if err == nil || err.Error() != c.err {
				t.Errorf("%q: error %v, want %q", c.args, err, c.err)
			}
		case err != nil || dir != c.dir || on != c.on || !slices.Equal(rest, strings.Fields(c.rest)):
			t.Errorf("%q: %q %v %q %v, want %q %v %q", c.args, dir, on, rest, err, c.dir, c.on, c.rest)
		}
	}
	flags := flagSet{{short: "b", long: "bundle", value: "DIR", help: "where it is", preset: "."}, {long: "plan", help: "print it"}}
	want := "  -b, --bundle DIR   where it is (default \".\")\n      --plan         print it\n"
	if got := flags.usage(); got != want {
		t.Errorf("usage is\n%swant\n%s", got, want)
	}
}
