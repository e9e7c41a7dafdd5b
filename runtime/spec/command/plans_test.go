package command_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/container"
	"isoperf/runtime/explain"
	"isoperf/runtime/network"
	"isoperf/runtime/program"
	"isoperf/runtime/rootfs"
	"isoperf/runtime/spec/command"
	"isoperf/runtime/trace"
)

// change makes a container of another kind.
type change struct {
	name string
	set  func(*command.Options, *container.Options)
}

// dimensions are what can be chosen apart from each other.
func dimensions(t *testing.T) [][]change {
	root := t.TempDir()
	dims := [][]change{
		{
			{"host's tree", func(*command.Options, *container.Options) {}},
			{"host's tree with proc, volume, tmpfs", func(o *command.Options, _ *container.Options) {
				proc := true
				o.Proc, o.Volumes, o.Tmpfs = &proc, []string{"/tmp:/mnt:ro"}, []string{"/srv:size=1m"}
			}},
			{"rootfs", func(o *command.Options, _ *container.Options) { o.Rootfs = root }},
			{"throwaway", func(o *command.Options, _ *container.Options) { o.Rootfs, o.Throwaway = root, true }},
			{"read-only", func(o *command.Options, _ *container.Options) {
				o.Rootfs, o.ReadOnly, o.Volumes, o.Tmpfs = root, true, []string{"/tmp:/x:ro,nosuid,rslave"}, []string{"/run"}
			}},
		},
		{
			{"new mounts", func(*command.Options, *container.Options) {}},
			{"old mounts", func(_ *command.Options, c *container.Options) { c.OldMounts = true }},
		},
		{
			{"no network", func(*command.Options, *container.Options) {}},
			{"host's network", func(o *command.Options, _ *container.Options) { o.Net = network.Host }},
			{"slirp4netns", func(o *command.Options, c *container.Options) {
				o.Net = network.Slirp4netns
				if o.Rootfs != "" {
					c.Texts = []rootfs.Text{{Path: "/etc/hosts", Content: []byte("127.0.0.1 localhost\n")}, {Path: "/etc/resolv.conf"}}
				}
			}},
		},
		{
			{"alone", func(*command.Options, *container.Options) {}},
			{"tty", func(o *command.Options, c *container.Options) {
				if o.TTY = true; o.Rootfs != "" {
					c.Console = 9
				}
			}},
			{"init, hostname, keyring", func(o *command.Options, _ *container.Options) { o.Init, o.Hostname, o.Workdir = true, "box", "/tmp" }},
		},
		{
			{"all namespaces", func(o *command.Options, _ *container.Options) {
				if o.Namespaces = "all"; o.Net == network.Host {
					o.Namespaces = "all,-net"
				}
			}},
			{"map-root", func(o *command.Options, _ *container.Options) { o.MapRoot = true }},
			{"unconfined", func(o *command.Options, _ *container.Options) {
				o.MapRoot, o.Seccomp, o.CapDrop = true, "unconfined", []string{"ALL"}
			}},
		},
	}
	if os.Geteuid() == 0 {
		dims[4] = append(dims[4],
			change{"root", func(*command.Options, *container.Options) {}},
			change{"user of root", func(o *command.Options, _ *container.Options) { o.User, o.CapAdd = "7:50", []string{"NET_ADMIN"} }},
		)
		if _, err := cgroup.Detect(); err == nil {
			dims[4] = append(dims[4], change{"limits", func(o *command.Options, _ *container.Options) {
				o.CPU, o.Memory, o.Pids = "20%", "64M", "20"
			}})
		}
	}
	// An ordinary user has all namespaces with ranges of ids only.
	if os.Geteuid() != 0 {
		dims[4] = dims[4][1:]
	}
	return dims
}

// each calls f with every combination.
func each(dims [][]change, f func(list []change)) {
	list := make([]change, len(dims))
	var choose func(n int)
	choose = func(n int) {
		if n == len(dims) {
			f(list)
			return
		}
		for _, c := range dims[n] {
			list[n] = c
			choose(n + 1)
		}
	}
	choose(0)
}

// There is a sentence for every op of every plan, and a part of the start to
// which it belongs.
func TestPlansAreExplained(t *testing.T) {
	count := 0
	missing, strange := map[string]string{}, map[string]string{}
	each(dimensions(t), func(list []change) {
		o, c := command.Options{ID: "test", Args: []string{"true"}}, container.Options{Stdio: [3]int{0, 1, 2}, Look: look}
		var names []string
		for _, ch := range list {
			ch.set(&o, &c)
			names = append(names, ch.name)
		}
		who := command.Caller{UID: os.Geteuid(), GID: os.Getegid(), Name: "root", Environ: []string{"PATH=/bin"}, Dir: "/"}
		if o.MapRoot {
			who.UID, who.GID = 1000, 1000
		}
		if o.Namespaces != "" { // in a user namespace of one id, which needs no file
			o.MapRoot = true
		}
		ct, err := o.Container(who)
		if err == nil {
			err = ct.Check()
		}
		var plan *container.Plan
		if err == nil {
			plan, err = container.New(ct, c)
		}
		if err != nil {
			t.Fatalf("%q: %v", names, err)
		}
		count++
		p := plan.Program()
		for _, text := range explain.Missing(p) {
			missing[text] = fmt.Sprint(names)
		}
		for _, name := range inNoPhase(p) {
			strange[name] = fmt.Sprint(names)
		}
	})
	for text, names := range missing {
		t.Errorf("there is no sentence for %q, in %s", text, names)
	}
	for text, names := range strange {
		t.Errorf("there is no part of the start for %q, in %s", text, names)
	}
	t.Logf("%d plans", count)
}

// look pretends a root file system that has some of what is mounted on.
func look(path string) rootfs.Kind {
	switch {
	case strings.HasPrefix(path, "/etc/") || path == "/proc/kcore" || path == "/proc/keys":
		return rootfs.File
	case path == "/x" || path == "/proc/asound":
		return rootfs.Missing
	}
	return rootfs.Directory
}

// inNoPhase are the ops that a profile would count as "other", each judged with
// its neighbours, as a start has them.
func inNoPhase(p *program.Program) []string {
	const ns = 10
	at := int64(1000)
	timeline := program.Timeline{Entered: 100, Returned: at, First: at, Reaped: 1 << 40}
	for _, op := range p.Ops() {
		timeline.Spans = append(timeline.Spans, program.Span{Name: op.Name, Start: at, End: at + ns, Own: true, Op: &op})
		at += ns
	}
	for _, phase := range trace.Phases(trace.FromTimeline(timeline)) {
		if phase.Name == "other" {
			i := (phase.Start - 1000) / ns
			return []string{timeline.Spans[i].Name + ": " + timeline.Spans[i].Text()}
		}
	}
	return nil
}

// The explanation of a whole container reads as it should: every line with a
// sentence is at most 80 columns wide, and no op is left out.
func TestExplanation(t *testing.T) {
	o := command.Options{ID: "test", Args: []string{"true"}, Rootfs: t.TempDir(), MapRoot: true, Hostname: "box"}
	ct, err := o.Container(command.Caller{UID: 1000, GID: 1000, Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := container.New(ct, container.Options{Stdio: [3]int{0, 1, 2}, Look: look})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := explain.Program(&b, plan.Program()); err != nil {
		t.Fatal(err)
	}
	if blocks := strings.Count(b.String(), "\n\n") + 1; blocks <= len(plan.Program().Ops()) {
		t.Errorf("%d blocks for %d ops and what the mode adds", blocks, len(plan.Program().Ops()))
	}
}
