package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// bad is wrong input, and what is said about it.
type bad struct {
	args string // words, with a no-break space where a word has one
	want string
}

// checkBad runs each: it has to exit with 125, say what is wrong, and leave
// nothing behind.
func (s *stage) checkBad(t *testing.T, list []bad) {
	t.Helper()
	for _, c := range list {
		args := []string{"run"}
		for word := range strings.SplitSeq(c.args, " ") {
			args = append(args, strings.ReplaceAll(word, "\u00a0", " "))
		}
		s.leavesNothing(t, func() {
			out := s.want(t, 125, c.want, args...)
			if lines := strings.Count(out, "\n"); !strings.HasPrefix(out, "isoperf: ") || lines > 2 || strings.Contains(out, "goroutine") {
				t.Errorf("isoperf %q prints\n%s", args, out)
			}
		})
	}
}

// Wrong words have an error that says what is wrong with which flag.
func TestRunBadWords(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		s.small(t)
		s.write(t, "half.json", "{", 0o644)
		s.write(t, "odd.json", `{"defaultAction":"SCMP_ACT_ALLOW","odd":1}`, 0o644)
		s.checkBad(t, []bad{
			{"--init", "no command"},
			{"", "the command is empty"},
			{"--memroy 1M true", "did you mean --memory?"},
			{"-r nowhere true", `--rootfs "nowhere": it does not exist`},
			{"-r half.json/x true", `--rootfs "half.json/x": it does not exist`},
			{"-r / true", "it is the host's own root"},
			{"-r /dev/null true", "neither a directory nor a tar"},
			{"-r  true", "--rootfs: its value is empty"},
			{"--cap-add NO_SUCH true", `--cap-add: unknown capability "NO_SUCH"; capabilities(7) lists them`},
			{"--cap-drop  true", "--cap-drop: its value is empty"},
			{"--cap-drop NO_SUCH true", `--cap-drop: unknown capability "NO_SUCH"`},
			{"--seccomp no-such true", "--seccomp: load seccomp profile: open no-such: no such file"},
			{"--seccomp half.json true", "it ends too early"},
			{"--seccomp odd.json true", `unknown field "odd"`},
			{"--net no-such true", `--net: parse network "no-such": not a mode; use none, host, bridge, slirp4netns or pasta`},
			{"--namespaces no-such true", `"no-such" is not a namespace (user pid net mnt uts ipc cgroup time`},
			{"--userns no-such true", `--userns "no-such": it is none of auto, keep and none`},
			{"--volume nowhere:/x true", "does not exist on the host"},
			{"--volume /tmp true", "it is SOURCE:TARGET[:ro"},
			{"--volume /tmp:x true", "with an absolute target"},
			{"--volume /tmp:/tmp:odd true", `"odd" is no option: ro, rw`},
			{"--volume /tmp:/no/such true", `there is no "/no/such" on the host, whose files are seen without --rootfs`},
			{"--tmpfs /no/such true", `there is no "/no/such" on the host`},
			{"--tmpfs /etc/passwd true", "start the container: open etc/passwd: not a directory; something is to be mounted there"},
			{"-r root --volume /etc:/etc/passwd true", "start the container: bind /etc/passwd: invalid argument; a directory can be shown on a directory only"},
			{"-r /proc true", "start the container: mkdir proc: no such file or directory; it is missing in the root file system"},
			{"--tmpfs x true", "not an absolute directory"},
			{"--tmpfs /x:size=abc true", "not a size such as size=64m"},
			{"--hostname " + strings.Repeat("x", 65) + " true", "it has 65 characters, the most is 64"},
			{"--env =x true", "the name is empty"},
			{"--workdir x true", "it is not absolute"},
			{"--workdir /no/such true", `start in --workdir "/no/such": no such file or directory`},
			{"-r root --workdir /etc/passwd true", `start in --workdir "/etc/passwd": not a directory`},
			{"-r root --user no-such true", `--user "no-such": unable to find user no-such`},
			{"--stop-timeout -1s true", "--stop-timeout -1s: it is negative"},
			{"--stop-timeout abc true", "must be a duration"},
			{"--timeline /no/such/file true", "--timeline: open /no/such/file: no such file or directory"},
			{"-n slirp4netns --publish abc true", "--publish: parse published port"},
			{"-n slirp4netns --publish 99999:1 true", "not a port, a number from 1 to 65535"},
		})
	})
}

// Limits that are none, too small, too large or ambiguous are refused before
// anything is looked at, so to everybody.
func TestRunBadNumbers(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		s.checkBad(t, []bad{
			{"-c -1 true", `--cpu: parse CPU limit "-1": it must be above 0`},
			{"-c 0 true", "it must be above 0"},
			{"-c 1000000000 true", "more than the kernel can count"},
			{"-c abc true", "it is not a number; write 20%, 200m or"},
			{"-c -5% true", "it must be above 0"},
			{"-c 20000\u00a01 true", `period "1" is not from 1000 to 1000000 µs`},
			{"-c 20000 true", `is it 20000 % of a CPU, or 20000 µs of each 100000 µs? write 20000% or "20000 100000"`},
			{"-c 0.2 true", "is it 0.2 % of a CPU or 20 %? write 0.2% or 20%"},
			{"-m -1 true", `--memory: parse size "-1": it must be above 0`},
			{"-m 0 true", "it must be above 0"},
			{"-m 10000000000000000000 true", "more than the kernel can count"},
			{"-m abc true", "not a number with a suffix k, m, g or t"},
			{"-m 0.2 true", "not a whole number of bytes"},
			{"-m 64 true", "less than a page, 4096 bytes; did you mean 64M?"},
			{"-p -1 true", `--pids: parse pids limit "-1": it is not from 1 to 4194304`},
			{"-p 0 true", "not from 1 to"},
			{"-p 1000000000 true", "not from 1 to"},
			{"-p abc true", "not from 1 to"},
			{"-p 0.2 true", "not from 1 to"},
			{"--cpu-weight 0 true", "--cpu-weight: parse weight \"0\": it is not from 1 to 10000"},
			{"--cpu-weight 10001 true", "not from 1 to 10000"},
			{"--cpuset abc true", "--cpuset: parse CPU list"},
			{"--cpuset 3-1 true", "not a number or range"},
			{"--io-max /dev/null:rbps=1M true", `"/dev/null" is not a block device`},
			{"--io-max /dev/nowhere:rbps=1M true", "no such file"},
		})
	})
}

// Flags that contradict each other are refused, and none is ignored.
func TestRunContradictions(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		s.checkBad(t, []bad{
			{"--net host --namespaces all true", "--net host and --namespaces all contradict each other"},
			{"--map-root --userns none true", "--userns none: --map-root and a user namespace in --namespaces ask for one"},
			{"--map-root --userns keep true", "--userns keep and --map-root contradict each other"},
			{"--read-only true", "--read-only: it is about a root of the container's own: give --rootfs"},
			{"--throwaway true", "--throwaway: it is about a root"},
			{"--hostname a --namespaces pid true", "add uts to --namespaces"},
			{"--init --namespaces mnt true", "add pid to --namespaces"},
			{"--publish 80:80 true", "nothing to publish a port with: choose --net slirp4netns, pasta or bridge"},
			{"--net host --publish 80:80 true", "nothing to publish a port with"},
			{"--host-loopback true", "--host-loopback: this network has no gateway"},
			{"--seccomp strict true", "--seccomp strict: it forbids execve"},
			{"--seccomp strict --init", "--seccomp strict and --init contradict each other"},
			{"--seccomp strict -t", "--seccomp strict and --tty contradict each other"},
			{"--plan --explain true", "exclude each other"},
			{"--plan --profile true", "run nothing, so that nothing is timed"},
			{"--explain --timeline t.json true", "run nothing, so that nothing is timed"},
		})
	})
}

// Root has limits that the kernel refuses; no group of them stays.
func TestRunBadLimits(t *testing.T) {
	rootOnly(t, func(t *testing.T, s *stage) {
		s.checkBad(t, []bad{
			{"--cpuset 4095 true", "cpu"},
			{"-m 4k true", "give a higher limit"},
		})
		s.leavesNothing(t, func() { s.want(t, 127, "execute", "run", "-m", "64M", "-p", "9", "-c", "20%", "--", "no-such/command") })
	})
}

// What an ordinary user does not have on this machine is named, with what to do.
func TestRunMissing(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		if os.Geteuid() == 0 {
			inside := map[string]string{"slirp4netns": "slirp4netns is not on PATH", "pasta": "pasta is not on PATH", "bridge": "iptables"}
			t.Setenv("PATH", "/nowhere")
			for net, want := range inside {
				s.checkBad(t, []bad{{"--net " + net + " /bin/true", want}})
			}
			return
		}
		s.checkBad(t, []bad{
			{"--userns none true", "may not create namespaces without a user namespace: leave it out, or run as root"},
			{"--user 5 --map-root true", "uid 5 has no mapping in the user namespace, which has 0: leave --map-root out, with ranges of ids for the caller (/etc/subuid)"},
			{"--user 70000 true", "uid 70000 has no mapping in the user namespace, which has 0,1-65536: choose one of them"},
			{"-P --namespaces uts true", "--proc: in a user namespace a private /proc shows a pid namespace of its own: add pid to --namespaces"},
			{"--namespaces none --cap-add SYS_ADMIN true", "--cap-add: isoperf does not have sys_admin itself"},
			{"--net bridge true", "a bridge takes root (CAP_NET_ADMIN and CAP_SYS_ADMIN); as an ordinary user use slirp4netns or pasta"},
		})
		if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); errors.Is(err, os.ErrNotExist) {
			s.checkBad(t, []bad{{"-p 9 true", "--pids: limits for an ordinary user"}, {"-c 20% true", "--cpu: limits for an ordinary user take control groups of version 2 that are delegated"}})
		}
		path := os.Getenv("PATH")
		t.Setenv("PATH", "/nowhere")
		s.checkBad(t, []bad{
			{"/bin/true", `find "newuidmap" in $PATH: executable file not found in $PATH; install it (package uidmap, or shadow-utils), or use --map-root`},
			{"--map-root --net slirp4netns /bin/true", "apt install slirp4netns"},
			{"--map-root --net pasta /bin/true", "apt install passt"},
		})
		t.Setenv("PATH", path)
		s.matches(t, "^0\n$", "run", "--map-root", "id", "-u")
	})
}

// Somebody without ranges of ids is told how to get some; without the tap
// device there is no network for an ordinary user.
func TestRunNoRanges(t *testing.T) {
	rootOnly(t, func(t *testing.T, s *stage) {
		if err := os.Chmod("/dev/net/tun", 0o600); err != nil { // the world's own
			t.Fatal(err)
		}
		const somebody = 12345
		for _, c := range []struct {
			id   uint32
			args []string
			want string
		}{
			{somebody, []string{"true"}, "no range for user id 12345 in /etc/subuid"},
			{somebody, []string{"true"}, "or use --map-root"},
			{studentID, []string{"--net", "slirp4netns", "true"}, `open "/dev/net/tun": permission denied; as root: chmod 0666 /dev/net/tun`},
			{studentID, []string{"--net", "pasta", "true"}, "as root: chmod 0666 /dev/net/tun"},
		} {
			cmd := exec.Command(s.bin, append([]string{"run"}, c.args...)...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.id, Gid: c.id}}
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != 125 || !strings.Contains(string(out), c.want) {
				t.Errorf("user %d, %q: %v, want 125 and %q:\n%s", c.id, c.args, cmd.ProcessState, c.want, out)
			}
		}
	})
}

// A tar that is none, or is damaged, is named, and nothing of it stays.
func TestRunBadTar(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		needs(t, "tar", "gzip")
		root := s.small(t)
		output(t, "tar", "-C", root, "-cf", "good.tar", ".")
		output(t, "gzip", "-k", "good.tar")
		good, err := os.ReadFile("good.tar")
		if err != nil {
			t.Fatal(err)
		}
		zipped, err := os.ReadFile("good.tar.gz")
		if err != nil {
			t.Fatal(err)
		}
		flipped := []byte(strings.Clone(string(good)))
		copy(flipped[100:], "XXXXXXXX") // the first header's mode
		for name, text := range map[string]string{
			"empty.tar": "", "text.tar": "hello\n", "cut.tar": string(good[:len(good)/2]), "cut.gz": string(zipped[:len(zipped)/2]), "flipped.tar": string(flipped),
			"noise.gz": string(zipped[:len(zipped)/2]) + strings.Repeat("noise", 100),
		} {
			s.write(t, name, text, 0o644)
		}
		s.matches(t, "", "run", "-r", "good.tar", "true") // the cache is there
		s.checkBad(t, []bad{
			{"-r empty.tar true", "is not a tar archive: it is empty"},
			{"-r text.tar true", "is not a tar archive"},
			{"-r cut.tar true", "the archive was cut short; fetch or make it again"},
			{"-r cut.gz true", "the gzip data is damaged"},
			{"-r noise.gz true", "the gzip data is damaged"},
			{"-r flipped.tar true", "is not a tar archive: archive/tar: invalid tar header; plain tar, gzip, xz, zstd and bzip2 are understood"},
		})
	})
}

// A tar is unpacked once, whatever packed it, and what is written is thrown
// away.
func TestRunTar(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		needs(t, "tar", "gzip", "xz", "zstd")
		root := s.small(t)
		output(t, "tar", "--owner=0", "--group=0", "-C", root, "-cf", "it.tar", ".")
		trees := func() string {
			dir, err := cacheDir()
			if err != nil {
				t.Fatal(err)
			}
			list, err := filepath.Glob(dir + "/*-*")
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for _, tree := range list {
				var st unix.Stat_t
				if err := unix.Stat(tree, &st); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&text, tree, st.Ino, st.Ctim)
			}
			return text.String()
		}
		last := trees()
		for _, pack := range []string{"", "gzip -c", "xz -0 -c", "zstd -q -c"} {
			name := "it.tar"
			if pack != "" {
				name += "." + strings.Fields(pack)[0]
				output(t, "sh", "-c", pack+" it.tar > "+name)
			}
			for time := range 2 {
				s.matches(t, `^thrown\nroot:x:0:\n`, "run", "-r", name, "--", "sh", "-c", "test -e /thrown && echo left; echo thrown > /thrown; cat /thrown /etc/group")
				if now := trees(); (now == last) != (time == 1) {
					t.Errorf("%s, time %d: the cache had\n%sand has\n%s", name, time+1, last, now)
				} else {
					last = now
				}
			}
		}
		s.matches(t, "^0\n$", "run", "--map-root", "-r", "it.tar", "--", "stat", "-c", "%u", "/etc/passwd")
	})
}
