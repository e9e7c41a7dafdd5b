package network

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const defaultMTU = 65520

func (c Config) mtu() int {
	if c.MTU != 0 {
		return c.MTU
	}
	return defaultMTU
}

// tapName is what a translator's interface is called inside.
const tapName = "tap0"

// connectSlirp runs slirp4netns. Its sandbox (an empty mount namespace, no
// capabilities) does not work together with namespaces given by path
// (slirp4netns issue 317), except when it runs as root of its own user
// namespace: so, for an ordinary user who is root of the container's, it is
// started in there. Where the user is somebody else, it runs without.
func (l *Link) connectSlirp(ctx context.Context, t Target) error {
	c := l.config
	path, err := find(slirpProgram, "slirp4netns", "slirp4netns")
	if err != nil {
		return err
	}
	r, err := l.record(t)
	if err != nil {
		return err
	}
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer readyRead.Close()
	defer readyWrite.Close()
	// slirp4netns ends when this process no longer holds the other end.
	exitRead, exitWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer exitRead.Close()
	l.onClose(exitWrite.Close)

	dir, err := l.socketDir()
	if err != nil {
		return err
	}
	if c.IPv6 {
		if err := t.withoutDAD(); err != nil {
			return err
		}
	}
	h, err := l.helper(c.slirpCommand(path, t, readyWrite, exitRead, dir), r)
	if err != nil {
		return err
	}
	readyWrite.Close()
	if err := l.awaitSlirp(ctx, readyRead, h); err != nil {
		return err
	}
	l.address = c.host(containerHost)
	if dir != nil {
		if err := l.publishSlirp(ctx, dir); err != nil {
			return err
		}
	}
	return l.prove(ctx, t, h)
}

// slirpCommand is how slirp4netns is started.
func (c Config) slirpCommand(path string, t Target, ready, exit, dir *os.File) command {
	cmd := command{name: slirpProgram, path: path, files: []int{t.Net, int(ready.Fd()), int(exit.Fd())}}
	cmd.args = []string{
		"--configure", "--mtu=" + strconv.Itoa(c.mtu()), "--cidr=" + c.subnet().String(), "--enable-seccomp",
		"--ready-fd=" + strconv.Itoa(int(ready.Fd())), "--exit-fd=" + strconv.Itoa(int(exit.Fd())),
	}
	if !c.HostLoopback {
		cmd.args = append(cmd.args, "--disable-host-loopback")
	}
	if c.IPv6 {
		cmd.args = append(cmd.args, "--enable-ipv6")
	}
	if dir != nil {
		cmd.files = append(cmd.files, int(dir.Fd()))
		cmd.args = append(cmd.args, "--api-socket="+apiSocket(dir))
	}
	sandbox := true
	switch {
	case t.User == 0:
	case os.Geteuid() == 0:
		cmd.files = append(cmd.files, t.User)
		cmd.args = append(cmd.args, "--userns-path="+fdPath(t.User))
	case isRootOf(t.PID):
		cmd.join = t.User
	default: // who runs this is somebody else in there
		sandbox = false
		cmd.files = append(cmd.files, t.User)
		cmd.args = append(cmd.args, "--userns-path="+fdPath(t.User))
	}
	if sandbox {
		cmd.args = append(cmd.args, "--enable-sandbox")
	}
	cmd.args = append(cmd.args, "--netns-type=path", fdPath(t.Net), tapName)
	return cmd
}

// awaitSlirp waits until slirp4netns has configured the interface.
func (l *Link) awaitSlirp(ctx context.Context, ready *os.File, h *helper) error {
	start := now()
	defer context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })() // a pipe has deadlines
	n, err := ready.Read(make([]byte, 1))
	if n == 1 {
		l.step("configured", start)
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("wait for %s: %w", h.name, context.Cause(ctx))
	}
	select { // it closed the pipe, so it ends
	case <-h.done:
		return h.err
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", h.name, errors.Join(err, context.Cause(ctx)))
	}
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// apiSocket is the path of slirp4netns's control socket through a descriptor
// of its directory: the path of a Unix socket is at most 107 bytes long.
func apiSocket(dir *os.File) string { return fdPath(int(dir.Fd())) + "/slirp4netns.sock" }

// isRootOf says whether this process's user is root of the user namespace of a
// process.
func isRootOf(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/uid_map", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line) // first inside, first outside, how many
		if len(fields) == 3 && fields[0] == "0" && fields[1] == strconv.Itoa(os.Geteuid()) {
			return true
		}
	}
	return false
}

// socketDir is a directory of its own for the control socket; nil when no port
// is to be published. The record knows it too.
func (l *Link) socketDir() (*os.File, error) {
	if len(l.config.Publish) == 0 {
		return nil, nil
	}
	parent := l.config.Record // or the system's directory for temporary files
	path, err := os.MkdirTemp(parent, l.config.socketPrefix()+"*")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the control socket: %w", err)
	}
	l.onClose(func() error { return os.RemoveAll(path) })
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the directory of the control socket: %w", err)
	}
	l.onClose(dir.Close)
	return dir, nil
}

// socketPrefix begins the names of the directories of a container's control
// socket.
func (c Config) socketPrefix() string { return "socket." + c.ID + "." }

// forward is a request of slirp4netns's control socket; see slirp4netns(1).
type forward struct {
	Execute   string `json:"execute"`
	Arguments struct {
		Proto     string `json:"proto"`
		HostAddr  string `json:"host_addr"`
		HostPort  uint16 `json:"host_port"`
		GuestPort uint16 `json:"guest_port"`
	} `json:"arguments"`
}

// publishSlirp asks slirp4netns for every published port.
func (l *Link) publishSlirp(ctx context.Context, dir *os.File) error {
	for _, p := range l.config.Publish {
		start := now()
		if err := forwardSlirp(ctx, apiSocket(dir), p); err != nil {
			return fmt.Errorf("publish port %q: %w", p, err)
		}
		l.step("published "+p.String(), start)
	}
	return nil
}

func forwardSlirp(ctx context.Context, path string, p Port) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", filepath.Clean(path))
	if err != nil {
		return fmt.Errorf("ask slirp4netns: %w", err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("ask slirp4netns: %w", err)
		}
	}
	f := forward{Execute: "add_hostfwd"}
	f.Arguments.Proto, f.Arguments.HostPort, f.Arguments.GuestPort = p.Protocol, p.HostPort, p.Container
	f.Arguments.HostAddr = "0.0.0.0"
	if p.Host.IsValid() {
		f.Arguments.HostAddr = p.Host.String()
	}
	if err := json.NewEncoder(conn).Encode(f); err != nil {
		return fmt.Errorf("ask slirp4netns: %w", err)
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		return fmt.Errorf("ask slirp4netns: %w", err)
	}
	var reply struct {
		Error *struct{ Desc string }
	}
	if err := json.NewDecoder(bufio.NewReader(conn)).Decode(&reply); err != nil {
		return fmt.Errorf("read the answer of slirp4netns: %w", err)
	}
	if reply.Error != nil {
		return fmt.Errorf("slirp4netns says %q; does something else listen there? (ss -ltnup)", reply.Error.Desc)
	}
	return nil
}
