package network

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/idmap"
	"isoperf/runtime/program"
)

// patience bounds what a test does over a network.
const patience = 5 * time.Second

// request is what the helper inside a container is asked for.
type request struct {
	Do, Network, Address string
}

// reply is its answer.
type reply struct{ Text, Error string }

// helpInside does what it is asked for on its standard input.
func helpInside([]string) error {
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for in.Scan() {
		var q request
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			return err
		}
		text, err := q.do()
		r := reply{Text: text}
		if err != nil {
			r.Error = err.Error()
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return in.Err()
}

func (q request) do() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch q.Do {
	case "dial":
		return dial(ctx, q.Network, q.Address)
	case "quick dial": // one that is to fail
		ctx, cancel := context.WithTimeout(ctx, time.Second/2)
		defer cancel()
		return dial(ctx, q.Network, q.Address)
	case "serve":
		return "", serveEcho(q.Network, q.Address)
	case "lookup":
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "udp", q.Network+":53")
		}}
		list, err := r.LookupHost(ctx, q.Address)
		return strings.Join(list, " "), err
	case "links":
		links, err := net.Interfaces()
		var b strings.Builder
		for _, l := range links {
			addrs, _ := l.Addrs()
			fmt.Fprintf(&b, "%s %d %v", l.Name, l.MTU, l.Flags&net.FlagUp != 0)
			for _, a := range addrs {
				if !strings.HasPrefix(a.String(), "fe80") {
					fmt.Fprintf(&b, " %v", a)
				}
			}
			b.WriteString("; ")
		}
		return b.String(), err
	}
	return "", fmt.Errorf("asked to %q", q.Do)
}

// container is a process in namespaces of its own that obeys.
type container struct {
	proc     *program.Process
	launcher *program.Launcher
	gate     program.Gate
	talk     conversation
	files    []*os.File
	ids      string // its map; empty: its user is root
	target   Target
}

// newContainer starts one and leaves it at its gate, ids mapped.
func newContainer(own bool, ids string) (*container, error) {
	flags := uint64(unix.CLONE_NEWNET)
	if own {
		flags |= unix.CLONE_NEWUSER
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer self.Close()
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer inRead.Close()
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer outWrite.Close()
	c := &container{ids: ids, launcher: program.NewLauncher(), files: []*os.File{inWrite, outRead}}
	c.talk = conversation{json.NewEncoder(inWrite), bufio.NewScanner(outRead)}
	p := program.New(program.Stub, 0)
	p.Stdio(int(inRead.Fd()), int(outWrite.Fd()), 2)
	p.Keep(int(self.Fd()))
	p.DieWithParent()
	p.Confirm()
	p.Add(program.Unshare(flags))
	p.Rearm()
	made := p.Tell("namespaces made")
	mapped := p.Wait("ids mapped")
	Loopback(p)
	c.gate = p.Wait("connected")
	p.ExecAt(program.Int(int(self.Fd())), []string{"inside"}, []string{helperEnv + "=inside"})
	if c.proc, err = c.launcher.Start(p); err != nil {
		c.launcher.Close()
		return nil, err
	}
	return c, c.enter(own, mapped, made)
}

// enter maps its ids and opens its namespaces.
func (c *container) enter(own bool, mapped program.Gate, made program.Tell) error {
	if err := c.proc.Await(made); err != nil {
		return err
	}
	pid := c.proc.Pid()
	c.target.PID = pid
	var err error
	switch {
	case own && c.ids == "":
		err = idmap.Self(pid)
	case own:
		err = os.WriteFile(fmt.Sprintf("/proc/%d/uid_map", pid), []byte(c.ids), 0)
	}
	if err != nil {
		return err
	}
	c.proc.Open(mapped)
	for name, fd := range map[string]*int{"net": &c.target.Net, "user": &c.target.User} {
		if name == "user" && !own {
			continue
		}
		n, err := unix.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		*fd = n
	}
	return nil
}

// run opens the gate.
func (c *container) run() error {
	c.proc.Open(c.gate)
	return c.proc.WaitExec()
}

// end kills and collects it.
func (c *container) end() {
	_ = c.proc.Signal(syscall.SIGKILL)
	_, _ = c.proc.Wait()
	c.launcher.Close()
	for _, f := range c.files {
		f.Close()
	}
	for _, fd := range []int{c.target.Net, c.target.User} {
		if fd != 0 {
			unix.Close(fd)
		}
	}
}

// started is a container that waits to be connected.
func started(t *testing.T, own bool) *container {
	t.Helper()
	c, err := newContainer(own, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.end)
	return c
}

// ask has the container do something.
func (c *container) ask(t *testing.T, do, network, addr string) (string, error) {
	t.Helper()
	var r reply
	if err := c.talk.ask(request{do, network, addr}, &r); err != nil {
		t.Fatalf("ask the container to %s %s %s: %v", do, network, addr, err)
	}
	if r.Error != "" {
		return r.Text, fmt.Errorf("%s", r.Error)
	}
	return r.Text, nil
}

// must has the container do something that has to succeed.
func (c *container) must(t *testing.T, do, network, addr string) string {
	t.Helper()
	text, err := c.ask(t, do, network, addr)
	if err != nil {
		t.Errorf("the container: %s %s %s: %v", do, network, addr, err)
	}
	return text
}

// connected is a container with a network, running.
func connected(t *testing.T, c Config, own bool) (*container, *Link) {
	t.Helper()
	box := started(t, own)
	l, err := Connect(t.Context(), c, box.target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, l.Close()) })
	must(t, box.run())
	return box, l
}

// fields are the numbers of a process's children by their command.
func processes(comm string) []int {
	var pids []int
	for _, child := range children() {
		var pid int
		fmt.Sscan(child, &pid)
		text, _ := os.ReadFile("/proc/" + child + "/comm")
		if strings.HasPrefix(string(text), comm) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// helpRuntime is a runtime to be killed: it connects a container, says so, and
// waits. Its argument is the Config.
func helpRuntime(args []string) error {
	var c Config
	if err := json.Unmarshal([]byte(args[0]), &c); err != nil {
		return err
	}
	box, err := newContainer(os.Getenv("ISOPERF_TEST_OWN") == "1", "")
	if err != nil {
		return err
	}
	l, err := Connect(context.Background(), c, box.target)
	if err != nil {
		return err
	}
	if err := box.run(); err != nil {
		return err
	}
	fmt.Printf("%v\n", l.Address())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
