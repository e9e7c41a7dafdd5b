package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"isoperf/bench/environment"
	"isoperf/bench/sample"
	"isoperf/reports/limits"
)

// The files for programs are made before anything is measured, so that what
// cannot be written is known at once, and take their names when they are whole:
//
//	--json FILE ──► .FILE.PID.new ──written, closed──► FILE
//	                      └── the run fails: removed, and FILE is as it was

// listing is a file for programs.
type listing struct {
	to    io.Writer
	file  *os.File // nil: it is standard output
	final string   // the name that the file takes at the end; empty: it has its own
	write func(w io.Writer, f *sample.File, list []limits.Judgement, e limits.Exit) error
}

// asked is a file that a flag asks for.
type askedFile struct {
	flag, path string
	write      func(w io.Writer, f *sample.File, list []limits.Judgement, e limits.Exit) error
}

func (v *verification) asked() []askedFile {
	o := v.flags
	all := []askedFile{
		{"json", o.json, func(w io.Writer, f *sample.File, list []limits.Judgement, e limits.Exit) error {
			return limits.JSON(w, f, list, v.options, e)
		}},
		{"junit", o.junit, func(w io.Writer, f *sample.File, list []limits.Judgement, _ limits.Exit) error {
			return limits.JUnit(w, f, list, o.notJudged == "fail")
		}},
		{"metrics", o.metrics, func(w io.Writer, f *sample.File, list []limits.Judgement, _ limits.Exit) error {
			return limits.Metrics(w, f, list)
		}},
	}
	return slices.DeleteFunc(all, func(a askedFile) bool { return a.path == "" })
}

// open makes the result file and the others, before anything is measured. After
// an error, none of the others is left.
func (v *verification) open(family string, patterns []string) (err error) {
	defer func() {
		if err != nil {
			v.discard()
		}
	}()
	files := v.asked()
	if err := distinctFiles(append(files, askedFile{flag: "out", path: v.flags.out})); err != nil {
		return err
	}
	for _, a := range files {
		if a.path == "-" {
			if v.silent() {
				return usage("--%s -: standard output is taken already", a.flag)
			}
			v.outputs = append(v.outputs, listing{to: v.stdout, write: a.write})
			continue
		}
		l, err := newListing(a)
		if err != nil {
			return cannot(fmt.Errorf("make the file of --%s: %w", a.flag, err))
		}
		v.outputs = append(v.outputs, l)
	}
	env, err := environment.Read("/")
	if err != nil {
		return cannot(fmt.Errorf("read the machine's fingerprint: %w", err))
	}
	v.writer, err = createResult(v.flags.out, env, []chosen{{family: family}}, patterns, nil)
	return err
}

// distinctFiles refuses two flags that name the same file, however they spell it.
func distinctFiles(list []askedFile) error {
	by := map[string]string{}
	for _, a := range list {
		if a.path == "" || a.path == "-" {
			continue
		}
		target, err := resolved(a.path)
		if err != nil {
			continue // making it says what is wrong
		}
		if other, ok := by[target]; ok {
			return usage("--%s %s: that is the file of --%s already; give each its own", a.flag, a.path, other)
		}
		by[target] = a.flag
	}
	return nil
}

// resolved is a path without links, of a file that need not be there.
func resolved(path string) (string, error) {
	if full, err := filepath.EvalSymlinks(path); err == nil {
		return filepath.Abs(full)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return filepath.Abs(filepath.Join(dir, filepath.Base(path)))
}

// newListing makes a file beside the one that is asked for. A device, a pipe, or
// an open file of a process (/dev/fd/3) is written as it is.
func newListing(a askedFile) (listing, error) {
	kind := fs.FileMode(0)
	mode := fs.FileMode(0o666)
	if info, err := os.Stat(a.path); err == nil {
		kind, mode = info.Mode().Type(), info.Mode().Perm()
	}
	full, err := filepath.Abs(a.path)
	if err != nil {
		return listing{}, err
	}
	if kind != 0 || strings.HasPrefix(full, "/dev/") || strings.HasPrefix(full, "/proc/") {
		file, err := os.OpenFile(a.path, os.O_WRONLY, 0)
		return listing{to: file, file: file, write: a.write}, err
	}
	if full, err = resolved(a.path); err != nil {
		return listing{}, err
	}
	beside := filepath.Join(filepath.Dir(full), fmt.Sprintf(".%s.%d.new", filepath.Base(full), os.Getpid()))
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return listing{}, err
	}
	l := listing{to: file, file: file, final: full, write: a.write}
	if err := giveToUser(beside); err != nil {
		return listing{}, errors.Join(err, l.discard())
	}
	return l, nil
}

// finish writes the file, and gives it its name.
func (l listing) finish(f *sample.File, list []limits.Judgement, e limits.Exit) error {
	err := l.write(l.to, f, list, e)
	if l.file == nil {
		return err
	}
	if err == nil {
		err = l.file.Close()
	}
	if err == nil && l.final != "" {
		err = os.Rename(l.file.Name(), l.final)
	}
	if err != nil {
		return errors.Join(err, l.discard())
	}
	return nil
}

// discard removes what was begun; the file that is asked for is as it was.
func (l listing) discard() error {
	if l.file == nil {
		return nil
	}
	_ = l.file.Close() // it may be closed already
	if l.final == "" {
		return nil
	}
	if err := os.Remove(l.file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a file that was begun: %w", err)
	}
	return nil
}

// discard gives up the files that were not finished.
func (v *verification) discard() {
	for _, l := range v.outputs {
		if err := l.discard(); err != nil {
			fmt.Fprintln(v.stderr, "isoperf:", err)
		}
	}
	v.outputs = nil
}
