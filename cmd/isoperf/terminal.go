package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// width is the columns of a terminal, at most 100; 80 elsewhere.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns >= 40 {
			return min(columns, 100)
		}
	}
	return 80
}

// terminal says whether w is one that can redraw a line.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}
