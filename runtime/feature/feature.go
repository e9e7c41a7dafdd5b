// Package feature says what this machine can do, in three values: it is here;
// it is not here, because of what was seen, and this would change it; or the
// probe itself failed.
//
//	files below Root ──┐
//	harmless calls   ──┼──► one probe per name ──► Result ──► Families: what can be measured
//	programs on PATH ──┘
//
// A probe reads a file, makes a system call whose arguments are invalid on
// purpose, or starts a child that ends before it has run anything. Nothing
// on the machine is changed, and nothing is remembered between probes.
//
// Whatever is a file is read below Host.Root, and whatever is not a file is a
// function in Host, so every refusal that is met in the field can be played
// back from a directory.
package feature

import (
	"context"
	"slices"
)

// State is the outcome of a probe.
type State int

// The zero value is ProbeFailed: a result that nobody filled in claims nothing.
const (
	ProbeFailed State = iota // the probe could not tell
	NotHere                  // Why says what was seen, Fix what a person can do
	Have
)

// String is the word that people read.
func (s State) String() string {
	switch s {
	case Have:
		return "ok"
	case NotHere:
		return "not here"
	}
	return "failed"
}

// Result is what one probe found.
type Result struct {
	Group  string // the heading it stands under
	Name   string // unique among all results
	State  State
	Detail string // what was found; always set with Have
	Why    string // what was seen, and in which file; set unless Have
	Fix    string // an exact command or setting; set unless Have
	Err    error  // what the probe ran into; nil when a file alone decided
}

// Groups, in the order of All.
const (
	groupKernel      = "kernel"
	groupPrivilege   = "privilege"
	groupNamespaces  = "namespaces"
	groupConfinement = "confinement"
	groupCgroups     = "cgroups"
	groupMounts      = "mounts"
	groupRootless    = "rootless"
	groupMeasuring   = "measuring"
	groupPrograms    = "programs"
)

// probe is the name of a question; its methods are the three answers.
type probe struct{ group, name string }

func (p probe) have(detail string) Result {
	return Result{Group: p.group, Name: p.name, State: Have, Detail: detail}
}

func (p probe) notHere(why, fix string) Result {
	return Result{Group: p.group, Name: p.name, State: NotHere, Why: why, Fix: fix}
}

// because is notHere for what an earlier result already explains.
func (p probe) because(r Result) Result {
	if r.State == ProbeFailed {
		return p.failed(r.Err)
	}
	return p.notHere(r.Why, r.Fix)
}

func (p probe) failed(err error) Result {
	return Result{
		Group: p.group, Name: p.name, State: ProbeFailed, Err: err,
		Why: "the probe failed: " + err.Error(),
		Fix: "repeat as root; if it fails there too, look at the file or call that the message names",
	}
}

func (r Result) with(err error) Result {
	r.Err = err
	return r
}

// Host is where the probes look. The zero value is unusable; New fills it.
type Host struct {
	Root string // "/", or a directory that stands for a machine

	UID     func() int               // effective user
	GIDs    func() []int             // effective and supplementary groups
	Getenv  func(name string) string // "" when unset
	Release func() (string, error)   // uname -r

	// Call answers what the harmless, invalid form of a system call answers;
	// the names are those of the table calls.
	Call func(name string) error
	// Clone starts a child with CLONE_NEW* flags that ends at once. With
	// CLONE_NEWUSER the child also uses a capability of its new namespace,
	// because AppArmor lets it be made and then takes its capabilities away.
	Clone func(flags uint64) error
	// Memfd makes and drops an executable memory file.
	Memfd func() error
	// Perf opens and closes a cycle counter on this process, counting the
	// kernel too when kernel is true.
	Perf func(kernel bool) error

	OpenDevice func(path string) error // opens for reading and writing, and closes
	Writable   func(path string) error // access(2) with the effective ids
	FileCaps   func(path string) bool  // has file capabilities

	LookPath func(name string) (string, error)
	// Version is what the program at path says to --version. It must return
	// soon after ctx ends.
	Version func(ctx context.Context, path string) (string, error)
}

// New is the machine that this process runs on.
func New() *Host {
	return &Host{
		Root: "/",
		UID:  effectiveUID, GIDs: groups, Getenv: getenv, Release: release,
		Call: call, Clone: clone, Memfd: memfd, Perf: perf,
		OpenDevice: openDevice, Writable: writable, FileCaps: fileCaps,
		LookPath: lookPath, Version: programVersion,
	}
}

// All asks everything, in the order in which it is shown. It takes some tens
// of milliseconds, and at most a few seconds when programs do not answer.
func (h *Host) All(ctx context.Context) []Result {
	return slices.Concat(
		h.Kernel(),
		h.Privileges(),
		h.Namespaces(),
		h.Confinement(),
		h.CgroupFeatures(),
		h.Mounts(),
		h.Rootless(),
		h.Measuring(),
		h.Programs(ctx),
	)
}

// Find returns the result called name.
func Find(results []Result, name string) (Result, bool) {
	i := slices.IndexFunc(results, func(r Result) bool { return r.Name == name })
	if i < 0 {
		return Result{}, false
	}
	return results[i], true
}
