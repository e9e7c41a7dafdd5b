package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Sweep removes what runtimes that were killed have left behind: helpers, veth
// pairs, rules, addresses, and the bridge when no container is on it. A record
// is swept when neither the runtime that made it nor the container lives. It
// returns what it removed, a line each, also beside an error. A directory that
// is not there is clean.
func Sweep(recordDir string) ([]string, error) {
	if _, err := os.Stat(recordDir); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	unlock, err := lockRecords(recordDir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	paths, err := filepath.Glob(filepath.Join(escape(recordDir), "*"+recordSuffix))
	if err != nil {
		return nil, fmt.Errorf("list network records: %w", err)
	}
	var swept []string
	var failed []error
	for _, path := range paths {
		what, err := sweepRecord(path)
		swept = append(swept, what...)
		if err != nil {
			failed = append(failed, err)
		}
	}
	// One that was killed while it wrote the bridge's note; nobody writes it now,
	// for the records are locked.
	if err := os.Remove(filepath.Join(recordDir, bridgeName+newSuffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
		failed = append(failed, fmt.Errorf("sweep the network: remove a half-written note: %w", err))
	}
	if _, err := os.Stat(filepath.Join(recordDir, bridgeName)); err == nil {
		removed, err := removeBridge(recordDir)
		if removed {
			swept = append(swept, "bridge "+bridgeLink+" and its rules")
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return swept, errors.Join(failed...)
}

// escape makes a path one that Glob takes as it is.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func sweepRecord(path string) (swept []string, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // its Link was closed just now
	}
	if err != nil {
		return nil, fmt.Errorf("sweep the network: %w", err)
	}
	defer f.Close()
	switch err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
	case unix.EWOULDBLOCK:
		return nil, nil // its runtime lives
	default:
		return nil, fmt.Errorf("sweep the network: lock %q: %w", path, err)
	}
	n, err := readNote(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // it was closed since it was opened here
	}
	if err != nil {
		return nil, err
	}
	if n.Target.alive() {
		return nil, nil
	}
	var failed []error
	try := func(what string, err error) {
		switch {
		case err != nil:
			failed = append(failed, err)
		case what != "":
			swept = append(swept, what)
		}
	}
	if n.Helper.alive() {
		try(fmt.Sprintf("%s %d of %s", n.Mode, n.Helper.PID, n.ID), n.Helper.kill())
	}
	if n.Rules {
		try("rules of "+n.ID, deleteRules(ruleComment(n.ID)))
	}
	if n.Veth != "" {
		removed, err := removeVeth(n.Veth)
		if removed {
			try("veth "+n.Veth+" of "+n.ID, err)
		} else {
			try("", err)
		}
	}
	// The pattern is well-formed, so Glob has no error.
	sockets, _ := filepath.Glob(filepath.Join(escape(filepath.Dir(path)), escape(Config{ID: n.ID}.socketPrefix())+"*"))
	for _, dir := range sockets {
		try("control socket of "+n.ID, os.RemoveAll(dir))
	}
	if len(failed) == 0 { // or the next sweep tries again
		try("record of "+n.ID, os.Remove(path))
	}
	return swept, errors.Join(failed...)
}
