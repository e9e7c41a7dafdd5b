package mount

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// What of the file systems' options matters to the cost: those that containers
// have, see the OCI runtime specification's default mounts.
const (
	tmpfsData  = "mode=755,size=65536k"
	devptsData = "newinstance,ptmxmode=0666,mode=0620"
)

// acts are the rows of the family Mount.
func acts() []act {
	list := []act{
		{name: "op=none", build: func(p *plan) { p.timed(nil, program.Null()) }},
		{name: "op=make-rprivate", scene: scene{shared: true}, build: makePrivate},
		{name: "op=bind/propagation=private", build: func(p *plan) { bindOn(p, target) }},
		{name: "op=bind/propagation=shared", scene: scene{peers: true}, build: bindShared},
		{name: "op=rbind", scene: scene{tree: 8}, build: rbind},
		{name: "op=ro-remount", build: readOnlyOld},
		{name: "op=ro-setattr", build: readOnlyNew},
		{name: "op=tmpfs", build: fresh("tmpfs", tmpfsData, covered)},
		{name: "op=proc", flags: unix.CLONE_NEWPID, scene: scene{host: true}, build: fresh("proc", "", there(target+"/version"))},
		{name: "op=sysfs", flags: unix.CLONE_NEWNET, drops: true, scene: scene{host: true}, build: fresh("sysfs", "", there(target+"/kernel"))},
		{name: "op=sysfs-host-net", scene: scene{host: true}, build: fresh("sysfs", "", there(target+"/kernel"))},
		{name: "op=devpts", build: fresh("devpts", devptsData, there(target+"/ptmx"))},
		{name: "op=mqueue", flags: unix.CLONE_NEWIPC, build: fresh("mqueue", "", covered)},
	}
	for _, lower := range []int{1, 2, 4, 6, 8, 12, 16, 20} {
		list = append(list, act{
			name: "op=overlay/lower=" + strconv.Itoa(lower), wide: lower > 1, scene: scene{layers: lower},
			build: func(p *plan) { overlay(p, lower) },
		})
	}
	return append(list,
		act{name: "op=move", build: move},
		act{name: "op=open-tree-move", build: openTree},
		act{name: "op=fsmount-tmpfs", build: fsmount("tmpfs", [][2]string{{"mode", "755"}, {"size", "65536k"}}, covered)},
		act{name: "op=fsmount-proc", flags: unix.CLONE_NEWPID, scene: scene{host: true}, build: fsmount("proc", nil, there(target+"/version"))},
		act{name: "op=umount", build: unmount(0)},
		act{name: "op=umount-lazy", build: unmount(unix.MNT_DETACH)},
	)
}

// check is an op behind the marks that fails where the timed one did not do
// what it should.
type check func(*plan)

// there checks that a path exists.
func there(path string) check {
	return func(p *plan) { p.Add(access("look for "+path, path)) }
}

// covered checks that something is mounted on the target.
func covered(p *plan) { absent(p, target+"/under") }

// absent checks that a path does not exist.
func absent(p *plan, path string) {
	op := access("look for "+path, path)
	op.Accept = []unix.Errno{unix.ENOENT}
	ref := p.Add(op)
	p.wrong(path + " is still there")
	p.Skip(ref)
}

// wrong is an op that fails: what is in its way is skipped where all is well.
func (p *plan) wrong(what string) {
	op := program.Close(program.Int(-1))
	op.Name = what
	p.Add(op)
}

func access(name, path string) program.Op {
	return program.Op{Name: name, Call: unix.SYS_FACCESSAT, Args: [6]program.Arg{program.Cwd(), program.String(path), program.Int(0)}}
}

// readOnly checks that the target cannot be written.
func readOnly(p *plan) {
	op := program.Open(target+"/new", unix.O_CREAT|unix.O_WRONLY)
	op.Accept = []unix.Errno{unix.EROFS}
	ref := p.Add(op)
	p.wrong(target + " is not read-only")
	p.Skip(ref)
}

// makePrivate is mount --make-rprivate / where every mount is shared with the
// stage. Afterwards a mount can be moved, which the kernel refuses below a
// shared one.
func makePrivate(p *plan) {
	p.timed(nil, program.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	p.Add(program.Mount(mounted, target, "", unix.MS_MOVE, ""))
}

// bindOn binds the source on a directory.
func bindOn(p *plan, at string) {
	p.timed(nil, program.Mount(source, at, "", unix.MS_BIND, ""))
	there(at + "/inside")(p)
}

// bindShared binds below a shared mount, which the stage has, too, and takes
// the bind away again in both.
func bindShared(p *plan) {
	bindOn(p, mounted+target)
	p.Add(program.Umount(mounted+target, unix.MNT_DETACH))
}

func rbind(p *plan) {
	p.timed(nil, program.Mount(tree, target, "", unix.MS_BIND|unix.MS_REC, ""))
	for i := range 8 {
		there(target + "/" + strconv.Itoa(i) + "/inside")(p)
	}
}

// readOnlyOld is a read-only bind by mount(2): a bind ignores the flag, so it
// takes a second call.
func readOnlyOld(p *plan) {
	p.timed([]string{"bind-ns", "remount-ns"},
		program.Mount(source, target, "", unix.MS_BIND, ""),
		program.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	there(target + "/inside")(p)
	readOnly(p)
}

// readOnlyNew is the same by the calls of Linux 5.2 and 5.12: the mount is
// read-only before anybody can see it.
func readOnlyNew(p *plan) {
	at := p.Add(program.Open(target, unix.O_PATH))
	from := p.start()
	clone := p.Add(program.OpenTree(program.Place{Dir: program.Cwd(), Path: source}, false))
	set := p.Add(program.MountSetattr(program.Result(clone), unix.MOUNT_ATTR_RDONLY, 0, 0, false))
	put := p.Add(program.MoveMount(program.Result(clone), program.Place{Dir: program.Result(at)}))
	p.spans = []span{{"open-tree-ns", from, clone}, {"setattr-ns", clone, set}, {"move-mount-ns", set, put}, {"op-ns", from, put}}
	there(target + "/inside")(p)
	readOnly(p)
}

// fresh is a file system that is mounted by mount(2).
func fresh(fstype, data string, done check) func(*plan) {
	return func(p *plan) {
		p.timed(nil, program.Mount(fstype, target, fstype, 0, data))
		done(p)
	}
}

// overlay mounts so many directories of the stage below one of a new tmpfs.
func overlay(p *plan, lower int) {
	p.Add(program.Mount("isoperf", newRoot, "tmpfs", 0, ""))
	p.Add(program.Mkdir(newRoot+"/upper", 0o755))
	p.Add(program.Mkdir(newRoot+"/work", 0o755))
	dirs := make([]string, lower)
	for i := range dirs {
		dirs[i] = fmt.Sprintf("%s/%d", layers, i+1)
	}
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", strings.Join(dirs, ":"), newRoot, newRoot)
	if inUserNamespace() {
		data += ",userxattr" // Linux 5.11
	}
	p.timed(nil, program.Mount("overlay", target, "overlay", 0, data))
	for i := range dirs {
		there(target + "/" + strconv.Itoa(i+1))(p)
	}
}

func move(p *plan) {
	p.timed(nil, program.Mount(mounted, target, "", unix.MS_MOVE, ""))
	there(target + "/inside")(p)
	there(mounted + "/under")(p)
}

// openTree is a bind by the calls of Linux 5.2.
func openTree(p *plan) {
	at := p.Add(program.Open(target, unix.O_PATH))
	from := p.start()
	clone := p.Add(program.OpenTree(program.Place{Dir: program.Cwd(), Path: source}, false))
	put := p.Add(program.MoveMount(program.Result(clone), program.Place{Dir: program.Result(at)}))
	p.spans = []span{{"open-tree-ns", from, clone}, {"move-mount-ns", clone, put}, {"op-ns", from, put}}
	there(target + "/inside")(p)
}

// fsmount is a file system that is mounted by the calls of Linux 5.2. The parts
// are fsopen with the parameters, the creation, fsmount and move_mount.
func fsmount(fstype string, parameters [][2]string, done check) func(*plan) {
	return func(p *plan) {
		at := p.Add(program.Open(target, unix.O_PATH))
		from := p.start()
		fs := p.Add(program.Fsopen(fstype))
		set := fs
		for _, kv := range parameters {
			set = p.Add(program.FsconfigSet(program.Result(fs), kv[0], kv[1], false))
		}
		create := p.Add(program.FsconfigCreate(program.Result(fs)))
		mnt := p.Add(program.Fsmount(program.Result(fs), 0))
		put := p.Add(program.MoveMount(program.Result(mnt), program.Place{Dir: program.Result(at)}))
		p.spans = []span{
			{"fsopen-ns", from, set}, {"create-ns", set, create}, {"fsmount-ns", create, mnt},
			{"move-mount-ns", mnt, put}, {"op-ns", from, put},
		}
		done(p)
	}
}

// unmount takes a tmpfs of the child away, which nobody else has.
func unmount(flags int) func(*plan) {
	return func(p *plan) {
		p.Add(program.Mount("tmpfs", target, "tmpfs", 0, tmpfsData))
		p.timed(nil, program.Umount(target, flags))
		there(target + "/under")(p)
	}
}
