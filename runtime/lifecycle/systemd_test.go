package lifecycle

import (
	"strings"
	"testing"
)

func TestParseUnit(t *testing.T) {
	for path, want := range map[string]string{
		"machine.slice:libpod:abc":                  "machine.slice libpod-abc.scope",
		"kubepods-burstable.slice:cri-containerd:x": "kubepods-burstable.slice cri-containerd-x.scope",
		":docker:x":            "system.slice docker-x.scope",
		"user.slice::x":        "user.slice x.scope",
		"user.slice:p:x.slice": "! is a slice",
		"-.slice:p:x":          "-.slice p-x.scope",
		"":                     "! expected cgroupsPath",
		"/a/b":                 "! expected cgroupsPath",
		"a.slice:b":            "! expected cgroupsPath",
		"a.slice:b:":           "! expected cgroupsPath",
		"a.slice:b:c:d":        "! expected cgroupsPath",
		"a:b:c":                "! \"a\" is no slice",
		"a--b.slice:b:c":       "! is no slice",
		"a/b.slice:b:c":        "! is no slice",
		"a.slice:b:c/d":        "! is no name of a unit",
	} {
		u, err := ParseUnit(path, false)
		if text, bad := strings.CutPrefix(want, "! "); bad {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%q: %v, want %q", path, err, text)
			}
			continue
		}
		if got := u.Slice + " " + u.String(); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", path, got, err, want)
		}
	}
	if u, err := ParseUnit(":p:x", true); err != nil || u.Slice != "user.slice" {
		t.Errorf("of a user's systemd: %+v, %v", u, err)
	}
}
