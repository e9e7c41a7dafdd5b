package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/sample"
	"isoperf/reports/history"
)

// The store of history is a folder of result files, each as it was when it was
// added. The name of a file says what the folder adds to it:
//
//	20261123T144700Z-000007-3f2a91c0b1d2-9c56cc51.txt
//	date of the commit │      commit       └ SHA-256 of the file
//	                   └ the order in which files were added
//
// Files are in order of dates, and those of one date in the order in which they
// were added. Whoever adds holds a lock on the folder.

// stored is the name of a file in a store.
type stored struct {
	name     string
	date     time.Time
	sequence int
	commit   string
	sum      string
}

const storedDate = "20060102T150405Z"

// parseStored reads a name; false: it is not of a store.
func parseStored(name string) (stored, bool) {
	m := regexp.MustCompile(`^(\d{8}T\d{6}Z)-(\d{6,})-([0-9A-Za-z][0-9A-Za-z._+-]*)-([0-9a-f]{8})\.txt$`).FindStringSubmatch(name)
	if m == nil {
		return stored{}, false
	}
	date, err := time.Parse(storedDate, m[1])
	sequence, errN := strconv.Atoi(m[2])
	return stored{name, date, sequence, m[3], m[4]}, err == nil && errN == nil
}

// listStore is what a store holds, in order, and the names of what else is there.
func listStore(dir string) (list []stored, others []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("read the history %q: %w", dir, err)
	}
	for _, e := range entries {
		if s, ok := parseStored(e.Name()); ok {
			list = append(list, s)
		} else if strings.HasSuffix(e.Name(), ".txt") && !strings.HasPrefix(e.Name(), ".") {
			others = append(others, e.Name())
		}
	}
	slices.SortFunc(list, func(a, b stored) int {
		if c := a.date.Compare(b.date); c != 0 {
			return c
		}
		return a.sequence - b.sequence
	})
	return list, others, nil
}

// readStore reads the files of a store in order. One that cannot be read, or that
// is not what was added, is named on standard error and left out.
func (c *cli) readStore(dir string) (runs []history.Run, broken int, err error) {
	list, others, err := listStore(dir)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range others {
		fmt.Fprintf(c.stderr, "isoperf: %s: it was not added, and is left out (isoperf history %s --add FILE)\n", filepath.Join(dir, name), dir)
	}
	for _, s := range list {
		path := filepath.Join(dir, s.name)
		file, err := readStored(path, s)
		if err != nil {
			fmt.Fprintf(c.stderr, "isoperf: %v; it is left out\n", err)
			broken++
			continue
		}
		runs = append(runs, history.Run{Name: s.name, Commit: s.commit, Time: s.date, File: file})
	}
	if len(runs) == 0 {
		return nil, broken, fmt.Errorf("read the history %q: there is no result file that can be read; add some: isoperf history %s --add FILE", dir, dir)
	}
	return runs, broken, nil
}

func readStored(path string, s stored) (*sample.File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if sumOf(data) != s.sum {
		return nil, fmt.Errorf("%s: it is not as it was when it was added; add the right file again and remove this one", path)
	}
	return sample.Read(path, bytes.NewReader(data))
}

// sumOf is the part of a file's SHA-256 that is in its name.
func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:4])
}

func (c *cli) runHistoryAdd(dir string, paths []string, o historyFlags) error {
	if len(paths) == 0 {
		return usage("--add needs result files (isoperf bench writes them)")
	}
	if o.commit != "" && !validCommit(o.commit) {
		return usage("--commit %q: it must be letters, digits, and the signs . _ + - within, at most 64", o.commit)
	}
	date, err := parseDate(o.date)
	if err != nil {
		return usage("--date: %v", err)
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return usage("history %s: that is no folder; the folder comes first, and then the files", dir)
	}
	made := false
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		made = true
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return cannot(fmt.Errorf("make the history's folder: %w", err))
	}
	if made {
		if err := giveToUser(dir); err != nil {
			return cannot(err)
		}
	}
	for _, path := range paths {
		if err := c.addToStore(dir, path, o.commit, date); err != nil {
			return cannot(err)
		}
	}
	return nil
}

// validCommit says whether a name can stand in that of a file.
func validCommit(name string) bool {
	return regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._+-]{0,63}$`).MatchString(name)
}

// parseDate reads a day or a moment; "" is the zero time.
func parseDate(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a day (2026-11-23) nor a moment (2026-11-23T14:47:00Z)", text)
}

// addToStore copies one file, and says what it was taken for.
func (c *cli) addToStore(dir, path, commit string, date time.Time) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("add to the history: %w", err)
	}
	file, err := sample.Read(path, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("add to the history: %w", err)
	}
	for _, note := range file.Notes {
		fmt.Fprintf(c.stderr, "isoperf: %s: %s\n", path, note)
	}
	name, whence, err := commitOf(file, commit)
	if err != nil {
		return err
	}
	if strings.HasSuffix(name, "-dirty") {
		fmt.Fprintf(c.stderr, "isoperf: warning: %s: files were changed since that commit, so it may be blamed for what they do\n", name)
	}
	unlock, err := lockFolder(dir)
	if err != nil {
		return fmt.Errorf("lock the history %q: %w", dir, err)
	}
	defer unlock()
	list, _, err := listStore(dir)
	if err != nil {
		return err
	}
	s := stored{commit: shortCommit(name), sum: sumOf(data), sequence: 1}
	for _, other := range list {
		s.sequence = max(s.sequence, other.sequence+1)
		if other.sum != s.sum {
			continue
		}
		if same, err := os.ReadFile(filepath.Join(dir, other.name)); err == nil && bytes.Equal(same, data) {
			return fmt.Errorf("add %q to the history: it is there already, as %s; give another run", path, other.name)
		}
	}
	when := ""
	if s.date, when, err = dateOf(file, name, date, list); err != nil {
		return err
	}
	s.name = fmt.Sprintf("%s-%06d-%s-%s.txt", s.date.Format(storedDate), s.sequence, s.commit, s.sum)
	if err := putIn(dir, s.name, data); err != nil {
		return fmt.Errorf("add %q to the history: %w", path, err)
	}
	fmt.Fprintf(c.stdout, "%s: commit %s (%s) of %s (%s)\n", filepath.Join(dir, s.name), s.commit, whence, s.date.Format(time.RFC3339), when)
	return nil
}

// commitOf is the commit that a file measured, and who says so.
func commitOf(file *sample.File, given string) (name, whence string, err error) {
	if given != "" {
		return given, "--commit", nil
	}
	if recorded := file.Recorded("commit"); recorded != "" && recorded != "unknown" && validCommit(recorded) {
		return recorded, "recorded in the file", nil
	}
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*").Output()
	if name := strings.TrimSpace(string(out)); err == nil && validCommit(name) {
		return name, "checked out here", nil
	}
	return "", "", fmt.Errorf("add %q to the history: it records no commit, and none is checked out here; say which it measured: --commit SHA", file.Path)
}

// shortCommit is twelve digits of a hash, and any other name as it is.
func shortCommit(name string) string {
	return regexp.MustCompile(`^([0-9a-f]{12})[0-9a-f]{1,52}(-dirty)?$`).ReplaceAllString(name, "$1$2")
}

// dateOf is the date of a commit, and who says so: the user, git, what is in the
// store already, or the run.
func dateOf(file *sample.File, commit string, given time.Time, list []stored) (time.Time, string, error) {
	if !given.IsZero() {
		return given, "--date", nil
	}
	out, err := exec.Command("git", "show", "-s", "--format=%cI", strings.TrimSuffix(commit, "-dirty")+"^{commit}", "--").Output()
	if t, errT := time.Parse(time.RFC3339, strings.TrimSpace(string(out))); err == nil && errT == nil {
		return t.UTC(), "git", nil
	}
	for _, s := range list {
		if s.commit == shortCommit(commit) {
			return s.date, "as its other run", nil
		}
	}
	if t, err := time.Parse(time.RFC3339, file.Recorded("start")); err == nil {
		return t.UTC(), "of the run", nil
	}
	return time.Time{}, "", fmt.Errorf("add %q to the history: git does not know %s, and the file has no date; say when it was: --date DATE", file.Path, commit)
}

// putIn writes a file into a store whose lock is held: beside its name, which it
// then takes, when it is on the disk. What a killed program left is removed.
func putIn(dir, name string, data []byte) (err error) {
	left, err := filepath.Glob(filepath.Join(dir, ".*.new"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, name)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s is there already: %w", path, fs.ErrExist)
	}
	// Nobody is to change it by mistake.
	file, err := os.OpenFile(filepath.Join(dir, "."+name+".new"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := giveToUser(file.Name()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil // it is there; that the name is on the disk cannot be asked for
	}
	defer folder.Close()
	return folder.Sync()
}
