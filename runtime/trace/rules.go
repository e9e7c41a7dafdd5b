package trace

// rule says to which phase an event belongs. An empty field asks for nothing.
type rule struct {
	phase string
	calls string // the system call begins with one of these
	names string // the event's name begins with one of these
	has   string // the text contains one of these words
}

// nodes are the paths below /dev that a container gets.
const nodes = `/dev" "dev" dev/null dev/zero dev/full dev/random dev/urandom dev/tty dev/console dev/ptmx ` +
	`dev/pts dev/shm dev/mqueue dev/fd dev/stdin dev/stdout dev/stderr dev/core dev/net/tun dev/fuse`

// rules are tried in order; the first that fits counts.
func rules() []rule {
	return []rule{
		{phase: phaseExecve, names: "execve,restore nofile,unblock signals"},
		{phase: phaseClone, names: "enter stub,clone,inherit$,hide,watch$,unwatch$,name$,stdio$,save$"},
		{phase: phaseClone, names: "die with parent,armed$,confirm$"},
		{phase: phaseExec, names: "exec of the runtime$"},
		{phase: phaseGo, names: "start Go$"},
		{phase: phaseConfig, names: "read flags$,read config.json$,check config.json$"},
		{phase: phasePlan, names: "prepare$,launch$,plan the rest$"},
		{phase: phasePlan, calls: "tell,wait", has: "program"},
		// What the launcher is waited for is what it does meanwhile.
		{phase: phaseIDs, calls: "tell,wait", has: "map user"},
		{phase: phaseCgroup, calls: "tell,wait", has: "cgroup attach limit"},
		{phase: phaseNetwork, calls: "tell,wait", has: "network net slirp pasta bridge"},
		{phase: phaseMounts, calls: "tell,wait", has: "mount rootfs tree"},
		{phase: phaseInit, calls: "tell,wait", has: "command's init"},
		{phase: phaseSeccomp, calls: "seccomp"},
		{phase: phasePivot, calls: "pivot_root,chroot"},
		{phase: phasePivot, names: "pivot,umount .$,drop old root,return to root,enter /$,propagation of /$"},
		{phase: phaseIDs, has: "uid_map gid_map /setgroups"},
		{phase: phaseIDs, names: "newuidmap,newgidmap,id map,uid map,gid map,write id maps"},
		{phase: phaseCgroup, calls: "unshare,setns,write,pwrite,openat,mkdir,rmdir,unlinkat", has: "CLONE_NEWCGROUP) cgroup. /cgroup/"},
		{phase: phaseCgroup, calls: "bpf"},
		{phase: phaseCgroup, names: "cgroup,attach,create control group,limit"},
		{phase: phaseNamespaces, calls: "unshare,setns,sethostname,setdomainname"},
		{phase: phaseNamespaces, has: "timens_offsets"},
		{phase: phaseNetwork, has: "SIOC AF_INET AF_NETLINK AF_PACKET resolv.conf etc/hosts sys/net/"},
		{phase: phaseNetwork, names: "network,connect network,slirp4netns,pasta,bridge,veth,nat$,lo$,lo up,sysctl net.,bind /etc/,write /etc/"},
		{phase: phaseNetwork, names: "process,configured,link,address,published,first handshake,unplugged"},
		{phase: phaseDev, calls: "mount$,mkdirat,mknodat,symlinkat,openat,move_mount,fchmodat,fchownat,umount2", has: nodes},
		{phase: phaseDev, calls: "mknod,symlinkat"},
		{phase: phaseDev, calls: "ioctl", has: "TIOC"},
		{phase: phaseDev, names: "send terminal"},
		{phase: phaseDev, calls: "move_mount", names: "mount tmpfs /dev,mount devpts,mount mqueue,bind /dev/"},
		{phase: phaseMounts, calls: "mount$,umount,move_mount,unlink,write,rmdir"},
		{phase: phaseMounts, names: "mount ,mounts,bind,unpack,rootfs,read-only,root read-only"},
		{phase: phaseInit, names: "fork$,untraceable$,reap$,command there$"},
		{phase: phasePrivilege, calls: "capset,setres,setre,setuid,setgid,setgroups,setfsuid,umask,keyctl,prctl,add_key"},
		{phase: phasePrivilege, calls: "prlimit64,personality,sched_set,ioprio_set,setsid,setpgid,setpriority"},
		{phase: phasePrivilege, calls: "close_range"},
		{phase: phaseWait, calls: "tell,wait"},
	}
}

// prepares are the calls whose use shows only in what follows.
func prepares() string {
	return "open,mkdirat,socket,chdir,fchdir,read,fcntl,dup,fsopen,fsconfig,fsmount,fspick,mount_setattr,unlink"
}
