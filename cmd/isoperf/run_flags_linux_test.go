package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What each flag gives is seen from inside.
func TestRunFlags(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		root := s.small(t)
		t.Setenv("FROM_OUTSIDE", "caller")
		if err := os.Mkdir(s.dir+"/data", 0o755); err != nil {
			t.Fatal(err)
		}
		s.write(t, "data/file", "on the host", 0o644)
		profile := s.write(t, "profile.json", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}`, 0o644)
		for _, c := range []struct {
			flags string // separated by "|"
			run   string // by the container's sh
			want  string // a pattern, of all that is printed
		}{
			{"", "echo $0 $HOME $PWD $container; hostname", `^sh /root / isoperf\niso-[0-9a-f]{8}\n$`},
			{"--hostname|box", "hostname", `^box\n$`},
			{"--env|A=1 2|--env|FROM_OUTSIDE|--env|NOT_SET", `echo "$A,$FROM_OUTSIDE,${NOT_SET-unset}"`, `^1 2,caller,unset\n$`},
			{"--workdir|/tmp", "pwd", `^/tmp\n$`},
			{"--workdir|/made/by/it", "pwd", `^/made/by/it\n$`},
			{"--user|ann", "id; echo $HOME; grep CapEff /proc/self/status", `^uid=1000\(ann\) gid=1000\(ann\) groups=50\(staff\)(,1000\(ann\))?\n/home/ann\nCapEff:\s0+\n$`},
			{"--user|7:50", "id", `^uid=7 gid=50\(staff\)`},
			{"--volume|data:/data", "cat /data/file; echo new > /data/new", `^on the host$`},
			{"--volume|" + s.dir + "/data:/data:ro", "echo more > /data/file || cat /data/file", `Read-only file system\non the host$`},
			{"--tmpfs|/t:size=64k,mode=700", "stat -c %a /t; grep ' /t ' /proc/mounts", `^700\ntmpfs /t tmpfs rw,nosuid,nodev.*size=64k`},
			{"--read-only", "touch /x; touch /tmp/x; touch /dev/shm/x && echo shm", `^(touch: .*Read-only file system\n){2}shm\n$`},
			{"--throwaway", "echo changed > /etc/passwd; cat /etc/passwd; touch /thrown", `^changed\n$`},
			{"--proc=false", "ls /proc/self 2>&1", `No such file`},
			{"--init", "echo $$; readlink /proc/1/exe; cat /proc/1/comm", `^2\n`},
			{"", "echo $$", `^1\n$`},
			{"--cap-drop|ALL", "grep CapBnd /proc/self/status", `^CapBnd:\s0+\n$`},
			{"--cap-drop|CHOWN", "grep -E 'Cap(Eff|Bnd)' /proc/self/status", `^CapEff:\s00000000a80425fa\nCapBnd:\s00000000a80425fa\n$`},
			{"--cap-add|SYS_NICE,cap_sys_time", "grep CapPrm /proc/self/status", `^CapPrm:\s00000000aa8425fb\n$`},
			{"", "grep -E 'Cap|NoNew|Seccomp:' /proc/self/status", `^CapInh:\s0+\nCapPrm:\s00000000a80425fb\nCapEff:\s00000000a80425fb\nCapBnd:\s00000000a80425fb\nCapAmb:\s0+\nNoNewPrivs:\s1\nSeccomp:\s2\n$`},
			{"--seccomp|unconfined", "grep Seccomp: /proc/self/status", `:\s0\n$`},
			{"--seccomp|" + profile, "mkdir /tmp/d || grep Seccomp: /proc/self/status", `Operation not supported\nSeccomp:\s2\n$`},
			{"--userns|keep", "id -u; cat /proc/self/uid_map", fmt.Sprintf(`^%d\n`, os.Getuid())},
			{"--map-root", "id -u; cat /proc/self/uid_map", fmt.Sprintf(`^0\n\s+0\s+%d\s+1\n$`, os.Getuid())},
			{"--net|none", "ip -o addr; wget -qO- http://127.0.0.1:1/ 2>&1", `^1: lo +inet 127\.0\.0\.1/8 (?s).*refused`},
			{"-P", "ls -d /proc/1", `^/proc/1\n$`},
		} {
			args := []string{"run", "-r", root}
			if c.flags != "" {
				args = append(args, strings.Split(c.flags, "|")...)
			}
			s.matches(t, c.want, append(args, "--", "sh", "-c", c.run+"\ntrue")...)
		}
		if _, err := os.Stat(root + "/thrown"); err == nil {
			t.Error("--throwaway: the file is on the host")
		}
		if text, err := os.ReadFile(s.dir + "/data/new"); err != nil || string(text) != "new\n" {
			t.Errorf("--volume: what was written is %q, %v", text, err)
		}
	})
}

// The command and its init both have the filter, with a terminal and without.
func TestRunInitFiltered(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		root := s.small(t)
		profile := s.write(t, "profile.json", `{"defaultAction":"SCMP_ACT_ALLOW"}`, 0o644)
		for filter, mode := range map[string]string{"default": "2", profile: "2", "unconfined": "0"} {
			for _, tty := range []string{"--tty", "--tty=false"} {
				s.matches(t, fmt.Sprintf(`^/proc/1/status:Seccomp:\s%s\r?\n/proc/self/status:Seccomp:\s%s\r?\n$`, mode, mode),
					"run", "-r", root, "--init", tty, "--seccomp", filter, "--", "grep", "Seccomp:", "/proc/1/status", "/proc/self/status")
			}
		}
	})
}

// Each namespace of the list is one of its own, the others are the host's.
func TestRunNamespaces(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		user := ""
		if os.Geteuid() != 0 {
			user = " user"
		}
		for list, own := range map[string]string{
			"": "pid net mnt uts ipc cgroup" + user, "all": "pid net mnt uts ipc cgroup time user", "none": "", "uts,ipc": "uts ipc" + user, "all,-net": "pid mnt uts ipc cgroup time user",
		} {
			args := []string{"run", "-P"}
			if list != "" {
				args = append(args, "--namespaces", list)
			}
			if list == "none" || list == "uts,ipc" {
				args[1] = "--proc=false"
			}
			out := s.matches(t, "", append(args, "--", "sh", "-c", "for n in pid net mnt uts ipc cgroup time user; do echo $n $(readlink /proc/self/ns/$n); done")...)
			for line := range strings.Lines(out) {
				name, inside, _ := strings.Cut(strings.TrimSpace(line), " ")
				outside, _ := os.Readlink("/proc/self/ns/" + name)
				if want := strings.Contains(" "+own+" ", " "+name+" "); inside == "" || (inside != outside) != want {
					t.Errorf("--namespaces %q: %s is %s, outside %s", list, name, inside, outside)
				}
			}
		}
		out := s.matches(t, "", "run", "--net", "host", "--", "readlink", "/proc/self/ns/net")
		if outside, _ := os.Readlink("/proc/self/ns/net"); strings.TrimSpace(out) != outside {
			t.Errorf("--net host: the network is %s, outside %s", out, outside)
		}
		if os.Geteuid() == 0 {
			s.matches(t, `4294967295`, "run", "--userns", "none", "--", "cat", "/proc/self/uid_map")
		} else {
			s.matches(t, "^"+strconv.Itoa(os.Getuid())+"\n$", "run", "--namespaces", "none", "--", "id", "-u")
		}
	})
}

// Limits are in force, read back from outside, and their control groups are
// gone afterwards.
func TestRunLimits(t *testing.T) {
	rootOnly(t, func(t *testing.T, s *stage) {
		needs(t, "bash")
		disk := aDisk(t)
		b := s.shell(t, "run", "-c", "20%", "-m", "64M", "-p", "20", "--cpuset", "0", "--cpu-weight", "50", "--io-max", disk+":rbps=1M,wiops=100", "bash")
		dirs := groupsOf(t, b.pid)
		for _, c := range []struct{ v2, v1, want string }{
			{"cpu.max", "cpu.cfs_quota_us", `^20000( 100000)?$`},
			{"memory.max", "memory.limit_in_bytes", `^67108864$`},
			{"pids.max", "pids.max", `^20$`},
			{"cpuset.cpus", "cpuset.cpus", `^0$`},
			{"cpu.weight", "cpu.shares", `^(50|[1-9][0-9]*)$`},
			{"io.max", "blkio.throttle.read_bps_device", `1048576`},
			{"io.max", "blkio.throttle.write_iops_device", `[ =]100$`},
		} {
			if got := limit(dirs, c.v2, c.v1); !regexp.MustCompile(c.want).MatchString(got) {
				t.Errorf("%s is %q, want %q", c.v2, got, c.want)
			}
		}
		if got := limit(dirs, "cpu.weight", "cpu.shares"); got == "1024" || got == "100" {
			t.Errorf("the weight is the default: %s", got)
		}
		b.want("1", "nproc")
		if code := b.end("exit 3"); code != 3 {
			t.Errorf("exit status %d, want 3", code)
		}
		for _, dir := range dirs {
			if _, err := os.Stat(dir); err == nil && strings.Contains(dir, "isoperf-") {
				t.Errorf("%s is left", dir)
			}
		}
		if len(s.groups()) > 0 {
			t.Errorf("groups are left: %q", s.groups())
		}
	})
}

// groupsOf are the directories of a process's control groups.
func groupsOf(t *testing.T, pid int) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, mount := range []string{"/sys/fs/cgroup/" + strings.TrimPrefix(parts[1], "name="), "/sys/fs/cgroup"} {
			if _, err := os.Stat(mount + parts[2] + "/cgroup.procs"); err == nil {
				dirs = append(dirs, mount+parts[2])
				break
			}
		}
	}
	return dirs
}

// limit is the text of the first file of either name.
func limit(dirs []string, names ...string) string {
	for _, dir := range dirs {
		for _, name := range names {
			if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				return strings.TrimSpace(string(text))
			}
		}
	}
	return "not there"
}

// aDisk is a whole disk of this machine.
func aDisk(t *testing.T) string {
	t.Helper()
	disks, err := filepath.Glob("/sys/block/*/dev")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range disks {
		if name := filepath.Base(filepath.Dir(d)); !strings.HasPrefix(name, "loop") && !strings.HasPrefix(name, "ram") && !strings.HasPrefix(name, "zram") {
			if _, err := os.Stat("/dev/" + name); err == nil {
				return "/dev/" + name
			}
		}
	}
	skip(t, "there is no disk here")
	return ""
}

// The flags have the names that they are known by, long and short.
func TestRunFlagNames(t *testing.T) {
	const want = "rootfs/r cpu/c proc/P memory/m pids/p cpuset cpu-weight io-max net/n publish namespaces userns map-root cap-add cap-drop seccomp " +
		"hostname env workdir user volume tmpfs read-only tty/t init stop-timeout plan explain timeline profile"
	flags := runCommand().Flags()
	for name := range strings.FieldsSeq(want) {
		long, short, _ := strings.Cut(name, "/")
		if f := flags.Lookup(long); f == nil || f.Shorthand != short {
			t.Errorf("there is no --%s, or it is not -%s in short", long, short)
		}
	}
}

// runCommand is the command isoperf run.
func runCommand() *cobra.Command {
	for _, c := range (&cli{}).root().Commands() {
		if c.Name() == "run" {
			return c
		}
	}
	return nil
}

// Every flag is used by a test of isoperf run.
func TestRunEveryFlag(t *testing.T) {
	files, err := filepath.Glob("run_*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("find the tests: %v, %v", files, err)
	}
	var tests strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	runCommand().Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		used := `"(--` + f.Name + `|[^"]*--` + f.Name + `[|"=])`
		if f.Shorthand != "" {
			used += `|"-` + f.Shorthand + `"`
		}
		if !regexp.MustCompile(used).MatchString(tests.String()) {
			t.Errorf("no test uses --%s", f.Name)
		}
	})
}
