package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// writeWhole writes a file so that nobody ever sees half of it: beside the name
// that it is to have, which it then takes. What was there before stays as it was
// when that fails. A link is followed; a device or a pipe is written as it is, and
// so is a file that GitHub's runner has made for a job's summary: it grows.
func writeWhole(path string, data []byte) (err error) {
	mode := fs.FileMode(0o666)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
		if !info.Mode().IsRegular() || path == os.Getenv("GITHUB_STEP_SUMMARY") {
			return appendTo(path, data)
		}
	}
	full := fullName(path)
	file, err := os.OpenFile(filepath.Join(filepath.Dir(full), fmt.Sprintf(".%s.%d.new", filepath.Base(full), os.Getpid())), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := giveToUser(file.Name()); err != nil {
		return err
	}
	return os.Rename(file.Name(), full)
}

// appendTo writes to what is open-ended.
func appendTo(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

// fullName is a path without links, of a file that need not be there.
func fullName(path string) string {
	full, err := filepath.EvalSymlinks(path)
	if err != nil {
		full = path
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			full = filepath.Join(dir, filepath.Base(path))
		}
	}
	if abs, err := filepath.Abs(full); err == nil {
		return abs
	}
	return full
}
