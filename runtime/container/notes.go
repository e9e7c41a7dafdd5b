// # The lecture notes, line by line
//
// A lecture on Linux containers says, in six parts, how to build one; this is
// a container that is built so, and more. Here is each line of its notes that asks
// for something, the command that does it, and the tests that prove it: those
// without a package are cmd/isoperf's, and look from inside and from outside.
//
// Control groups and namespaces, before the parts:
//
//	cat cgroup.controllers:            isoperf doctor; in a container        TestNotesControllers
//	what is there, what is active      cat /sys/fs/cgroup/...                cgroup.TestDetectReal
//	mkdir asp                          any of -c -m -p ...; cgroup.Plan,     TestNotesSubdivided, cgroup.TestExplicitPath
//	                                   Create
//	echo "20000 100000" > cpu.max      -c 20, -c 20%, -c 200m,               TestNotesCPU, cgroup.TestCPU,
//	                                   -c "20000 100000"                     cgroup.TestParseCPU
//	asp subdivided, each with          (*cgroup.Group).Child                 TestNotesSubdivided, cgroup.TestChild
//	a limit of the 20 %
//	echo 1000 > cgroup.procs           the same; (*cgroup.Group).Attach      TestNotesMovedIn, TestNotesSubdivided,
//	                                                                         cgroup.TestAttach
//	now each running at 10 %           a second stress in the container      TestNotesCPU, TestNotesMovedIn
//	echo 6 > pids.max; bash's fork()   -p 6                                  TestNotesPids, cgroup.TestPids
//	will fail
//	unshare --fork --user --pid        --namespaces user,pid,mnt             TestNotesUnshare,
//	--map-root-user --mount-proc       --map-root -P /bin/bash               container.TestUnshareOfTheNotes
//	/bin/bash; root inside, ps uf
//	shows bash as PID 1 and itself
//	outside: normal user, different    ps -p PID                             TestNotesUnshare
//	PID
//
// Part 1, a process by clone:
//
//	./sol-part1 /bin/bash: clone()     /bin/bash                             TestNotesClone, program.TestEachNamespace
//	creates /bin/bash
//	child stack with mmap()            the arena's end; see package program  program.TestMemoryIsShared, program.TestArenas
//	signal the child to run through    gates instead of a pipe, which a      TestNotesClone, program.TestHandshakes,
//	the pipe, close the pipe           sibling could hold open               program.TestGateWakes
//	waitpid() for the child            its exit status is isoperf's;         TestNotesClone, container.TestStatus
//	                                   128+N for signal N
//	signals are forwarded              every one that can be; the second     TestNotesSignals, program.TestForward,
//	                                   SIGTERM kills                         program.TestForwardable
//
// Part 2, namespaces and ids:
//
//	clone() with the flags             --namespaces all /bin/bash            TestNotesNamespaces, namespace.TestKernelKnows
//	changed to root user root@zoo      --hostname zoo                        TestNotesNamespaces
//	ps inside and outside              -P                                    TestNotesNamespaces, TestNotesUnshare
//	cat /etc/subuid: a range for       ordinary users have them by           TestNotesUserCreatedInside,
//	each user, 65536 ids               default; root with --namespaces all   idmap.TestSubordinate, container.TestMaps
//	newuidmap and newgidmap install    the same                              TestNotesUserCreatedInside,
//	the mappings                                                             idmap.TestSubordinateUser
//	a user created inside is mapped    useradd zoe, inside                   TestNotesUserCreatedInside,
//	to a real user                                                           container.TestUserCreatedInside
//
// Part 3, capabilities, and what a process may call:
//
//	drop dangerous capabilities        fourteen stay; --cap-drop ALL,        TestNotesCapabilities,
//	                                   --cap-drop NAME, --cap-add NAME       container.TestDefaultCapabilities
//	cd: view of the entire file        /bin/bash, without -r                 TestNotesWholeTree, container.TestHostRoot
//	system
//	SECCOMP_SET_MODE_STRICT: only      --seccomp strict, with the built-in   TestNotesStrict, container.TestStrict,
//	read(), write(), not even open()   payload                               program.TestStrictOpen
//	limit the system calls             the default filter; --seccomp         TestNotesFilter, seccomp.TestDefaultForbids,
//	                                   FILE.json                             container.TestSeccomp
//
// Part 4, a file system:
//
//	tar tf zoo-fs.tar: an entire       -r zoo-fs.tar                         TestNotesTar, rootfs/unpack.TestLikeTarUsr
//	distribution
//	(umask 0; tar xf zoo-fs.tar)       -r zoo-fs.tar, whatever the umask     TestNotesTar, rootfs/unpack.TestModes
//	sol-part4 -r ./zoo-fs              -r ./zoo-fs /bin/bash                 TestNotesRootfs
//	mount() to set up                  mounts, pivot_root, no old root       TestNotesRootfs, container.TestMountAPIs,
//	                                                                         container.TestOldRootGone
//	you can run ls                     the same                              TestNotesRootfs, TestNotesTar
//	we have not installed cowchat      127: command not found                TestNotesRootfs, container.TestNotFound
//
// Part 5, limits:
//
//	part5 -c 20 -r ./zoo-fs -P         -c 20 -r ./zoo-fs -P /bin/bash        TestNotesCPU
//	/bin/bash
//	cp /usr/bin/stress .: now it is    cp stress zoo-fs/bin, outside         TestNotesCPU, container.TestCopiedBinary
//	in the container
//	stress -c 1; outside htop shows    the same                              TestNotesCPU
//	that it is restricted
//	ask systemd for a node of the      -c 20 as an ordinary user             TestNotesOrdinaryUserLimited,
//	hierarchy, for a non-root user                                           cgroup/systemd.TestScope
//
// Part 6, a network:
//
//	slirp, the TCP stack as a user     -n slirp4netns                        TestNotesPing, network.TestTranslator
//	program
//	ping mit.edu                       -n slirp4netns -r ./zoo-fs ping NAME  TestNotesPing
//	apt install cowsay                 -n slirp4netns -r debian.tar          TestNotesApt
//	                                   apt-get install -y cowsay
//	apt install stress                 the same                              TestNotesApt
//
// Commands are those of isoperf run, and root and an ordinary user both run
// them, but for the limits: they take root, or a machine whose systemd delegates
// groups of version 2; elsewhere an ordinary user gets an error that says so.
package container
