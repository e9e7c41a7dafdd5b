package state

import (
	"testing"
	"time"

	"isoperf/runtime/cgroup"
)

// FuzzParse: what is read as a state is written and read again as the same.
func FuzzParse(f *testing.F) {
	full := State{
		OCIVersion: "1.3.0", ID: "a", Bundle: "/b", Rootfs: "/b/rootfs", Created: time.Unix(1, 2), Owner: 1000, Pid: 7, Start: 9,
		Annotations: map[string]string{"k": "v\u00e9\\"}, Group: cgroup.State{Name: "n", Dirs: []string{"/x", "/y"}, Record: "r"},
	}
	f.Add(string(full.text()))
	f.Add(string((&State{}).text()))
	f.Add(`{"version": 1, "pid": -1}`)
	f.Add(`{"version": 1, "created": "9999-12-31T23:59:59-23:59", "group": null, "more": [{}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err != nil {
			return
		}
		again, err := parse(string(s.text()))
		if err != nil {
			t.Fatalf("what was written is not read: %v\n%s", err, s.text())
		}
		if string(again.text()) != string(s.text()) {
			t.Fatalf("it is written as\n%s\nand then as\n%s", s.text(), again.text())
		}
	})
}
