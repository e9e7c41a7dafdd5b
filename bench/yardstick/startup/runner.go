package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// containerID is the name of every container, which its keyring and group show.
const containerID = "startup"

// runner is what all parts need.
type runner struct {
	options
	scratch *scratch
	null    int   // /dev/null
	absent  error // the peers that are not installed
}

// build makes the programs that do not depend on a bundle, and says where
// isorun is.
func (s *scratch) build(isorun string) (string, error) {
	if err := errors.Join(
		s.compile("payload.c", s.path("payload"), "", "-nostdlib"),
		s.compile("witness.c", s.path("witness"), ""),
		s.compile("peak.c", s.path("peak"), ""),
	); err != nil {
		return "", err
	}
	source := s.path("empty.go")
	if err := os.WriteFile(source, []byte(emptyGo), 0o644); err != nil {
		return "", fmt.Errorf("write an empty Go program: %w", err)
	}
	if err := s.buildGo(source, s.path("empty")); err != nil {
		return "", err
	}
	if isorun == "" {
		isorun = s.path("isorun")
		return isorun, s.buildGo("isoperf/cmd/isorun", isorun)
	}
	return isorun, nil
}

// part measures one bundle: whole processes, and the library.
func (r *runner) part(letter string, write func() (*bundle, error), title string, peers func(*bundle) []*contender, paced bool) (missed int, err error) {
	whole, lib := strings.Contains(r.parts, letter), strings.Contains(r.parts, "3")
	if !whole && !lib {
		return 0, nil
	}
	b, err := write()
	if err != nil {
		return 0, err
	}
	c := r.scratch.path("c-" + letter)
	if err := errors.Join(r.scratch.yardstick(r.isorun, b.payload, c), r.scratch.yardstick(r.isorun, b.witness, c+"-witness")); err != nil {
		return 0, err
	}
	var burst *setting
	if whole {
		pauses := []time.Duration{0}
		if paced {
			pauses = append(pauses, r.pause)
		}
		for _, pause := range pauses {
			s := &setting{title: title + ", back to back", pause: pause, contenders: append(r.ours(b, c), peers(b)...)}
			if pause > 0 {
				s.title = fmt.Sprintf("%s, %v apart", title, pause)
			} else {
				burst = s
				s.contenders = append(s.contenders,
					&contender{name: nameVersion, argv: []string{r.isorun, "--version"}},
					&contender{name: nameEmpty, argv: []string{r.scratch.path("empty")}},
					&contender{name: namePayload, argv: []string{r.scratch.path("payload")}})
			}
			err := s.prepare(r.null, r.scratch.path("peak"))
			if err == nil {
				err = s.measure(r.limit, r.rounds)
			}
			s.close()
			if err != nil {
				return missed, err
			}
			missed += printSetting(os.Stdout, s)
			if pause == 0 {
				printDifferences(os.Stdout, s)
			}
		}
	}
	if lib {
		m, err := measureLibrary("3. from one process: "+title[3:], b.payload, c, r.null, r.limit, r.rounds)
		if err != nil {
			return missed, err
		}
		missed += printLibrary(os.Stdout, m)
		if burst != nil {
			printSpans(os.Stdout, burst, m)
		}
	}
	return missed, r.takeAbsent()
}

// ours are isorun and C.
func (r *runner) ours(b *bundle, c string) []*contender {
	return []*contender{
		{name: "isorun", argv: []string{r.isorun, "run", "-b", b.payload, containerID}, witness: []string{r.isorun, "run", "-b", b.witness, containerID}},
		{name: "C", argv: []string{c}, witness: []string{c + "-witness"}, bar: processBar},
	}
}

// runtimes are the peers that take a bundle.
func (r *runner) runtimes(b *bundle) (list []*contender) {
	for _, peer := range []struct {
		name string
		bar  float64
	}{{"crun", crunBar}, {"runc", runcBar}} {
		if path := r.find(peer.name); path != "" {
			argv := func(bundle string) []string {
				return []string{path, "run", "-b", bundle, containerID + "-" + peer.name}
			}
			list = append(list, &contender{name: peer.name, argv: argv(b.payload), witness: argv(b.witness), bar: peer.bar})
		}
	}
	return list
}

// bubblewrap makes the container of part 2 as near as it can.
func (r *runner) bubblewrap(b *bundle) []*contender {
	path := r.find("bwrap")
	if path == "" {
		return nil
	}
	argv := func(command string) []string {
		return []string{path, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup",
			"--as-pid-1", "--die-with-parent", "--new-session", "--bind", b.root, "/", "--proc", "/proc", "--tmpfs", "/dev", command}
	}
	return []*contender{{name: "bwrap", argv: argv("/payload"), witness: argv("/witness"), bar: bwrapBar}}
}

// find looks for a peer; one that is not there is not measured.
func (r *runner) find(name string) string {
	path, err := exec.LookPath(name)
	if err != nil && (r.absent == nil || !strings.Contains(r.absent.Error(), name)) {
		r.absent = errors.Join(r.absent, fmt.Errorf("%s was not measured: %w; scripts/peers installs it", name, err))
	}
	return path
}

func (r *runner) takeAbsent() error {
	err := r.absent
	r.absent = nil
	return err
}
