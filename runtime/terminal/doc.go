// Package terminal is the person's side of a container's terminal: it puts the
// person's own into raw mode, copies both ways, and puts it back.
//
//	person ──in──► feed ──► master ══ pty ══ slave: the command's controlling terminal
//	   ▲                      │
//	   └──out──── pump ◄──────┘       SIGWINCH ──► follow ──► the pty's size
//
// All keys go through as bytes. Ctrl-C and Ctrl-Z become signals in the inner
// terminal, for the inner foreground process group; see termios(3).
//
// Each way is one goroutine that polls, and never reads the person's terminal
// before there is something to read and room for it inside; so nothing is read
// that belongs to the next reader. The person's descriptors are not made
// non-blocking, since others share them.
package terminal
