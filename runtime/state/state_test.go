package state

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"isoperf/runtime/cgroup"
)

func example() *State {
	return &State{
		OCIVersion: "1.3.0", ID: "one", Bundle: "/b \"c\"\n", Rootfs: "/b/rootfs", Pid: 17, Start: 1 << 63, Created: time.Unix(1, 234).UTC(), Owner: 1000,
		Annotations: map[string]string{"a": "1", "b.c/d": ""}, SharesPids: true,
		Group: cgroup.State{Name: "n", Dirs: []string{"/sys/fs/cgroup/a/b\t/sys/fs/cgroup/a", "/sys/fs/cgroup/c"}, Record: "/run/r"},
	}
}

// What is written is what is read.
func TestText(t *testing.T) {
	want := example()
	got, err := parse(string(want.text()))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	text := string(want.text())
	for _, c := range []struct{ old, new, want string }{
		{`"version": 1`, `"version": 2`, "use the isorun that wrote it"},
		{`"pid": 17`, `"pid": -1`, "-1 is no process"},
		{`"pid": 17`, `"pid": "x"`, "pid"},
		{`"created": "1970`, `"created": "x`, "is no time"},
		{`"owner"`, `owner`, ""},
	} {
		if _, err := parse(strings.Replace(text, c.old, c.new, 1)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %s: %v, want an error with %q", c.new, err, c.want)
		}
	}
}

// An entry's life, with what a crash leaves of it.
func TestEntry(t *testing.T) {
	r := Root(t.TempDir() + "/deep/root")
	e, err := r.Create("one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create("one"); !errors.Is(err, ErrExist) || !strings.Contains(err.Error(), "being made") {
		t.Errorf("a second one: %v", err)
	}
	if err := e.Save(example()); err != nil {
		t.Fatal(err)
	}
	e.Close()
	again, err := r.Open("one")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Lock(); err != nil {
		t.Fatal(err)
	}
	if s, err := again.Load(); err != nil || !reflect.DeepEqual(s, example()) {
		t.Errorf("loaded %+v, %v", s, err)
	}
	// A machine that went down may have kept the name alone.
	if err := os.Truncate(again.Path(stateFile), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Load(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty state is %v", err)
	}
	if err := again.Write(ResourcesFile, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := again.Remove(); err != nil {
		t.Fatal(err)
	}
	if ids, err := r.List(); err != nil || len(ids) != 0 {
		t.Errorf("there is %v, %v", ids, err)
	}
	if _, err := r.Open("one"); !errors.Is(err, ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}
