package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Every mode of the network, from inside: what interfaces there are, and whether
// the machine's web server answers.
func TestRunNetworks(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		if s.site == "" {
			skip(t, "this machine has no address but the loopback's")
		}
		root := s.small(t)
		_, port, _ := strings.Cut(s.site, ":")
		address := worldAddr + ":" + port
		if !s.world {
			address = s.site
		}
		const look = "ip -o addr | while read n l rest; do echo if=$l; done; wget -qO- http://%s/ 2>&1; true"
		for mode, want := range map[string]string{
			"none":        `^(if=lo\n)+.*(unreachable|can't connect)`,
			"host":        `(?s)^if=lo\n.*<!doctype html>`,
			"slirp4netns": `^(if=lo\n)+(if=tap0\n)+<!doctype html>`,
			"pasta":       `^(if=lo\n)+(if=tap0\n)+<!doctype html>`,
			"bridge":      `^(if=lo\n)+(if=eth0\n)+<!doctype html>`,
		} {
			if mode == "bridge" && os.Geteuid() != 0 {
				continue // it takes root; TestRunMissing reads what an ordinary user is told
			}
			t.Run(mode, func(t *testing.T) {
				switch {
				case mode == "bridge":
					needs(t, "iptables-restore")
					if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil { // the world's own
						t.Fatal(err)
					}
				case mode != "none" && mode != "host":
					needs(t, mode)
				}
				ask := func() {
					s.matches(t, want, "run", "-r", root, "-n", mode, "--", "sh", "-c", fmt.Sprintf(look, address))
				}
				ask() // now the root has the directories and files that are mounted on
				s.leavesNothing(t, ask)
				out := s.matches(t, `localhost`, "run", "-r", root, "--net", mode, "--hostname", "box", "--", "sh", "-c", "cat /etc/hosts; cat /etc/resolv.conf; cat /proc/sys/net/ipv4/ping_group_range")
				if mode != "none" && mode != "host" && !strings.Contains(out, "nameserver ") || mode == "none" && strings.Contains(out, "nameserver ") {
					t.Errorf("--net %s: hosts and resolv.conf are\n%s", mode, out)
				}
			})
		}
	})
}

// A port of the container is the host's with --publish; the host's loopback is
// the gateway's with --host-loopback, and closed without.
func TestRunPorts(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		root := s.small(t)
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "from the loopback\n") }))
		}()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for _, mode := range []string{"slirp4netns", "pasta"} {
			needs(t, mode)
			ask := "set -- $(ip route); timeout 3 wget -qO- http://$3:" + port + " 2>&1; true"
			s.matches(t, "^from the loopback\n$", "run", "-r", root, "-n", mode, "--host-loopback", "--", "sh", "-c", ask)
			if out, _ := s.run(t, "run", "-r", root, "-n", mode, "--", "sh", "-c", ask); strings.Contains(out, "from the loopback") {
				t.Errorf("%s: the host's loopback is open", mode)
			}
			free, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			_, public, _ := net.SplitHostPort(free.Addr().String())
			free.Close()
			b := s.shell(t, "run", "-r", root, "-n", mode, "--publish", "127.0.0.1:"+public+":80", "--", "sh")
			b.ask("{ while :; do echo from the container | nc -l -p 80; done; } > /dev/null 2>&1 &")
			if !eventually(func() bool {
				c, err := net.DialTimeout("tcp4", "127.0.0.1:"+public, time.Second)
				if err != nil {
					return false
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Second))
				text, _ := io.ReadAll(c)
				return string(text) == "from the container\n"
			}) {
				t.Errorf("%s: the published port does not answer", mode)
			}
			b.end("exit")
		}
	})
}
