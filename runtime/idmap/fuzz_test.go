package idmap

import (
	"errors"
	"os"
	"testing"
)

// FuzzSubordinate: maps that come from files of ranges are maps that the kernel
// takes, and root inside is the user.
func FuzzSubordinate(f *testing.F) {
	for _, s := range []string{
		"alice:100000:65536\n", "1000:100000:65536\nalice:1:1\n", "# none\n\nbob:1:2\n", "alice:4294967295:2\n", "alice:0:1\n", "alice:1:4294967295\n", "alice:1", ":1:2\n",
		"alice:100000:65536\nalice:150000:10\n",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, uids, gids string) {
		s := sources{t.TempDir() + "/subuid", t.TempDir() + "/subgid", func(string) (string, error) { return "", errors.New("not here") }}
		if err := errors.Join(os.WriteFile(s.subuid, []byte(uids), 0o600), os.WriteFile(s.subgid, []byte(gids), 0o600)); err != nil {
			t.Fatal(err)
		}
		m, err := s.subordinate("alice", 1000, 1001)
		if err != nil {
			return
		}
		if err := m.Check(); err != nil {
			t.Errorf("they are not taken: %v", err)
		}
		user, _ := m.HostUID(0)
		group, _ := m.HostGID(0)
		if user != 1000 || group != 1001 {
			t.Errorf("root inside is %d and %d", user, group)
		}
	})
}
