package feature

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Rootless asks for what an ordinary user needs to map ids and to have a
// network.
func (h *Host) Rootless() []Result {
	return []Result{
		h.SubIDs("/etc/subuid"), h.SubIDs("/etc/subgid"),
		h.MapHelper("newuidmap"), h.MapHelper("newgidmap"),
		h.Tun(), h.PingGroups(),
	}
}

// wholeUsers is how many ids an image expects: 0 to 65535.
const wholeUsers = 65536

// SubIDs asks for this user's line in /etc/subuid or /etc/subgid; see
// subuid(5). Both are looked up by the user, never by the group.
func (h *Host) SubIDs(file string) Result {
	kind := strings.TrimPrefix(file, "/etc/")
	p := probe{groupRootless, kind}
	uid := h.hostUID()
	if uid == 0 {
		return p.have("not needed: root maps any id")
	}
	text, err := h.text(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p.failed(err)
	}
	name, total := h.userName(uid), 0
	var ranges []string
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || (f[0] != name && f[0] != strconv.Itoa(uid)) {
			continue
		}
		first, err1 := strconv.Atoi(f[1])
		count, err2 := strconv.Atoi(f[2])
		if err := errors.Join(err1, err2); err != nil {
			return p.failed(fmt.Errorf("parse %s: %w", file, err))
		}
		if count > 0 {
			total += count
			ranges = append(ranges, fmt.Sprintf("%d..%d", first, first+count-1))
		}
	}
	fix := fmt.Sprintf("sudo usermod --add-%ss 100000-165535 %s", kind, name)
	switch {
	case err != nil:
		return p.notHere(file+" is missing", fix)
	case total == 0:
		return p.notHere(file+" has no line for "+name, fix)
	case total < wholeUsers:
		return p.have(strings.Join(ranges, ", ") + " (fewer than the 65536 that images expect)")
	}
	return p.have(strings.Join(ranges, ", "))
}

// MapHelper asks for newuidmap or newgidmap, which write the maps of more
// than one id for an ordinary user; see newuidmap(1).
func (h *Host) MapHelper(name string) Result {
	p := probe{groupRootless, name}
	if h.isRoot() {
		return p.have("not needed: root writes the maps itself")
	}
	path, err := h.LookPath(name)
	if err != nil {
		return p.notHere(name+" is not on PATH", "sudo apt install uidmap").with(err)
	}
	info, err := os.Stat(h.at(path))
	if err != nil {
		return p.failed(err)
	}
	if locked, _ := h.status("NoNewPrivs"); locked == "1" {
		return p.notHere("NoNewPrivs: 1 in /proc/self/status: "+path+" gains no privilege",
			"run it without no_new_privs (docker: --security-opt no-new-privileges=false; systemd: NoNewPrivileges=no)")
	}
	switch {
	case info.Mode()&fs.ModeSetuid != 0:
		return p.have(path + ", setuid")
	case h.FileCaps(h.at(path)):
		return p.have(path + ", file capability")
	}
	capability := "cap_setuid"
	if name == "newgidmap" {
		capability = "cap_setgid"
	}
	return p.notHere(path+" is neither setuid nor has it a file capability", "sudo setcap "+capability+"+ep "+path)
}

// Tun asks for /dev/net/tun: slirp4netns and pasta hand packets through it.
func (h *Host) Tun() Result {
	const file = "/dev/net/tun"
	p := probe{groupRootless, file}
	c := h.Container()
	give := "sudo mknod -m 0666 /dev/net/tun c 10 200"
	load := "sudo modprobe tun"
	switch c.Name {
	case "docker", "podman":
		give = c.Name + " run --device /dev/net/tun"
		load = give
	case "kubernetes":
		give = "mount /dev/net/tun with a hostPath volume of type CharDevice"
		load = give
	}
	err := h.OpenDevice(h.at(file))
	switch {
	case err == nil:
		return p.have("opens")
	case errors.Is(err, unix.ENOENT):
		return p.notHere(file+" is missing", load).with(err)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return p.notHere(file+" answers "+errno(err)+": no driver is behind it", load).with(err)
	case errors.Is(err, unix.EPERM) && c.Name != "":
		return p.notHere(file+" answers EPERM: the device rules of "+c.Name+" refuse it", give).with(err)
	case refused(err):
		return p.notHere(file+" answers "+errno(err)+": its mode keeps this user out", "sudo chmod 0666 /dev/net/tun").with(err)
	}
	return p.failed(fmt.Errorf("open %s: %w", file, err))
}

// PingGroups asks whether this process's groups may open ICMP sockets:
// net.ipv4.ping_group_range, which is "1 0" for nobody; see icmp(7).
func (h *Host) PingGroups() Result {
	const file = "/proc/sys/net/ipv4/ping_group_range"
	p := probe{groupRootless, "ping_group_range"}
	text, err := h.text(file)
	if errors.Is(err, fs.ErrNotExist) {
		return p.notHere(file+" is missing: no IPv4 here", "boot a kernel with CONFIG_INET, or run it outside the sandbox").with(err)
	}
	if err != nil {
		return p.failed(err)
	}
	var low, high int
	if n, _ := fmt.Sscan(text, &low, &high); n != 2 {
		return p.failed(fmt.Errorf("parse %s: %q is not two numbers", file, text))
	}
	for _, gid := range h.GIDs() {
		if low <= gid && gid <= high {
			return p.have(fmt.Sprintf("%d..%d", low, high))
		}
	}
	return p.notHere(fmt.Sprintf("%s is %d %d: ICMP sockets are refused to this group", file, low, high),
		`sudo sysctl -w net.ipv4.ping_group_range="0 2147483647"`)
}
