package rootfs

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// Text is a small file that the launcher gives a container, over what is there:
// /etc/resolv.conf, /etc/hosts.
type Text struct {
	Path    string
	Content []byte
}

// texts makes the files in the container's own /dev, binds each to its place,
// and takes its name in /dev away: so there is nothing on the host to tidy up.
func (b *builder) texts() {
	if len(b.o.Texts) == 0 {
		return
	}
	dev := b.at("/dev", unix.O_PATH|unix.O_DIRECTORY)
	for i, t := range b.o.Texts {
		name := ".text" + strconv.Itoa(i)
		file := program.Openat2(program.Place{Dir: dev, Path: name}, program.How(unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o644, resolve))
		fd := program.Result(b.addNamed("make "+t.Path, file))
		b.addNamed("write "+t.Path, program.Write(fd, string(t.Content)))
		b.done(fd)
		b.make(t.Path, File)
		if b.o.Old {
			b.showFrom("/dev/"+name, t.Path)
		} else {
			tree := program.Result(b.Add(program.OpenTree(program.Place{Dir: dev, Path: name}, false)))
			b.attach(tree, t.Path, "bind "+t.Path, options{})
		}
		b.Add(program.Op{
			Name: "unlink", Call: unix.SYS_UNLINKAT, Args: [6]program.Arg{dev, program.String(name), program.Int(0)},
			Text: fmt.Sprintf("unlinkat(%v, %q, 0)", dev, name),
		})
	}
	b.done(dev)
}
