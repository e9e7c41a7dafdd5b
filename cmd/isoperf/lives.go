package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"isoperf/reports/lives"
	"isoperf/runtime/trace/record"
)

// isTimelines says whether a path is a directory, in which isorun leaves
// timelines.
func isTimelines(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// reportLives prints where the time of the commands went whose timelines are in
// directories. A file that cannot be read is said, and the others are reported.
func (c *cli) reportLives(dirs []string) error {
	var all []lives.Command
	for _, dir := range dirs {
		names, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.timeline"))
		if err != nil {
			return cannot(fmt.Errorf("list the timelines in %q: %w", dir, err))
		}
		for _, name := range names {
			one, err := readLife(name)
			if err != nil {
				fmt.Fprintf(c.stderr, "isoperf: %s: %v; it is left out\n", name, err)
				continue
			}
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return cannot(fmt.Errorf("read timelines: %s is a directory without any: isorun --timeline DIR, or ISORUN_TIMELINE=DIR, leaves them", strings.Join(dirs, ", ")))
	}
	if err := lives.Write(c.stdout, all); err != nil {
		return cannot(fmt.Errorf("print the report: %w", err))
	}
	return nil
}

// escapeGlob has a directory's name stand for itself.
func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(dir)
}

// readLife reads one timeline. Its name is ID-COMMAND-TIME.
func readLife(name string) (lives.Command, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return lives.Command{}, err
	}
	trace, err := record.Read(text)
	if err != nil {
		return lives.Command{}, err
	}
	words := strings.Split(strings.TrimSuffix(filepath.Base(name), ".timeline"), "-")
	if len(words) < 3 {
		return lives.Command{}, fmt.Errorf("its name is not ID-COMMAND-TIME.timeline")
	}
	one := lives.Command{Name: words[len(words)-2]}
	for _, s := range trace.Steps {
		one.Steps = append(one.Steps, lives.Step(s))
	}
	// The child's program runs beside the launcher's steps.
	last := trace.First
	for _, end := range trace.Ends {
		last = max(last, end)
	}
	if trace.First != 0 && last > trace.First {
		one.Steps = append(one.Steps, lives.Step{Name: "beside: the container's own program", Start: trace.First, End: last})
	}
	return one, nil
}
