package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"isoperf/bench/sample"
	"isoperf/reports/answer"
	"isoperf/reports/html"
	"isoperf/reports/page"
	"isoperf/reports/table"
)

// reportFlags are what report was given.
type reportFlags struct {
	dir, page, plots, title string // of the Markdown page
	html                    string // the file of the other one, or ""
	verbose                 bool
}

func (c *cli) report() *cobra.Command {
	var o reportFlags
	cmd := &cobra.Command{
		Use:   "report FILE… | DIR…",
		Short: "Show result files: the answer in words, tables and pictures",
		Long: `Without --dir, print each file's answer as bench did. With --dir, write
RESULTS.md and its pictures (SVG and PNG) for all files together. With --html,
write the same as one page that needs nothing else. A file that was cut short is
read as far as it goes, and the report says so. The files are not changed. Works
on any system.

Of a directory in which isorun left timelines (isorun --timeline DIR, or
ISORUN_TIMELINE=DIR), print where the time of its commands went.`,
		Example: `  isoperf report isoperf-clone-20261123T1447Z.txt
  isoperf report isoperf-*.txt --dir out
  isoperf report isoperf-*.txt --html report.html`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("report needs a result file (isoperf bench writes one)")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return c.runReport(args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.html, "html", "", "write one page that needs nothing else to this `FILE` (- is standard output)")
	f.StringVar(&o.dir, "dir", "", "write the page and its pictures into this `FOLDER`")
	f.StringVar(&o.page, "page", "RESULTS.md", "the page's `NAME` in the folder")
	f.StringVar(&o.plots, "plots", "plots", "the pictures' `FOLDER` in the folder")
	f.StringVar(&o.title, "title", "Results", "the page's `TITLE`")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print every case and unit")
	return cmd
}

func (c *cli) runReport(paths []string, o reportFlags) error {
	if dirs := slices.ContainsFunc(paths, isTimelines); dirs {
		if i := slices.IndexFunc(paths, func(p string) bool { return !isTimelines(p) }); i >= 0 {
			return usage("report: %s is no directory of timelines, and the others are; report them apart", paths[i])
		}
		if o.dir != "" || o.html != "" {
			return usage("report: timelines are printed; leave out --dir and --html")
		}
		return c.reportLives(paths)
	}
	for _, path := range paths {
		if o.html != "" && o.html != "-" && fullName(path) == fullName(o.html) {
			return usage("--html %s: that is a file that is read; give another name", o.html)
		}
	}
	files, err := readFiles(paths)
	if err != nil {
		return cannot(err)
	}
	if o.dir == "" && o.html == "" {
		return c.answers(files, o.verbose)
	}
	for _, f := range files {
		for _, note := range f.Notes {
			fmt.Fprintf(c.stderr, "isoperf: %s: %s\n", f.Path, note)
		}
	}
	if o.html != "" {
		if err := c.writeHTML(o.html, func(w io.Writer) error { return html.Report(w, o.title, files) }); err != nil {
			return err
		}
	}
	if o.dir == "" {
		return nil
	}
	return c.writePage(files, o)
}

// writePage writes the Markdown page with its pictures, and says so.
func (c *cli) writePage(files []*sample.File, o reportFlags) error {
	_, statErr := os.Stat(o.dir)
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return cannot(fmt.Errorf("make the report's folder: %w", err))
	}
	if err := (page.Options{Page: o.page, Plots: o.plots, Title: o.title}).Write(o.dir, files); err != nil {
		return cannot(fmt.Errorf("write the report: %w", err))
	}
	made := []string{filepath.Join(o.dir, o.page), filepath.Join(o.dir, o.plots)}
	if statErr != nil {
		made = []string{o.dir}
	}
	if err := giveToUser(made...); err != nil {
		return cannot(err)
	}
	fmt.Fprintf(c.stdout, "%s/%s, pictures in %s/%s\n", o.dir, o.page, o.dir, o.plots)
	return nil
}

// writeHTML makes a page, writes it when it is complete, and says so; "-" is
// standard output.
func (c *cli) writeHTML(path string, write func(io.Writer) error) error {
	var text bytes.Buffer
	if err := write(&text); err != nil {
		return cannot(err)
	}
	if path == "-" {
		if _, err := c.stdout.Write(text.Bytes()); err != nil {
			return cannot(fmt.Errorf("print the page: %w", err))
		}
		return nil
	}
	if err := writeWhole(path, text.Bytes()); err != nil {
		return cannot(fmt.Errorf("write the page %q: %w (--html FILE needs a folder that is there)", path, err))
	}
	fmt.Fprintf(c.stdout, "%s (%d KiB; open it in a browser)\n", path, (text.Len()+1023)/1024)
	return nil
}

func readFiles(paths []string) ([]*sample.File, error) {
	var files []*sample.File
	for _, path := range paths {
		f, err := sample.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (c *cli) answers(files []*sample.File, verbose bool) error {
	for i, f := range files {
		if i > 0 {
			fmt.Fprintln(c.stdout)
		}
		if len(files) > 1 {
			fmt.Fprintf(c.stdout, "%s:\n", f.Path)
		}
		if err := answer.Write(c.stdout, f, answer.Options{Verbose: verbose, Width: width(c.stdout)}); err != nil {
			return cannot(fmt.Errorf("print the answer of %s: %w", f.Path, err))
		}
	}
	for _, t := range page.Beside(files) {
		fmt.Fprintln(c.stdout)
		t.Tight = true
		if err := table.Plain(c.stdout, t); err != nil {
			return cannot(fmt.Errorf("print the machines side by side: %w", err))
		}
	}
	return nil
}

// flagNames collects the names of flags as commands, for suggestions.
func flagNames(into *cobra.Command) func(*pflag.Flag) {
	return func(f *pflag.Flag) {
		into.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	}
}
