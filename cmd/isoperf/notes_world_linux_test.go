package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// The tests of the lecture notes run in a world of their own, so that they need
// nothing of this machine and leave nothing on it:
//
//	go test ──new mount and network namespace──► world ──as root, or as asp──► the test itself
//	(root)                                       /etc/passwd, subuid, resolv.conf;
//	                                             an uplink, names, a web server
//
// An ordinary user cannot make one: the tests then run on the machine as it is.
const (
	worldEnv    = "ISOPERF_TEST_NOTES"      // stage and user: "world root", "inside asp"
	worldDirEnv = "ISOPERF_TEST_NOTES_DIR"  // where the files are
	worldAddr   = "198.51.100.1"            // the machine's, in the world
	serverEnv   = "ISOPERF_TEST_NOTES_SITE" // where the world's web server serves the directory site
	studentName = "asp"
	studentID   = 54321
	studentSubs = 2000000 // the first of the 65536 ids after the student's own
	gatewayName = "gateway.example."
	siteName    = "site.example."
)

// stage is where a test of the notes runs.
type stage struct {
	dir     string   // the test's own directory, writable for the user
	bin     string   // isoperf
	user    string   // root or asp; in no world, the caller
	site    string   // host and port of a web server that serves dir/site; a name when names is set
	world   bool     // it has mounts and a network of its own, in which siteName and gatewayName resolve
	started []string // the numbers of the processes that were isoperf
}

// everyone runs a test as root and as an ordinary user.
func everyone(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	inWorld(t, f, "root", studentName)
}

// rootOnly runs a test as root: what it shows takes root on this machine.
func rootOnly(t *testing.T, f func(t *testing.T, s *stage)) { t.Helper(); inWorld(t, f, "root") }

// inWorld runs a test as users. What can be prepared outside of the world is
// written into the stage's directory.
func inWorld(t *testing.T, f func(t *testing.T, s *stage), users ...string) {
	t.Helper()
	// A container ignores what its runtime ignored (nohup), and that what started it.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	where, user, _ := strings.Cut(os.Getenv(worldEnv), " ")
	switch {
	case where == "inside":
		dir := os.Getenv(worldDirEnv)
		t.Chdir(dir)
		f(t, &stage{dir: dir, bin: dir + "/isoperf", user: user, site: os.Getenv(serverEnv), world: true})
	case where == "world":
		if err := makeWorld(t.Name(), user); err != nil {
			t.Fatal(err)
		}
	case os.Geteuid() == 0:
		for _, user := range users {
			t.Run(user, func(t *testing.T) {
				dir := worldDir(t)
				cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run=^"+strings.Split(t.Name(), "/")[0]+"$", "-test.short="+strconv.FormatBool(testing.Short()))
				cmd.Env = append(os.Environ(), worldEnv+"=world "+user, worldDirEnv+"="+dir)
				cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
				out, err := cmd.CombinedOutput()
				t.Logf("as %s:\n%s", user, out)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(out), "--- SKIP") {
					t.Skip("it was skipped there")
				}
			})
		}
	case users[len(users)-1] != "root":
		lonely(t, f)
	default:
		skip(t, "it takes root on this machine")
	}
}

// lonely runs a test on the machine as it is, as the ordinary user who this is.
func lonely(t *testing.T, f func(t *testing.T, s *stage)) {
	dir := worldDir(t)
	s := &stage{dir: dir, bin: dir + "/isoperf", user: callerName()}
	exe, err := os.Executable()
	if err == nil {
		err = errors.Join(os.Symlink(exe, s.bin), os.Mkdir(dir+"/home", 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() && s.site == "" {
			if s.site, err = serveSite(ip.IP.String()+":0", dir+"/site"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, value := range userEnv(dir) {
		t.Setenv(name, value)
	}
	t.Cleanup(func() {
		// Files of other ids can be removed in a user namespace only.
		if out, err := exec.Command(s.bin, "run", "--namespaces", "user,mnt", "--", "rm", "-rf", dir+"/home", dir+"/zoo-fs").CombinedOutput(); err != nil {
			t.Errorf("remove the test's files: %v\n%s", err, out)
		}
	})
	t.Chdir(dir)
	f(t, s)
}

// worldDir is a directory that every user may enter, with the tars of the test.
func worldDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "isoperf-notes-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(os.Chmod(dir, 0o777), os.Mkdir(dir+"/site", 0o755), os.Mkdir(dir+"/cache", 0o700)); err != nil {
		t.Fatal(err)
	}
	if prepare := preparations()[strings.Split(t.Name(), "/")[0]]; prepare != nil {
		prepare(t, dir)
	}
	return dir
}

func userEnv(dir string) map[string]string {
	return map[string]string{"HOME": dir + "/home", "XDG_CACHE_HOME": dir + "/home/.cache", "TMPDIR": "/tmp"}
}

// makeWorld makes the world, and runs the test in it.
func makeWorld(test, user string) error {
	dir := os.Getenv(worldDirEnv)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := errors.Join(worldFiles(dir), worldNet()); err != nil {
		return err
	}
	if err := serveNames(worldAddr + ":53"); err != nil {
		return err
	}
	site, err := serveSite(worldAddr+":0", dir+"/site")
	if err != nil {
		return err
	}
	site = strings.TrimSuffix(siteName, ".") + strings.TrimPrefix(site, worldAddr)
	// Go builds a test where only its user may look.
	cmd := exec.Command(dir+"/isoperf.test", "-test.v", "-test.run=^"+test+"$", "-test.short="+strconv.FormatBool(testing.Short()))
	cmd.Env = append(os.Environ(), worldEnv+"=inside "+user, serverEnv+"="+site)
	cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR=") // the student has no session
	for name, value := range userEnv(dir) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr, cmd.Dir = os.Stdout, os.Stderr, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if user == studentName {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: studentID, Gid: studentID}
	}
	return cmd.Run()
}

// worldFiles gives the world its users with their ranges of ids, its name
// server, a tap device for everybody, a cache, and isoperf.
func worldFiles(dir string) error {
	bind := func(from, to string) error {
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %q to %q: %w", from, to, err)
		}
		return nil
	}
	if err := errors.Join(os.WriteFile(dir+"/isoperf", nil, 0o755), os.WriteFile(dir+"/isoperf.test", nil, 0o755)); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	if err := errors.Join(bind(exe, dir+"/isoperf"), bind(exe, dir+"/isoperf.test"), bind(dir+"/cache", "/var/cache"), os.Mkdir(dir+"/home", 0o755), os.Chown(dir+"/home", studentID, studentID)); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"passwd":      fmt.Sprintf("root:x:0:0:root:/root:/bin/bash\n%s:x:%d:%d::%s:/bin/bash\n", studentName, studentID, studentID, dir+"/home"),
		"group":       fmt.Sprintf("root:x:0:\n%s:x:%d:\n", studentName, studentID),
		"subuid":      fmt.Sprintf("%s:%d:65536\nroot:%d:65536\n", studentName, studentSubs, studentSubs+100000),
		"subgid":      fmt.Sprintf("%s:%d:65536\nroot:%d:65536\n", studentName, studentSubs, studentSubs+100000),
		"resolv.conf": "nameserver " + worldAddr + "\n",
	} {
		file := filepath.Join(dir, "etc-"+name)
		if err := errors.Join(os.WriteFile(file, []byte(text), 0o644), bind(file, "/etc/"+name)); err != nil {
			return err
		}
	}
	tun := dir + "/tun"
	if err := unix.Mknod(tun, unix.S_IFCHR, int(unix.Mkdev(10, 200))); err != nil {
		return fmt.Errorf("make a tap device: %w", err)
	}
	return errors.Join(os.Chmod(tun, 0o666), bind(tun, "/dev/net/tun"))
}

// worldNet gives the world a link with an address that is not the loopback's,
// and a default route.
func worldNet() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "uplink0"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "uplink1"}); err != nil {
		return fmt.Errorf("make an uplink: %w", err)
	}
	for _, name := range []string{"lo", "uplink0", "uplink1"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		if name == "uplink0" {
			if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(worldAddr), Mask: net.CIDRMask(24, 32)}}); err != nil {
				return fmt.Errorf("give %s an address: %w", name, err)
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("set %s up: %w", name, err)
		}
	}
	return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP("198.51.100.9")})
}

// serveSite serves a directory, and returns where.
func serveSite(addr, dir string) (string, error) {
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		return "", err
	}
	go func() { _ = http.Serve(l, http.FileServer(http.Dir(dir))) }()
	return l.Addr().String(), nil
}

// serveNames is a name server that knows the site's and the gateway's name.
func serveNames(addr string) error {
	pc, err := net.ListenPacket("udp4", addr)
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply, err := nameReply(buf[:n]); err == nil {
				_, _ = pc.WriteTo(reply, from)
			}
		}
	}()
	return nil
}

func nameReply(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, errors.New("not one question")
	}
	q := m.Questions[0]
	m.Response, m.RCode, m.Additionals = true, dnsmessage.RCodeSuccess, nil
	known := map[string]string{siteName: worldAddr, gatewayName: "10.0.2.2"}
	switch addr, ok := known[q.Name.String()]; {
	case !ok:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()},
		}}
	}
	return m.Pack()
}
