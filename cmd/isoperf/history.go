package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"isoperf/reports/compare"
	"isoperf/reports/history"
	"isoperf/reports/plot"
)

// historyFlags are what history was given.
type historyFlags struct {
	gate
	add          bool
	commit, date string
	floor        string
	since        string
	ignore       []string
	verbose      bool
	plots        string
	files        map[string]*string // by flag: "json" and what it was given
}

func (c *cli) history() *cobra.Command {
	var o historyFlags
	cmd := &cobra.Command{
		Use:   "history DIR [PATTERN…]",
		Short: "Say since which commit what is slower, from many result files",
		Long: `Keep result files by commit in a folder, and find in them where a case changed
its level: which commit is the first that was measured to be slower, how sure
that is, and by how much. When the controls in the files stepped at the same
place, the machine changed there, and no commit is blamed. PATTERN chooses cases
by name, as for bench. 'isoperf help histories' tells more.

With --add, copy result files into the folder, which is made when it is not
there. Nothing in it is ever overwritten. The commit is that which the file
records, else the one that is checked out here; its date is git's, else that of
the run.

Exit status: 0 nothing is slower now, 1 something is, 2 usage, or a file cannot
be read or written, 3 cannot tell (--inconclusive=pass|fail).`,
		Example: `  isoperf history perf --add isoperf-clone-20261123T1447Z.txt
  isoperf history perf --add head.txt --commit "$GITHUB_SHA"
  isoperf history perf
  isoperf history perf clone/flag=net --plots pictures
  isoperf history perf --since 3f2a91c --markdown "$GITHUB_STEP_SUMMARY"
  isoperf compare base.txt head.txt --history perf`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("history needs the folder of result files (isoperf history DIR --add FILE… makes one)")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if o.add {
				return c.runHistoryAdd(args[0], args[1:], o)
			}
			return c.runHistory(args[0], args[1:], o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.add, "add", false, "copy the result files that follow into the folder")
	f.StringVar(&o.commit, "commit", "", "the `COMMIT` that --add's files measured")
	f.StringVar(&o.date, "date", "", "its `DATE`, which orders the files: 2026-11-23 or 2026-11-23T14:47:00Z")
	f.StringVar(&o.floor, "floor", "2%", "the least `CHANGE` that counts")
	f.StringVar(&o.since, "since", "", "accept what changed up to this `COMMIT`")
	f.StringSliceVar(&o.ignore, "ignore", nil, "compare files although this `KEY` differs, as host does on hired machines")
	f.StringVar(&o.inconclusive, "inconclusive", "", "what \"cannot tell\" is: `pass|fail` (default exit status 3)")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "every case, with its scatter and the least step that would be seen")
	f.StringVar(&o.plots, "plots", "", "write a picture of each case into this `FOLDER` (SVG and PNG)")
	o.files = map[string]*string{}
	for _, out := range historyOutputs() {
		o.files[out.flag] = f.String(out.flag, "", out.help)
	}
	return cmd
}

// historyOutput is a file for programs.
type historyOutput struct {
	flag, help string
	write      func(w io.Writer, h history.History, exit int) error
}

func historyOutputs() []historyOutput {
	return []historyOutput{
		{"markdown", "write a comment's Markdown to this `FILE` (less than 65,536 characters)", func(w io.Writer, h history.History, _ int) error {
			return history.Markdown(w, h, compare.CommentLimit)
		}},
		{"json", "write all that is said to this `FILE` (" + history.Schema + ")", history.JSON},
		{"csv", "write a line for each case and run to this `FILE`", func(w io.Writer, h history.History, _ int) error { return history.CSV(w, h) }},
	}
}

// outputs are the files that were asked for.
func (o historyFlags) outputs(h history.History, exit int) (asked []outputFile) {
	for _, out := range historyOutputs() {
		if path := *o.files[out.flag]; path != "" {
			asked = append(asked, outputFile{out.flag, path, func(w io.Writer) error { return out.write(w, h, exit) }})
		}
	}
	return asked
}

// check refuses what cannot be meant.
func (o historyFlags) check(dir string) error {
	if err := o.choices(); err != nil {
		return err
	}
	asked := o.outputs(history.History{}, exitDone)
	for _, out := range asked {
		full := fullName(out.path)
		if _, stored := parseStored(filepath.Base(full)); stored && filepath.Dir(full) == fullName(dir) {
			return usage("--%s %s: that is a file of the history, which is never overwritten; give another name", out.flag, out.path)
		}
	}
	if err := distinctOutputs(asked, nil); err != nil {
		return err
	}
	for name, value := range map[string]string{"commit": o.commit, "date": o.date} {
		if value != "" {
			return usage("--%s is for --add", name)
		}
	}
	return nil
}

func (c *cli) runHistory(dir string, patterns []string, o historyFlags) error {
	if err := o.check(dir); err != nil {
		return err
	}
	floor, err := parsePercent(o.floor)
	if err != nil {
		return usage("--floor: %v", err)
	}
	runs, broken, err := c.readStore(dir)
	if err != nil {
		return cannot(err)
	}
	if o.since != "" && !slices.ContainsFunc(runs, func(r history.Run) bool { return history.SameCommit(r.Commit, o.since) }) {
		return usage("--since %s: the history has no run of that commit", o.since)
	}
	match, err := caseMatch(runs, patterns)
	if err != nil {
		return err
	}
	h := history.Of(runs, history.Options{Floor: floor, Match: match, Ignore: o.ignore, Since: o.since})
	exit := o.exit(h.Verdict, broken)
	silent, err := c.writeOutputs(o.outputs(h, exit))
	if err != nil {
		return cannot(err)
	}
	if !silent {
		if err := history.Write(c.stdout, h, history.Printing{Width: width(c.stdout), Verbose: o.verbose}); err != nil {
			return cannot(err)
		}
	}
	if err := c.writePictures(h, o.plots); err != nil {
		return cannot(err)
	}
	c.warn(o.gate, h.Verdict)
	if exit != exitDone {
		return status{code: exit}
	}
	return nil
}

// exit is the exit status of a verdict; a history with broken files is never fine.
func (o historyFlags) exit(v compare.Verdict, broken int) int {
	code := o.status(v)
	if code == exitDone && broken > 0 {
		return exitUsage
	}
	return code
}

// caseMatch says which cases patterns name; nil: all.
func caseMatch(runs []history.Run, patterns []string) (func(string) bool, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	exact := func(p, name string) bool { return matches(p, listName(name)) }
	begins := func(p, name string) bool {
		return strings.HasPrefix(strings.ToLower(listName(name)), strings.ToLower(p))
	}
	wanted := map[string]bool{}
	for _, p := range patterns {
		found := false
		for _, test := range []func(p, name string) bool{exact, begins} {
			for _, r := range runs {
				for _, k := range r.File.Cases {
					if !wanted[k.Name] && !test(p, k.Name) {
						continue
					}
					found = found || test(p, k.Name)
					wanted[k.Name] = true
				}
			}
			if found {
				break
			}
		}
		if !found {
			return nil, usage("no case of the history matches %q (isoperf history DIR --verbose shows them)", p)
		}
	}
	return func(name string) bool { return wanted[name] }, nil
}

// mostPictures bounds how many cases are drawn, what matters first.
const mostPictures = 100

// writePictures draws each series into a folder; "" is nowhere.
func (c *cli) writePictures(h history.History, dir string) error {
	if dir == "" {
		return nil
	}
	figures, err := plot.History(h, mostPictures)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of pictures: %w", err)
	}
	for _, f := range figures {
		for _, kind := range []struct {
			ext  string
			draw func(io.Writer) error
		}{{".svg", f.SVG}, {".png", f.PNG}} {
			var picture bytes.Buffer
			if err := kind.draw(&picture); err != nil {
				return err
			}
			if err := writeWhole(filepath.Join(dir, f.Name+kind.ext), picture.Bytes()); err != nil {
				return fmt.Errorf("write a picture: %w", err)
			}
		}
	}
	fmt.Fprintf(c.stderr, "isoperf: %d pictures in %s\n", len(figures), dir)
	return nil
}
