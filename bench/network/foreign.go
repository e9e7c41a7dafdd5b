package network

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// Pair are somebody else's commands for the two ends of a path, so that another
// program can be held against this one's ends. In their words {listen}, {dial}
// and {port} stand for the route's addresses and port. The client is the end that
// connects, and both must end by themselves: the server after one client.
type Pair struct {
	Server []string `json:"server"`
	Client []string `json:"client"`
}

// Foreign is what a pair has said, and what the meters have said of all of its
// time, from before the client started until both had ended.
type Foreign struct {
	Server     string        `json:"server"` // standard output
	Client     string        `json:"client"`
	ServerCPU  time.Duration `json:"server_cpu"` // of the whole process
	ClientCPU  time.Duration `json:"client_cpu"`
	Translator time.Duration `json:"translator"` // 0: there is none
	Sent       uint64        `json:"sent"`       // bytes of the container's link, with headers
	Got        uint64        `json:"got"`
}

// Outward says whether it is the client that sends the data of a cell.
func (c Cell) Outward() (bool, error) {
	p, err := findPath(c.Path)
	return (c.Dir == "out") != p.published, err
}

// Prove holds the bytes that a pair says have arrived, in all its time, against
// what the container's link has carried. Of those, again were sent again.
func (c Cell) Prove(f Foreign, bytes, again float64) error {
	carried := float64(f.Got)
	if c.Dir == "out" {
		carried = float64(f.Sent)
	}
	_, err := c.carried(carried, bytes, again, held)
	return err
}

// foreign runs a pair, under the proof that a sample of our own has.
func (w *world) foreign(c Cell) (o outcome, err error) {
	port := w.route.port
	if port == 0 {
		if port, err = w.freePort(); err != nil {
			return o, err
		}
	}
	server, err := w.run(w.route.server, w.words(c.Foreign.Server, port))
	defer func() { err = errors.Join(err, server.close()) }()
	if err != nil {
		return o, err
	}
	if err := server.listens(port); err != nil {
		return o, err
	}
	var begin, end reading
	if err := w.between(&begin); err != nil {
		return o, err
	}
	client, err := w.run(w.route.client, w.words(c.Foreign.Client, port))
	defer func() { err = errors.Join(err, client.close()) }()
	if err != nil {
		return o, err
	}
	f := Foreign{}
	limit := time.Now().Add(c.Warm + c.Window + patience)
	if f.ClientCPU, err = w.ended(client, limit); err != nil {
		return o, err
	}
	if f.ServerCPU, err = w.ended(server, limit.Add(patience)); err != nil {
		return o, err
	}
	if err := w.between(&end); err != nil {
		return o, err
	}
	if o.Checked, err = w.checked(c, begin, end); err != nil {
		return o, err
	}
	f.Server, f.Client = server.out.String(), client.out.String()
	f.Translator, f.Sent, f.Got = end.translator-begin.translator, end.sent-begin.sent, end.got-begin.got
	o.Foreign = &f
	return o, nil
}

// words are a command's with the route in them.
func (w *world) words(list []string, port int) []string {
	r := strings.NewReplacer("{listen}", w.route.listen, "{dial}", w.route.dial, "{port}", strconv.Itoa(port))
	words := make([]string, len(list))
	for i, word := range list {
		words[i] = r.Replace(word)
	}
	return words
}

// freePort is one that nobody listens on at the server's end.
func (w *world) freePort() (port int, err error) {
	err = w.route.server.within(func() error {
		l, err := net.Listen("tcp", at(w.route.listen, 0))
		if err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		port = l.Addr().(*net.TCPAddr).Port
		return l.Close()
	})
	return port, err
}

// run starts a command in a place.
func (w *world) run(at *place, words []string) (*command, error) {
	c := &command{place: at}
	if len(words) == 0 {
		return c, errors.New("run a command: it has no words")
	}
	path, err := exec.LookPath(words[0])
	if err != nil {
		return c, fmt.Errorf("find %q: %w; install it", words[0], err)
	}
	file, err := os.Open(path)
	if err != nil {
		return c, fmt.Errorf("open %q: %w", words[0], err)
	}
	defer file.Close()
	if err := c.exec(w.host, file, words, os.Environ()); err != nil {
		return c, fmt.Errorf("run %q: %w", strings.Join(words, " "), err)
	}
	return c, nil
}

// listens waits until somebody listens on a port of TCP in a command's
// namespace; see proc(5), /proc/PID/net/tcp.
func (c *command) listens(port int) error {
	const listening = "0A"
	wanted := fmt.Sprintf(":%04X", port)
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(time.Millisecond) {
		if c.gone() {
			return c.failure()
		}
		for _, table := range []string{"tcp", "tcp6"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", c.proc.Pid(), table))
			if err != nil && !errors.Is(err, os.ErrNotExist) { // no IPv6
				return fmt.Errorf("see who listens at the %s: %w", c.place.name, err)
			}
			for line := range strings.Lines(string(text)) {
				word := strings.Fields(line)
				if len(word) > 3 && strings.HasSuffix(word[1], wanted) && word[3] == listening {
					return nil
				}
			}
		}
	}
	return fmt.Errorf("wait for port %d of the %s: nobody listens there within %v", port, c.place.name, patience)
}

// ended waits for a command's good end, and says what CPU time it took.
func (w *world) ended(c *command, limit time.Time) (time.Duration, error) {
	for !c.gone() {
		if err := w.linked(0); err != nil {
			return 0, err
		}
		if time.Now().After(limit) {
			return 0, fmt.Errorf("the %s's command does not end in time; it is killed", c.place.name)
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(c.proc.Pidfd()), Events: unix.POLLIN}}, 50) // a pause; the loop looks itself
	}
	status, err := c.wait()
	if err != nil {
		return 0, err
	}
	if status != (program.Status{User: status.User, System: status.System, MaxRSS: status.MaxRSS}) {
		return 0, fmt.Errorf("the %s's command ended with %v: %s%s", c.place.name, status, strings.TrimSpace(c.errs.String()), tail(c.out.String()))
	}
	return status.User + status.System, nil
}

// tail is the end of what a command wrote, for an error.
func tail(s string) string {
	const most = 300
	if s = strings.TrimSpace(s); len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}
