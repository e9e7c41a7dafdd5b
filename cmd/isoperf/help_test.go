package main

import (
	"bytes"
	"strings"
	"testing"
)

// Every help fits into 80 columns, and one that there is not is an error.
func TestHelp(t *testing.T) {
	help := func(args ...string) (code int, text string) {
		var out, errs bytes.Buffer
		code = run(t.Context(), append([]string{"help"}, args...), strings.NewReader(""), &out, &errs)
		return code, out.String() + errs.String()
	}
	if code, text := help("bnch"); code != exitUsage || !strings.Contains(text, `unknown command "bnch" (did you mean "bench"?)`) {
		t.Errorf("help bnch: status %d, %s", code, text)
	}
	c := &cli{ctx: t.Context()}
	for _, cmd := range c.root().Commands() {
		code, text := help(cmd.Name())
		if code != exitDone || text == "" {
			t.Errorf("help %s: status %d", cmd.Name(), code)
		}
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
				t.Errorf("help %s has a line of %d columns: %s", cmd.Name(), n, line)
			}
		}
	}
}
