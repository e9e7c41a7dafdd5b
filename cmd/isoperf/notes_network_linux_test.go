package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The tests of part 6 of the lecture notes: a network by slirp4netns.

// preparations are what tests need of the machine itself, outside of a world.
func preparations() map[string]func(t *testing.T, dir string) {
	return map[string]func(t *testing.T, dir string){"TestNotesApt": prepareApt}
}

// `ping mit.edu`: names resolve, and ping answers, without any privilege too.
func TestNotesPing(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		needs(t, "slirp4netns")
		s.zoo(t)
		b := s.shell(t, "run", "-r", "./zoo-fs", "-n", "slirp4netns", "/bin/bash")
		b.want("nameserver 10.0.2.3", "while read word addr; do test $word = nameserver && echo $word $addr; done < /etc/resolv.conf")
		b.want("lo: tap0:", "cat /proc/net/dev | { while read name rest; do case $name in lo:|tap0:) echo $name;; esac; done; } | { read a; read b; echo $a $b; }")
		hosts := []string{"10.0.2.2"}
		if s.world {
			hosts = append(hosts, strings.TrimSuffix(gatewayName, "."))
		}
		for _, host := range hosts {
			for _, as := range []string{"", "chroot --userspec=1000:1000 / "} {
				if out := b.ask(as + "ping -c 1 -W 5 " + host); !strings.Contains(out, " 0% packet loss") || !strings.Contains(out, "(10.0.2.2)") {
					t.Errorf("%sping %s:\n%s", as, host, out)
				}
			}
		}
		if out := b.ask("ping -c 1 -W 5 nowhere.example 2>&1"); !strings.Contains(out, "not known") && s.world {
			t.Errorf("ping of a name that is not there:\n%s", out)
		}
		// Without a network there is none.
		s.want(t, 2, "", "run", "-r", "./zoo-fs", "ping", "-c", "1", "10.0.2.2")
	})
}

// `apt install`: a Debian tar as the root; apt-get installs a new package, one
// over files of the tar, and stress.
func TestNotesApt(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		needs(t, "slirp4netns")
		script := `set -e
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d
echo "deb [trusted=yes] http://` + s.site + `/ ./" > /etc/apt/sources.list
export DEBIAN_FRONTEND=noninteractive
test "$(cowchat)" = "moo 1.0"
apt-get update
apt-get install -y cowchat cowsay stress
echo "cowchat says $(cowchat)"
echo "cowsay says $(cowsay)"
stress -c 1 -t 1
dpkg --verify cowchat cowsay stress
stat -c "state is %u %g %a" /var/lib/cowsay
apt-get purge -y cowsay
command -v cowsay || echo "cowsay is gone"
`
		out, code := s.input(t, script, 2*time.Minute, "run", "-r", s.dir+"/debian.tar", "-n", "slirp4netns", "sh")
		if code != 0 {
			t.Fatalf("exit status %d:\n%s", code, out)
		}
		for _, want := range []string{"cowchat says moo 2.0\n", "cowsay says moo 1.0\n", "successful run completed", "state is 33 33 2750\n", "cowsay is gone\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing:\n%s", want, out)
			}
		}
		// It was thrown away.
		s.want(t, 0, "moo 1.0\n", "run", "-r", s.dir+"/debian.tar", "cowchat")
		s.want(t, exitNotFound, "", "run", "-r", s.dir+"/debian.tar", "cowsay")
	})
}

// prepareApt puts a Debian tar and a site with packages into a directory.
func prepareApt(t *testing.T, dir string) {
	if testing.Short() {
		skip(t, "making a Debian tar takes a minute: not with -short")
	}
	needs(t, "mmdebstrap", "dpkg-deb", "apt-get", "stress")
	old := makePackage(t, t.TempDir(), "cowchat", "1.0", "")
	for _, p := range [][2]string{{"cowchat", "2.0"}, {"cowsay", "1.0"}, {"stress", "1.0"}} {
		makePackage(t, dir+"/site", p[0], p[1], "./")
	}
	tar := debianTar(t, old)
	if err := os.Link(tar, dir+"/debian.tar"); err == nil {
		return
	}
	if err := copyOver(tar, dir+"/debian.tar"); err != nil { // another file system
		t.Fatal(err)
	}
}

// debianTar is a minimal Debian of this machine's release and mirror, in which
// the old cowchat is installed. It is made once and kept in the user's cache.
func debianTar(t *testing.T, old string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	release, mirror := mirror(t)
	recipe := sha256.Sum256([]byte(release + mirror + "minbase cowchat 1.0 v1"))
	tar := filepath.Join(cache, "isoperf-test", "debian-"+release+"-"+hex.EncodeToString(recipe[:4])+".tar")
	if _, err := os.Stat(tar); err == nil {
		return tar
	}
	if err := os.MkdirAll(filepath.Dir(tar), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(filepath.Dir(tar), fmt.Sprintf("fresh-%d.tar", os.Getpid()))
	defer os.Remove(fresh)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--variant=minbase", "--customize-hook=upload "+old+" /cowchat.deb",
		`--customize-hook=chroot "$1" sh -c "dpkg -i /cowchat.deb && rm /cowchat.deb"`, release, fresh, mirror)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it tidies up
	cmd.WaitDelay = patience
	if out, err := cmd.CombinedOutput(); err != nil {
		skip(t, fmt.Sprintf("no Debian tar can be made: %v\n%s", err, out))
	}
	if err := errors.Join(os.Chmod(fresh, 0o644), os.Rename(fresh, tar)); err != nil {
		t.Fatal(err)
	}
	return tar
}

// mirror is this machine's release, and where its apt gets it.
func mirror(t *testing.T) (release, uri string) {
	for line := range strings.Lines(output(t, "cat", "/etc/os-release")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			release = name
		}
	}
	for line := range strings.Lines(output(t, "apt-get", "indextargets", "--format", "$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)")) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == "Packages" && f[1] == release && f[2] == "main" {
			return release, f[3]
		}
	}
	skip(t, "apt has no mirror of this machine's own release "+release)
	return "", ""
}

// makePackage builds a package by hand. With a prefix for its file's name, the
// directory becomes a repository: it is appended to its Packages.
func makePackage(t *testing.T, dir, name, version, prefix string) string {
	t.Helper()
	root, arch := t.TempDir(), output(t, "dpkg", "--print-architecture")
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Nobody <nobody@example.com>\nDescription: made by a test\n", name, version, arch)
	text := []byte("#!/bin/sh\necho moo " + version + "\n")
	if name == "stress" {
		path, err := exec.LookPath("stress")
		if err != nil {
			t.Fatal(err)
		}
		if text, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{
		"DEBIAN/control": control, "usr/bin/" + name: string(text), "usr/share/" + name + "/grass": strings.Repeat("grass "+version+"\n", 1000), "etc/" + name + ".conf": "version " + version + "\n",
	}
	if prefix != "" {
		files["DEBIAN/postinst"] = "#!/bin/sh\nset -e\nmkdir -p /var/lib/" + name + "\nchown www-data:www-data /var/lib/" + name + "\nchmod 2750 /var/lib/" + name + "\n"
	}
	for file, text := range files {
		path := filepath.Join(root, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	bin, share := root+"/usr/bin/", root+"/usr/share/"+name
	// A hard link, a link, and a program with a bit that a chown takes away.
	err := errors.Join(os.Chmod(root, 0o755), os.Link(share+"/grass", share+"/hay"), os.Symlink(name, bin+name+"-link"), os.Chmod(share+"/grass", 0o644), os.Chmod(bin+name, 0o755|os.ModeSetgid))
	if err != nil {
		t.Fatal(err)
	}
	deb := filepath.Join(dir, name+"_"+version+".deb")
	output(t, "dpkg-deb", "--build", "--root-owner-group", root, deb)
	data, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}
	if prefix != "" {
		packages, err := os.OpenFile(dir+"/Packages", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer packages.Close()
		if _, err := fmt.Fprintf(packages, "%sFilename: %s%s\nSize: %d\nSHA256: %x\n\n", control, prefix, filepath.Base(deb), len(data), sha256.Sum256(data)); err != nil {
			t.Fatal(err)
		}
	}
	return deb
}

func copyOver(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
