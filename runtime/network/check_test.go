package network

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

func TestParseMode(t *testing.T) {
	for _, m := range Modes() {
		if got, err := ParseMode(string(m)); got != m || err != nil {
			t.Errorf("%q is %q, %v", m, got, err)
		}
	}
	for _, s := range []string{"", "None", "nat"} {
		if _, err := ParseMode(s); err == nil || !strings.Contains(err.Error(), "use none, host") {
			t.Errorf("%q gives %v", s, err)
		}
	}
}

func TestParsePort(t *testing.T) {
	for s, want := range map[string]Port{
		"8080:80":               {HostPort: 8080, Container: 80, Protocol: "tcp"},
		"1:65535/udp":           {HostPort: 1, Container: 65535, Protocol: "udp"},
		"127.0.0.1:8080:80/udp": {netip.MustParseAddr("127.0.0.1"), 8080, 80, "udp"},
		"[::1]:8080:80/tcp":     {netip.MustParseAddr("::1"), 8080, 80, "tcp"},
		"0.0.0.0:8080:80":       {netip.MustParseAddr("0.0.0.0"), 8080, 80, "tcp"},
	} {
		got, err := ParsePort(s)
		if err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", s, got, err, want)
		}
		if again, err := ParsePort(got.String()); err != nil || again != want {
			t.Errorf("%q is printed as %q, which is %v, %v", s, got, again, err)
		}
	}
	for s, say := range map[string]string{
		"": "missing", "80": "missing", "8080:": "not a port", ":80": "not a port", "0:80": "not a port",
		"8080:65536": "not a port", "8080:-1": "not a port", "8080:+1": "not a port", "a:80": "not a port",
		"8080:80/icmp": "neither tcp nor udp", "8080:80/": "neither tcp nor udp", "localhost:8080:80": "not an IP address",
		"::1:8080:80": "brackets", "[::1:8080:80": "closing bracket", "[127.0.0.1]:8080:80": "brackets", "[fe80::1%lo]:8080:80": "zone",
		"[::ffff:1.2.3.4]:8080:80": "IPv6 clothes", "8000-8010:80": "not a port", "1.2.3.4::80": "not a port", "[::1]": "missing",
	} {
		if p, err := ParsePort(s); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q is %v, %v; want an error with %q", s, p, err, say)
		}
	}
}

// TestCheckText: errors that no machine changes.
func TestCheckText(t *testing.T) {
	for _, c := range []struct {
		config Config
		say    string
	}{
		{Config{Mode: "nat"}, "not a mode"},
		{Config{Mode: None, Publish: ports(t, "8080:80")}, "no network to publish"},
		{Config{Mode: Host, Publish: ports(t, "8080:80")}, "listens on the host's ports"},
		{Config{Mode: None, MTU: 1500}, "no interface"},
		{Config{Mode: Pasta, MTU: 67}, "outside 68 to 65520"},
		{Config{Mode: Pasta, MTU: 65521}, "outside 68 to 65520"},
		{Config{Mode: Bridge, Record: "/r", ID: "a", HostLoopback: true}, "slirp4netns and pasta only"},
		{Config{Mode: Pasta, Record: "/r"}, "needs the container's ID"},
		{Config{Mode: Bridge, ID: "a"}, "needs a directory"},
		{Config{Mode: Pasta, ID: "../a"}, "ID"},
		{Config{Mode: Pasta, ID: strings.Repeat("a", 129)}, "ID"},
		{Config{Mode: Pasta, ID: `a" -j ACCEPT`}, "ID"},
		{Config{Mode: Pasta, Hostname: "a\nb"}, "hostname"},
		{Config{Mode: Pasta, Subnet: netip.MustParsePrefix("10.0.0.0/8")}, "not an IPv4 /24"},
		{Config{Mode: Slirp4netns, Publish: ports(t, "[::1]:8080:80")}, "only pasta"},
		{Config{Mode: Pasta, Publish: ports(t, "[::1]:8080:80")}, "the container has no IPv6"},
		{Config{Mode: Bridge, Record: "/r", ID: "a", IPv6: true}, "only slirp4netns and pasta"},
		{Config{Mode: Pasta, MTU: 1279, IPv6: true}, "less than the 1280"},
		{Config{Mode: Pasta, Publish: ports(t, "8080:80", "127.0.0.1:8080:81")}, "want the same port"},
		{Config{Mode: Pasta, Publish: []Port{{HostPort: 1}}}, "not complete"},
	} {
		if err := c.config.Check(); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%+v: %v; want an error with %q", c.config, err, c.say)
		}
	}
	for _, c := range []Config{{Mode: None}, {Mode: Host, Hostname: "a.example", ID: "a.b_c-1"}} {
		if err := c.Check(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	distinct := Config{Mode: Pasta, Publish: ports(t, "8080:80", "8080:80/udp", "8081:80")}
	if err := distinct.checkPorts(); err != nil {
		t.Error(err)
	}
}

// TestMissingPrograms: the error says which package has it.
func TestMissingPrograms(t *testing.T) {
	if !inWorld(t, asRoot) {
		return
	}
	t.Setenv("PATH", "")
	for m, says := range map[Mode][]string{
		Slirp4netns: {"slirp4netns is not on PATH", "apt install slirp4netns", "dnf install slirp4netns"},
		Pasta:       {"pasta is not on PATH", "apt install passt", "dnf install passt"},
		Bridge:      {"iptables-restore is not on PATH", "apt install iptables", "dnf install iptables"},
	} {
		l, err := Connect(t.Context(), Config{Mode: m, Record: "/nowhere", ID: "a"}, Target{})
		if l != nil || err == nil {
			t.Fatalf("without programs, %s gives %v, %v", m, l, err)
		}
		for _, say := range says {
			if !strings.Contains(err.Error(), say) {
				t.Errorf("%s: %v; want %q", m, err, say)
			}
		}
	}
}

// TestTunRefused: the error says what to do, for a device that is missing and
// for one that is root's.
func TestTunRefused(t *testing.T) {
	if os.Geteuid() == 0 && !inWorld(t, asOrdinary) {
		return
	}
	dir := t.TempDir()
	shut := filepath.Join(dir, "tun")
	must(t, os.WriteFile(shut, nil, 0))
	for path, want := range map[string]struct {
		errno error
		say   string
	}{shut: {unix.EACCES, "chmod 0666 " + shut}, filepath.Join(dir, "none"): {unix.ENOENT, "modprobe tun"}} {
		if err := checkTun(path); !errors.Is(err, want.errno) || !strings.Contains(err.Error(), want.say) {
			t.Errorf("%s: %v; want %v and %q", path, err, want.errno, want.say)
		}
	}
}

// TestUserLimits: what an ordinary user may not.
func TestUserLimits(t *testing.T) {
	if os.Geteuid() == 0 && !inWorld(t, asOrdinary) {
		return
	}
	for _, c := range []struct {
		config Config
		say    string
	}{
		{Config{Mode: Bridge, Record: "/r", ID: "a"}, "takes root"},
		{Config{Mode: Pasta, Publish: ports(t, "80:80")}, "a user may have those from 1024"},
	} {
		if err := c.config.Check(); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%+v: %v; want an error with %q", c.config, err, c.say)
		}
	}
}

func TestFiles(t *testing.T) {
	resolv := []byte("# made by hand\nsearch  a.example b.example\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver fd00::53\noptions edns0\nnameserver bad\n")
	hosts := []byte("127.0.0.1 localhost secret.example\n")
	const rest = "search a.example b.example\noptions edns0\n"
	const local = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	for _, c := range []struct {
		config        Config
		resolv, hosts string
	}{
		{Config{Mode: Host, Hostname: "box"}, string(resolv), string(hosts)},
		{Config{Mode: None, Hostname: "box"}, "# no network, no name server\n", local + "127.0.1.1\tbox\n"},
		{Config{Mode: None}, "# no network, no name server\n", local},
		{Config{Mode: Slirp4netns, Hostname: "box.a.example"}, "nameserver 10.0.2.3\n" + rest, local + "10.0.2.100\tbox.a.example box\n"},
		{Config{Mode: Pasta, Hostname: "box", Subnet: netip.MustParsePrefix("10.0.7.0/24")}, "nameserver 10.0.7.3\n" + rest, local + "10.0.7.100\tbox\n"},
		{Config{Mode: Bridge, Hostname: "box"}, "nameserver 192.0.2.53\n" + rest, local + "127.0.1.1\tbox\n"},
		{Config{Mode: Bridge, Hostname: "box", Address: netip.MustParseAddr("10.88.0.2")}, "nameserver 192.0.2.53\n" + rest, local + "10.88.0.2\tbox\n"},
	} {
		r, h := c.config.Files(resolv, hosts)
		if diff := cmp.Diff(c.resolv+c.hosts, string(r)+string(h)); diff != "" {
			t.Errorf("%+v:\n%s", c.config, diff)
		}
	}
	only, _ := Config{Mode: Bridge}.Files([]byte("nameserver 127.0.0.53\n"), nil)
	if want := "# none of the host's name servers can be reached from a bridge\n"; string(only) != want {
		t.Errorf("with a loopback server only: %q", only)
	}
}

// TestPlans: the ops and the rules, as they are printed.
func TestPlans(t *testing.T) {
	var out bytes.Buffer
	p := program.New(program.Stub, unix.CLONE_NEWNET)
	Loopback(p)
	p.Add(program.Exit(0))
	must(t, p.Print(&out))
	out.WriteString("\n")
	pr := probe{target: netip.MustParseAddrPort("192.0.2.1:9")}
	must(t, pr.program(Target{PID: 1, User: 5, Net: 6}).Print(&out))
	out.WriteString("\n")
	pr = probe{target: netip.MustParseAddrPort("[2001:db8::1]:9")}
	must(t, pr.program(Target{PID: 1, Net: 6}).Print(&out))
	out.WriteString("\n")
	must(t, Target{PID: 1, Net: 6}.trusting().Print(&out))
	for _, six := range []bool{false, true} {
		for _, c := range []Config{{Mode: Slirp4netns, IPv6: six}, {Mode: Pasta, IPv6: six}} {
			line := c.pastaCommand
			if c.Mode == Slirp4netns {
				line = func(path string, to Target) command { return c.slirpCommand(path, to, os.Stdin, os.Stdin, nil) }
			}
			to := Target{PID: 1, Net: 6}
			text := strings.Join(line("", to).args, " ")
			fmt.Fprintf(&out, "\n%s %s\n", c.Mode, strings.Replace(text, " --runas 0:0", "", 1)) // of root only
		}
	}
	subnet := netip.MustParsePrefix("10.88.0.0/16")
	out.WriteString("\n" + script(bridgeRules(subnet, true)) + "\n")
	out.WriteString(script(portRules("box", netip.MustParseAddr("10.88.0.2"), ports(t, "8080:80", "192.0.2.1:53:5353/udp"))))
	golden(t, "testdata/plans.txt", out.Bytes())
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if os.Getenv("UPDATE") == "1" {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (UPDATE=1 writes it):\n%s", path, diff)
	}
}

func TestDeletions(t *testing.T) {
	saved := `# made by iptables-save
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m comment --comment "isoperf0 box" -j DNAT --to-destination 10.88.0.2:80
-A PREROUTING -p tcp -m comment --comment "isoperf0 box2" -j DNAT --to-destination 10.88.0.3:80
-A POSTROUTING -m comment --comment isoperf0 -j MASQUERADE
-A POSTROUTING -m comment --comment isoperf01 -j MASQUERADE
COMMIT
*filter
-A FORWARD -m comment --comment isoperf0 -j ACCEPT
-A FORWARD -m comment --comment "not isoperf0 box" -j ACCEPT
COMMIT
`
	for comment, want := range map[string][]rule{
		"isoperf0 box": {{"nat", `-D PREROUTING -p tcp -m comment --comment "isoperf0 box" -j DNAT --to-destination 10.88.0.2:80`}},
		"isoperf0": {
			{"nat", "-D POSTROUTING -m comment --comment isoperf0 -j MASQUERADE"},
			{"filter", "-D FORWARD -m comment --comment isoperf0 -j ACCEPT"},
		},
		"isoperf0 none": nil,
	} {
		if diff := cmp.Diff(want, deletions(saved, comment), cmp.AllowUnexported(rule{})); diff != "" {
			t.Errorf("%s:\n%s", comment, diff)
		}
	}
}
