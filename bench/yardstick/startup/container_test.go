package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// skip skips a test for a reason; where every test must run, that fails it.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("ISOPERF_MUST_RUN") == "1" {
		t.Fatal("must run, but: " + why)
	}
	t.Skip(why)
}

// The C program makes exactly the container that isorun makes; when one op of
// it is missing, the witness sees that.
func TestSameContainer(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "namespaces and mounts take root")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		skip(t, "there is no gcc: scripts/setup installs it")
	}
	s := &scratch{t.TempDir()}
	isorun, err := s.build("")
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.bareBundle()
	if err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(isorun, "run", "--plan", "-b", b.witness, containerID).Output()
	if err != nil {
		t.Fatal(withStderr(err))
	}
	ours, err := (&contender{name: "isorun", witness: []string{isorun, "run", "-b", b.witness, containerID}}).look()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ without, seen string }{
		{"", ""}, {"umask(022)", "process umask"}, {"unshare(CLONE_NEWCGROUP)", "namespace cgroup"}, {"setsid()", "process leader"},
	} {
		changed := string(text)
		if test.without != "" {
			if changed = strings.Replace(changed, test.without, "getppid()", 1); changed == string(text) {
				t.Fatalf("the plan has no %q", test.without)
			}
		}
		p, err := parsePlan(changed)
		if err != nil {
			t.Fatal(err)
		}
		header, err := p.translate(variables())
		out := s.path("c")
		if err := errors.Join(err, s.compile("frame.c", out, header)); err != nil {
			t.Fatal(err)
		}
		theirs, err := (&contender{name: "C", witness: []string{out}}).look()
		if err != nil {
			t.Fatal(err)
		}
		lacks, adds := ours.exactly(theirs)
		if all := strings.Join(append(lacks, adds...), "\n"); (all == "") != (test.seen == "") || !strings.Contains(all, test.seen) {
			t.Errorf("without %q: C lacks %q and adds %q", test.without, lacks, adds)
		}
		if rough := ours.roughly(theirs); (rough == "") != (test.seen == "") {
			t.Errorf("without %q: %q", test.without, rough)
		}
	}
}
