package network

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperEnv names the helper that a copy of the test binary is to be; worldEnv
// is set inside a world.
const (
	helperEnv = "ISOPERF_TEST_HELPER"
	worldEnv  = "ISOPERF_TEST_WORLD"
)

func helpers() map[string]func(args []string) error {
	return map[string]func([]string) error{
		"inside":  helpInside,
		"runtime": helpRuntime,
		"world":   helpWorld,
	}
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		os.Unsetenv(helperEnv)
		if err := helpers()[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	before := children() // whoever executed this may have had some: systemd's (sd-pam) is one
	code := m.Run()
	left := slices.DeleteFunc(children(), func(pid string) bool { return slices.Contains(before, pid) })
	if len(left) > 0 && code == 0 {
		fmt.Fprintf(os.Stderr, "the tests left processes behind: %v\n", left)
		code = 1
	}
	os.Exit(code)
}

// children are the processes that this one has not collected.
func children() []string {
	var all []string
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err == nil {
			all = append(all, strings.Fields(string(text))...)
		}
	}
	return all
}

// require skips the test unless cond holds; where everything must run, that is
// a failure.
func require(t testing.TB, cond bool, why string) {
	t.Helper()
	switch {
	case cond:
	case os.Getenv("ISOPERF_MUST_RUN") == "1":
		t.Fatalf("must run, but: %s", why)
	default:
		t.Skip(why)
	}
}

func requireProgram(t testing.TB, name string) {
	t.Helper()
	_, err := exec.LookPath(name)
	require(t, err == nil, "there is no "+name)
}

// ordinary is a user id that no one has.
const ordinary = 54321

// user is who runs a test in its world.
type user int

const (
	asRoot user = iota
	asOrdinary
)

func (u user) String() string { return [...]string{"root", "ordinary"}[u] }

// inWorld runs the rest of the test in a world of its own: network and mount
// namespaces that play the machine. It says whether this is the world; where it
// is not, the test has been run there, and must return. An ordinary user is
// root of a user namespace in a world, with asRoot.
func inWorld(t *testing.T, u user) bool {
	t.Helper()
	if os.Getenv(worldEnv) != "" {
		return true
	}
	root := os.Geteuid() == 0
	require(t, root || u == asRoot, "it takes root to make a world for another user")
	cmd := exec.Command("/proc/self/exe", t.Name(), u.String())
	cmd.Env = append(os.Environ(), helperEnv+"=world")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if !root {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	switch {
	case err != nil:
		t.Fatalf("in its world: %v\n%s", err, out.String())
	case strings.Contains(out.String(), "--- SKIP: "+t.Name()):
		t.Skip("in its world:\n" + out.String())
	case !strings.Contains(out.String(), "--- PASS: "+t.Name()):
		t.Fatalf("it did not run in its world:\n%s", out.String())
	}
	t.Log(out.String())
	return false
}

// eventually waits up to ten seconds for a condition.
func eventually(cond func() bool) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// conversation is requests and replies, a JSON line each.
type conversation struct {
	in  *json.Encoder
	out *bufio.Scanner
}

func (c conversation) ask(request, reply any) error {
	if err := c.in.Encode(request); err != nil {
		return err
	}
	return c.read(reply)
}

func (c conversation) read(reply any) error {
	if !c.out.Scan() {
		return fmt.Errorf("the other end is gone: %w", errors.Join(io.EOF, c.out.Err()))
	}
	return json.Unmarshal(c.out.Bytes(), reply)
}
