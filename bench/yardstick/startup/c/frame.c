/*
 * The yardstick of a container start: the system calls of isorun's plan in
 * its order, as a static program that has nothing left to find out.
 *
 *   plan.h, made of "isorun run --plan":
 *     CLONE_FLAGS, make_group, enter_group, leave_group, remove_group, child
 *
 *   no arguments  one container, start to reaped; exit status 0
 *   "loop"        for each byte of standard input, one container; its time in
 *                 nanoseconds is written to standard output
 *
 * What differs: the child stays in this program's memory until it executes
 * the command (isorun's goes through the stub, which is one execveat, two
 * memfds and a mapping more), and signals are not forwarded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#define MNT_DETACH 2
#define CLOSE_RANGE_CLOEXEC 4
#define WAITERS 0x80000000u

struct args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	uint64_t set_tid, set_tid_size, cgroup;
};

static char stack[16384] __attribute__((aligned(4096)));
static uint64_t old_mask, full_mask = ~0ULL;
static uint32_t tell, bond;       /* child to launcher, and back */
static uint32_t opened;           /* the limits are complete */
static struct { long op, error; } failed;

/* The robust list by which the kernel marks execve and exit. */
static struct {
	void *head;
	long offset;
	void *pending;
	void *entry;
	uint32_t life;
} robust;

static inline long call(long n, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return n;
#else
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
#endif
}

/* clone3 returns in the launcher; the child calls body, which never returns. */
static inline long clone_into(struct args *args, void (*body)(void))
{
#if defined(__x86_64__)
	long n = SYS_clone3;
	__asm__ volatile("syscall\n\ttestq %%rax, %%rax\n\tjnz 1f\n\tcall *%[body]\n1:"
			 : "+a"(n) : "D"(args), "S"(sizeof *args), [body] "r"(body) : "rcx", "r11", "memory", "cc");
	return n;
#else
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = sizeof *args;
	__asm__ volatile("svc #0\n\tcbnz x0, 1f\n\tblr %[body]\n1:"
			 : "+r"(x0) : "r"(x8), "r"(x1), [body] "r"(body) : "x30", "memory", "cc");
	return x0;
#endif
}

static void fail(long op, long error)
{
	failed.op = op;
	failed.error = -error;
	for (;;)
		call(SYS_exit_group, 1, 0, 0, 0, 0, 0);
}

/* A step of the launcher. */
static long must(const char *what, long got)
{
	if (got < 0) {
		fprintf(stderr, "C: %s: %s\n", what, strerror((int)-got));
		exit(1);
	}
	return got;
}

static void wait_for(uint32_t *word, uint32_t least)
{
	uint32_t now;

	while ((now = __atomic_load_n(word, __ATOMIC_SEQ_CST)) < least)
		call(SYS_futex, (long)word, FUTEX_WAIT, now, 0, 0, 0);
}

static void raise_to(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	call(SYS_futex, (long)word, FUTEX_WAKE, 0x7fffffff, 0, 0, 0);
}

static void watch(void)
{
	robust.head = &robust.entry;
	robust.offset = (char *)&robust.life - (char *)&robust.entry;
	robust.entry = &robust.head;
	robust.life = (uint32_t)call(SYS_gettid, 0, 0, 0, 0, 0, 0) | WAITERS;
	call(SYS_set_robust_list, (long)&robust, 24, 0, 0, 0, 0);
}

#include "plan.h"

static void start(void)
{
	int pidfd = -1;
	siginfo_t info;
	struct rusage usage;
	struct args args = {
		.flags = CLONE_FLAGS,
		.pidfd = (uint64_t)&pidfd,
		.stack = (uint64_t)stack,
		.stack_size = sizeof stack,
	};

	tell = bond = opened = 0;
	make_group();
	enter_group();
	call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&full_mask, (long)&old_mask, 8, 0, 0);
	long pid = clone_into(&args, child);
	call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old_mask, 0, 8, 0, 0);
	must("clone3", pid);
	leave_group();
	if (LIMITS)
		raise_to(&opened, 1);
	/* A child that fails before it tells anything wakes nobody: its end does. */
	while (__atomic_load_n(&tell, __ATOMIC_SEQ_CST) < TELLS && !failed.op)
		call(SYS_futex, (long)&tell, FUTEX_WAIT, 0, (long)&(struct timespec){.tv_nsec = 100000000}, 0, 0);
	raise_to(&bond, TELLS);
	must("waitid", call(SYS_waitid, P_PIDFD, pidfd, (long)&info, WEXITED | __WALL, (long)&usage, 0));
	call(SYS_close, pidfd, 0, 0, 0, 0, 0);
	remove_group();
	if (failed.op) {
		fprintf(stderr, "C: op %ld: %s\n", failed.op, strerror((int)failed.error));
		exit(1);
	}
	if (info.si_code != CLD_EXITED || info.si_status != 0) {
		fprintf(stderr, "C: the command ended with code %d, status %d\n", info.si_code, info.si_status);
		exit(1);
	}
}

static int64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	char letter;

	if (argc < 2) {
		start();
		return 0;
	}
	while (read(0, &letter, 1) == 1) {
		int64_t begin = monotonic(), took;

		start();
		took = monotonic() - begin;
		if (write(1, &took, sizeof took) != sizeof took)
			return 1;
	}
	return 0;
}
