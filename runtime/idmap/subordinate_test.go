package idmap

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/user"
)

func TestSubordinate(t *testing.T) {
	own := []uint32{0, 1001, 1}
	for _, test := range []struct {
		name, username, text string
		want                 []uint32
	}{
		{"by name", "alice", "alice:100000:65536\n", append(own, 1, 100000, 65536)},
		{"by number", "alice", "1001:100000:65536\n", append(own, 1, 100000, 65536)},
		{"without a name", "", ":5:5\n1001:100000:65536\n", append(own, 1, 100000, 65536)},
		{"several", "alice", "bob:1:1\nalice:100000:10\n\n# alice:7:7\nalice:300000:20\n1001:5000:5",
			append(own, 1, 100000, 10, 11, 300000, 20, 31, 5000, 5)},
		{"said twice", "alice", "alice:100000:10\n1001:100000:10\n", append(own, 1, 100000, 10)},
		{"others' nonsense", "alice", "bob:x\nalice:100000:10\n", append(own, 1, 100000, 10)},
	} {
		path := file(t, test.text)
		got, err := sources{path, path, nobody}.subordinate(test.username, 1001, 1001)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(same(test.want...), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	// The numbers of the two files are each their own.
	got, err := sources{file(t, "alice:100000:10"), file(t, "alice:200000:20"), nobody}.subordinate("alice", 1001, 1002)
	if diff := cmp.Diff(Maps{UIDs: lines(0, 1001, 1, 1, 100000, 10), GIDs: lines(0, 1002, 1, 1, 200000, 20)}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestSubordinateErrors(t *testing.T) {
	const good = "alice:100000:65536\n"
	absent := t.TempDir() + "/absent"
	for _, test := range []struct {
		name, username, uids, gids string
		err                        string // SUBUID and SUBGID stand for the paths
	}{
		{"nothing", "alice", "", "bob:100000:65536\n",
			`no range for user "alice" in SUBUID and SUBGID: as root, add one with  usermod --add-subuids 165536-231071 --add-subgids 165536-231071 alice  (package passwd), or use --map-root`},
		{"no files", "alice", absent, absent,
			`no range for user "alice" in SUBUID (no such file or directory) and SUBGID (no such file or directory): as root, add one with  usermod --add-subuids 100000-165535 --add-subgids 100000-165535 alice  (package passwd), or use --map-root`},
		{"no groups", "alice", good, "",
			`no range for user "alice" in SUBGID: as root, add one with  usermod --add-subgids 165536-231071 alice  (package passwd), or use --map-root`},
		{"no name", "", good, good,
			`no range for user id 1001 in SUBUID and SUBGID: as root, add one with  echo 1001:165536:65536 >> SUBUID && echo 1001:165536:65536 >> SUBGID, or use --map-root`},
		{"no number", "alice", "alice:x:65536\n", good,
			`read SUBUID, line 1 ("alice:x:65536"): the first id is not a number: strconv.ParseUint: parsing "x": invalid syntax; the form is name:first:size`},
		{"size past 32 bits", "alice", good, "\nalice:1:4294967296\n",
			`read SUBGID, line 2 ("alice:1:4294967296"): the size is not a number: strconv.ParseUint: parsing "4294967296": value out of range; the form is name:first:size`},
		{"root's", "alice", "alice:0:10\n", good,
			`read SUBUID, line 1 ("alice:0:10"): a range has at least one id, and not root's; the form is name:first:size`},
		{"two fields", "alice", "alice:10\n", good,
			`read SUBUID, line 1 ("alice:10"): it does not have three fields; the form is name:first:size`},
		{"own id", "alice", "alice:1000:10\n", good,
			`make id maps of SUBUID and SUBGID: check linux.uidMappings: ranges 0 (0 1001 1) and 1 (1 1000 10) overlap outside; an id has one meaning`},
	} {
		s := sources{test.uids, test.gids, nobody}
		if test.uids != absent {
			s.subuid, s.subgid = file(t, test.uids), file(t, test.gids)
		}
		_, err := s.subordinate(test.username, 1001, 1001)
		want := strings.NewReplacer("SUBUID", s.subuid, "SUBGID", s.subgid).Replace(test.err)
		if message(err) != want {
			t.Errorf("%s: the error is\n%s, want\n%s", test.name, message(err), want)
		}
	}
	if os.Geteuid() != 0 {
		locked := file(t, good)
		if err := os.Chmod(locked, 0); err != nil {
			t.Fatal(err)
		}
		_, err := sources{locked, locked, nobody}.subordinate("alice", 1001, 1001)
		if !errors.Is(err, os.ErrPermission) {
			t.Errorf("of a file that cannot be read the error is %v", err)
		}
	}
}

// TestGetsubids: another source of ranges is asked where the files have none.
func TestGetsubids(t *testing.T) {
	script := file(t, "#!/bin/sh\n[ \"$1\" = -g ] && echo \"0: $2 200000 20\" || echo \"0: $1 100000 10\n1: $1 300000 5\"\n")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	find := func(string) (string, error) { return script, nil }
	empty := file(t, "")
	got, err := sources{empty, empty, find}.subordinate("alice", 1001, 1001)
	want := Maps{UIDs: lines(0, 1001, 1, 1, 100000, 10, 11, 300000, 5), GIDs: lines(0, 1001, 1, 1, 200000, 20)}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	// A file that has some is enough.
	full := file(t, "alice:5000:5\n")
	got, err = sources{full, full, find}.subordinate("alice", 1001, 1001)
	if diff := cmp.Diff(same(0, 1001, 1, 1, 5000, 5), got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := (sources{empty, empty, find}).subordinate("alice", 1001, 1001); !strings.Contains(message(err), "no range for user") {
		t.Error(err)
	}
}

// TestOracles: the real files, and the real getsubids, say the same as another
// library's reader.
func TestOracles(t *testing.T) {
	m := ranged(t)
	theirs, err := user.ParseSubIDFileFilter("/etc/subuid", func(s user.SubID) bool { return s.Name == currentName() })
	if err != nil {
		t.Fatal(err)
	}
	require(t, len(theirs) > 0, "the user's ranges are not in /etc/subuid by name")
	for i, r := range theirs {
		if got := m.UIDs[i+1]; int64(got.HostID) != r.SubID || int64(got.Size) != r.Count {
			t.Errorf("range %d is %+v, want %+v", i, got, r)
		}
	}
	_, err = exec.LookPath("getsubids")
	require(t, err == nil, "there is no getsubids")
	empty := file(t, "")
	asked, err := sources{empty, empty, findProgram}.subordinate(currentName(), os.Getuid(), os.Getgid())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, asked); diff != "" {
		t.Errorf("getsubids says something else:\n%s", diff)
	}
}
