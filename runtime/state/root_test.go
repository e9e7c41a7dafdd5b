package state

import "testing"

func TestDefaultRoot(t *testing.T) {
	for _, c := range []struct {
		name   string
		euid   int
		inUser bool
		env    map[string]string
		want   Root
	}{
		{"root", 0, false, map[string]string{"XDG_RUNTIME_DIR": "/run/user/0", "USER": "root"}, "/run/isorun"},
		{"root without a name", 0, false, map[string]string{"XDG_RUNTIME_DIR": "/run/user/0"}, "/run/isorun"},
		{"user", 1000, false, map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/isorun"},
		{"user without a directory", 1000, false, nil, ""},
		{"rootless engine", 0, true, map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000", "USER": "ann"}, "/run/user/1000/isorun"},
		{"rootless engine without a name", 0, true, map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/isorun"},
		{"root of a container", 0, true, map[string]string{"XDG_RUNTIME_DIR": "/run/user/0", "USER": "root"}, "/run/isorun"},
		{"root of a container, alone", 0, true, nil, "/run/isorun"},
	} {
		got, err := defaultRoot(c.euid, c.inUser, func(name string) (string, bool) { v, ok := c.env[name]; return v, ok })
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}
