package limits

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// A remount keeps all options but the one that is changed, and is refused when it
// would lose one.
func TestFavorFlags(t *testing.T) {
	const line = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 "
	for super, want := range map[string]string{
		"rw,nsdelegate,memory_recursiveprot": "nsdelegate memory_recursiveprot favordynmods",
		"rw,favordynmods":                    "favordynmods",
		"rw,nsdelegate,new_thing":            "",
	} {
		u, ok := unifiedOf("23 1 0:5 / / rw - ext4 /dev/vda rw\n" + line + super + "\n")
		if !ok || u.point != "/sys/fs/cgroup" || u.favored() != (super == "rw,favordynmods") {
			t.Fatalf("%q: %+v, %v", super, u, ok)
		}
		on, err := u.flags(true)
		off, offErr := u.flags(false)
		if got := strings.Join(on, " "); got != want || (err == nil) != (want != "") || (offErr == nil) != (err == nil) || slices.Contains(off, favorOption) {
			t.Errorf("%q: %q, %v; off %q, %v", super, got, err, off, offErr)
		}
	}
	if _, ok := unifiedOf("23 1 0:5 / / rw - ext4 /dev/vda rw\n"); ok {
		t.Error("found without a mount")
	}
}

// In the virtual machine the option is switched, and is as before afterwards.
// Elsewhere it is not touched, and why is said.
func TestFavorDynMods(t *testing.T) {
	before, _ := readUnified()
	b := New(Config{FavorDynMods: os.Getenv("ISOPERF_VM") == "1"})
	for _, c := range b.CgroupOps(harness.Extent{Burst: 1, Paced: 1}) {
		if !strings.Contains(c.Name, favorOption) {
			continue
		}
		s, err := c.Open()
		var not harness.NotMeasured
		switch {
		case errors.As(err, &not) && os.Getenv("ISOPERF_VM") == "1" && os.Geteuid() == 0 && slices.Contains(before.options, "nsdelegate"):
			t.Errorf("%s must run, but: %s", c.Name, not.Why)
			continue
		case errors.As(err, &not):
			if not.Why == "" {
				t.Error("it does not say why")
			}
			continue
		case err != nil:
			t.Fatal(err)
		}
		n := 0
		s.Sample(2, func(v []sample.Value, err error) {
			now, _ := readUnified()
			if n++; err != nil || len(v) != 1 || v[0].Value <= 0 || now.favored() == strings.Contains(c.Name, "no"+favorOption) {
				t.Errorf("%s: %v, %v, with %q", c.Name, v, err, now.options)
			}
			t.Logf("%s: %v", c.Name, v)
		})
		if now, _ := readUnified(); n != 2 || !slices.Equal(now.options, before.options) {
			t.Errorf("%s: %d samples; options %q, before %q", c.Name, n, now.options, before.options)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if now, _ := readUnified(); !slices.Equal(now.options, before.options) {
		t.Errorf("options %q, before %q", now.options, before.options)
	}
}
