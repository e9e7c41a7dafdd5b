// Package load is what runs inside a control group while its limits are
// measured: bounded loads with counters of their own, so that what the kernel
// says of a group can be held against what its processes really had.
//
//	Spec ──Args──► PROGRAM load KIND …  (born in the group)  ──► Board, shared memory ──► whoever measures
//
// The program is the one that measures, executed again: its main function, or
// its TestMain, calls Main first. So a container needs no image, and there is no
// second binary. The board is a memfd that both have mapped: the load
// says there what it did and when, and is told there when to begin and to
// stop; reading it takes no system call, and a load that was throttled or killed
// has still left its last word.
//
// Every load ends when it is told to, when its parent is gone, and after Bound
// at the latest.
package load

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Word is the first argument of a program that is to be a load.
const Word = "load"

// Bound is how long a load runs at most.
const Bound = 10 * time.Minute

// Spec is a load. The zero value of a field is what its kind takes by default.
type Spec struct {
	Kind    string        // the name of a Kind
	Threads int           // how many do the same; 0: one
	Work    time.Duration // of one request, or one turn
	Every   time.Duration // between the beginnings of two of them
	Bytes   int64         // how much in all
	Step    int64         // and how much at once
	Count   int64         // how many
	Path    string        // of a file, or a device
	Extra   string        // what else a kind takes
}

// Args are the arguments of the program that is the load.
func (s Spec) Args() []string {
	args := []string{Word, s.Kind}
	add := func(name, value string) { args = append(args, "-"+name+"="+value) }
	if s.Threads != 0 {
		add("threads", strconv.Itoa(s.Threads))
	}
	if s.Work != 0 {
		add("work", s.Work.String())
	}
	if s.Every != 0 {
		add("every", s.Every.String())
	}
	for name, n := range map[string]int64{"bytes": s.Bytes, "step": s.Step, "count": s.Count} {
		if n != 0 {
			add(name, strconv.FormatInt(n, 10))
		}
	}
	if s.Path != "" {
		add("path", s.Path)
	}
	if s.Extra != "" {
		add("extra", s.Extra)
	}
	return args
}

// parse is the reverse of Args, without the word; there is at least the kind.
func parse(args []string) (Spec, error) {
	s := Spec{Kind: args[0]}
	f := flag.NewFlagSet(s.Kind, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&s.Threads, "threads", 1, "")
	f.DurationVar(&s.Work, "work", 0, "")
	f.DurationVar(&s.Every, "every", 0, "")
	f.Int64Var(&s.Bytes, "bytes", 0, "")
	f.Int64Var(&s.Step, "step", 0, "")
	f.Int64Var(&s.Count, "count", 0, "")
	f.StringVar(&s.Path, "path", "", "")
	f.StringVar(&s.Extra, "extra", "", "")
	if err := f.Parse(args[1:]); err != nil {
		return s, fmt.Errorf("load %s: %w", s.Kind, err)
	}
	if f.NArg() > 0 || s.Threads < 1 || s.Threads > Slots {
		return s, fmt.Errorf("load %s: it takes no further words, and 1 to %d threads", s.Kind, Slots)
	}
	return s, nil
}

// Kind is a row of the table of loads: Run does its work until told to stop.
type Kind struct {
	Name string
	Run  func(Spec, *Board) error
}

// kinds are the loads of this package.
func kinds() []Kind {
	return []Kind{
		{"spin", spin},
		{"syscall", syscalls},
		{"turns", turns},
		{"anon", anon},
		{"shmem", shmem},
		{"file", file},
		{"forks", forks},
		{"pulse", pulse},
		{"io", direct},
		{"idle", idle},
		{"probe", probe},
		{"task", task},
		{"hog", hog},
	}
}

// names are those of kinds, in a sentence.
func names(kinds []Kind) string {
	var all []string
	for _, k := range kinds {
		all = append(all, k.Name)
	}
	return strings.Join(all, ", ")
}

// Main is the load that the arguments of this process ask for, one of this
// package's or of more; it does not return then. It returns when they ask for
// none.
func Main(more ...Kind) {
	if len(os.Args) < 2 || os.Args[1] != Word || os.Getenv(envBoard) == "" {
		return
	}
	if err := run(os.Args[2:], append(kinds(), more...)); err != nil {
		fmt.Fprintf(os.Stderr, "load: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// envBoard says which descriptor is the board.
const envBoard = "ISOPERF_LOAD_BOARD"

// Env is the environment of a load that has its board's file as descriptor fd.
func Env(fd int) []string {
	// Preemption by signals would be work that the load does not want to do.
	return []string{envBoard + "=" + strconv.Itoa(fd), "GODEBUG=asyncpreemptoff=1", "PATH=" + os.Getenv("PATH")}
}

func run(args []string, kinds []Kind) error {
	if len(args) == 0 {
		return fmt.Errorf("a load needs a kind: %s", names(kinds))
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == s.Kind })
	if i < 0 {
		return fmt.Errorf("no load is called %q; there are %s", s.Kind, names(kinds))
	}
	fd, err := strconv.Atoi(os.Getenv(envBoard))
	if err != nil {
		return fmt.Errorf("%s is %q, not a descriptor", envBoard, os.Getenv(envBoard))
	}
	b, err := mapBoard(fd)
	if err != nil {
		return err
	}
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(s.Threads + 1)
	time.AfterFunc(Bound, func() { os.Exit(3) })
	go orphaned()
	return kinds[i].Run(s, b)
}

// orphaned ends the process when its parent has: what the death signal does
// too, unless credentials changed.
func orphaned() {
	parent := unix.Getppid()
	for range time.Tick(time.Second) {
		if unix.Getppid() != parent {
			os.Exit(3)
		}
	}
}

// threads runs f on n threads of their own, once they may begin, and waits for all.
func threads(n int, b *Board, f func(thread int) error) error {
	return Threads(n, b, func(i int) error {
		b.AwaitGo()
		return f(i)
	})
}

// Threads runs f at once on n threads of their own, whose ids are in their slots,
// and waits for all. What f has prepared, it ends with Board.AwaitGo.
func Threads(n int, b *Board, f func(thread int) error) error {
	failed := make(chan error, n)
	for i := range n {
		go func() {
			runtime.LockOSThread()
			b.Slots[i].Tid.Store(uint32(unix.Gettid()))
			failed <- f(i)
		}()
	}
	var all error
	for range n {
		all = errors.Join(all, <-failed)
	}
	return all
}
