package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/shlex"
)

// abFlags are the flags of ab.
type abFlags struct {
	compareFlags
	base, head     string
	out            string
	time           time.Duration
	samples        int
	bundle, rootfs string
	exec           string
}

// kind is what the two sides of ab are.
type kind string

const (
	ofRuntimes kind = "runtimes"
	ofBuilds   kind = "builds of isoperf"
	ofCommands kind = "commands"
)

// side is one of the two, as it was asked for.
type side struct {
	kind       kind
	text       string
	name, path string   // of a runtime; its entry of the table, or what it is called
	argv       []string // of a command, or the path of a build
}

const abLong = `Measure two things in turns on this machine, and say whether head is slower than
base. What the two are is told by how they are written:

  runc, isorun=./old/isorun   runtimes: whole starts of the usual container
  "./prog --x"                commands: whole processes, from clone to reaped
  ./old/isoperf PATTERN…      builds of isoperf: each runs bench with PATTERN

First base is measured against itself: what that shows is noise. That ends when
it is plainly less than what counts, after a fifth of the time at the latest.
Then base and head take turns, in random order, until it is decided; what got
slower is measured once more before it is said. Every sample is kept in
DIR/base.txt and DIR/head.txt, which isoperf compare and benchstat read.

Once a second the files of both programs are dropped from the page cache, and
read in again: in what pages the kernel holds a file depends on how it was
written, and is worth up to 8 % of a start.

Commands run here, with this environment, no input, and their output dropped;
one that ends with another status than 0 has failed, and is not timed.

Exit status: 0 nothing got slower, 1 something did, 2 usage, or it cannot be
measured, 3 cannot tell (--inconclusive=pass|fail), 4 not comparable
(--not-comparable=pass|fail), 130 interrupted.`

const abExample = `  isoperf ab --base runc --head crun
  isoperf ab --base isorun=./old/isorun --head isorun=./new/isorun --time 1m
  isoperf ab --base "./prog --x" --head "./prog --y" --floor 5%
  isoperf ab --base ./old/isoperf --head ./new/isoperf clone/flag=net`

// parseSide says what a side is. Patterns make builds of both.
func parseSide(flag, text string, patterns []string, names []string) (side, error) {
	words, err := shlex.Split(text)
	if err != nil {
		return side{}, usage("--%s %q: %v", flag, text, err)
	}
	if len(words) == 0 {
		return side{}, usage("ab needs --base and --head: a runtime, a command, or a build of isoperf")
	}
	s := side{text: text, argv: words, kind: ofCommands}
	if len(patterns) > 0 {
		if len(words) > 1 {
			return side{}, usage("--%s %q: with patterns it must be the path of a build of isoperf, and nothing else", flag, text)
		}
		s.kind = ofBuilds
		if s.path, err = exec.LookPath(words[0]); err != nil {
			return side{}, usage("--%s %q: %v", flag, text, err)
		}
		if s.path, err = filepath.Abs(s.path); err != nil {
			return side{}, usage("--%s %q: %v", flag, text, err)
		}
		return s, nil
	}
	if len(words) > 1 {
		return s, nil
	}
	name, path, given := strings.Cut(words[0], "=")
	last := filepath.Base(words[0])
	switch {
	case given && !strings.Contains(name, "/"):
		s.kind, s.name, s.path = ofRuntimes, name, path
	case slices.Contains(names, words[0]):
		s.kind, s.name = ofRuntimes, words[0]
	case slices.Contains(names, last):
		s.kind, s.name, s.path = ofRuntimes, last, words[0]
	case strings.HasPrefix(last, "isoperf"):
		return side{}, usage("--%s %q: two builds of isoperf need a pattern of cases, as in: isoperf ab … clone/flag=net (isoperf list shows them)", flag, text)
	}
	return s, nil
}

// caseOf and unitOf are the parts of what a judge calls a case.
func caseOf(name string) string { return name[:strings.LastIndexByte(name, ' ')] }

func unitOf(name string) string { return name[strings.LastIndexByte(name, ' ')+1:] }

// longStart is how long a command may run, when the whole comparison takes less.
const longStart = 20 * time.Second
