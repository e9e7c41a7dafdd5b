/*
 * The yardstick: what the engine does, as plain C.
 *
 *   stdin: one byte, which case ──► a pause, some cycles that do not count,
 *   then one that does ──► stdout: struct answer
 *
 * A cycle is: block all signals, stamp, clone3 with shared memory and a stack
 * of its own, stamp, waitid on the pidfd, stamp, give the mask back, close the
 * pidfd. The child stamps its first instruction. These are the calls of the
 * engine, in its order; nothing else is in between.
 *
 * Arguments: nanoseconds of pause and cycles before each sample; "counter" or "clock_gettime"; whether
 * the container restores its limit of open files ("1" or "0"); the clone flags
 * of a container, as a number; its root, or "".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
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
#define WAITERS 0x80000000u

/* Nanoseconds; from the entry of clone3, except whole. */
struct answer {
	int64_t returned; /* clone3 returned */
	int64_t first;    /* the child's first instruction */
	int64_t reaped;   /* waitid returned */
	int64_t whole;    /* from before the mask to after close */
};

struct args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	uint64_t set_tid, set_tid_size, cgroup;
};

static struct {
	int counter;     /* stamps are the CPU's counter */
	uint64_t ticks;  /* one reading of both clocks */
	int64_t ns;
	double rate;     /* nanoseconds per tick */
} clocks;

static char stack[16384] __attribute__((aligned(4096)));
static volatile uint64_t first;
static uint64_t old_mask, full_mask = ~0ULL;
static struct rlimit nofile;
static int restore_nofile;
static uint64_t container_flags;
static char root[PATH_MAX], root_proc[PATH_MAX + 8], root_tmp[PATH_MAX + 8];

/* The robust list by which the kernel marks execve and exit. */
static struct {
	void *head;
	long offset;
	void *pending;
	void *entry;
	uint32_t life;
} robust;

static inline long call(long n, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	__asm__ volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return n;
#else
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
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

static inline uint64_t counter(void)
{
#if defined(__x86_64__)
	uint32_t low, high;
	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
#else
	uint64_t n;
	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(n) : : "memory");
	return n;
#endif
}

static int64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t); /* through the vDSO */
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline uint64_t stamp(void)
{
	return clocks.counter ? counter() : (uint64_t)monotonic();
}

static int64_t span(uint64_t from, uint64_t to)
{
	return clocks.counter ? (int64_t)((double)(to - from) * clocks.rate) : (int64_t)(to - from);
}

/* The rate is a line through the reading at the start and one now. */
static void settle(void)
{
	clocks.rate = (double)(monotonic() - clocks.ns) / (double)(counter() - clocks.ticks);
}

static void fail(const char *what)
{
	fprintf(stderr, "yardstick: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void child_none(void)
{
	first = stamp();
	for (;;)
		call(SYS_exit_group, 0, 0, 0, 0, 0);
}

/* The number of the call that failed becomes the exit status. */
static void child_container(void)
{
	static char *argv[] = {"/payload", NULL}, *env[] = {NULL};
	int step = 0;

	first = stamp();
#define DO(...) \
	do { \
		step++; \
		if ((unsigned long)call(__VA_ARGS__) > -4096UL) \
			goto failed; \
	} while (0)
	robust.life = (uint32_t)call(SYS_gettid, 0, 0, 0, 0, 0) | WAITERS;
	DO(SYS_set_robust_list, (long)&robust, 24, 0, 0, 0);
	DO(SYS_mount, 0, (long)"/", 0, MS_REC | MS_PRIVATE, 0);
	DO(SYS_mount, (long)root, (long)root, 0, MS_BIND, 0);
	DO(SYS_mount, (long)"proc", (long)root_proc, (long)"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
	DO(SYS_mount, (long)"tmpfs", (long)root_tmp, (long)"tmpfs", MS_NOSUID | MS_NODEV, 0);
	DO(SYS_chdir, (long)root, 0, 0, 0, 0);
	DO(SYS_pivot_root, (long)".", (long)".", 0, 0, 0);
	DO(SYS_umount2, (long)".", MNT_DETACH, 0, 0, 0);
	DO(SYS_chdir, (long)"/", 0, 0, 0, 0);
	if (restore_nofile)
		DO(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&nofile, 0, 0);
	DO(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old_mask, 0, 8, 0);
	DO(SYS_execve, (long)argv[0], (long)argv, (long)env, 0, 0);
#undef DO
failed:
	for (;;)
		call(SYS_exit_group, step, 0, 0, 0, 0);
}

/* What a case leaves out or adds. */
struct kind {
	char letter;
	int pidfd, mask;
	uint64_t flags;
	void (*body)(void);
};

static struct answer cycle(const struct kind *k)
{
	int pidfd = -1;
	siginfo_t info;
	struct args args = {
		.flags = CLONE_VM | CLONE_CLEAR_SIGHAND | k->flags | (k->pidfd ? CLONE_PIDFD : 0),
		.pidfd = k->pidfd ? (uint64_t)&pidfd : 0,
		.stack = (uint64_t)stack,
		.stack_size = sizeof stack,
	};
	uint64_t before, entered, returned, ended, after;
	long pid, got;

	first = 0;
	before = stamp();
	if (k->mask)
		call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&full_mask, (long)&old_mask, 8, 0);
	entered = stamp();
	pid = clone_into(&args, k->body);
	returned = stamp();
	if (pid < 0) {
		errno = (int)-pid;
		fail("clone3");
	}
	do
		got = k->pidfd ? call(SYS_waitid, P_PIDFD, pidfd, (long)&info, WEXITED | __WALL, 0)
			       : call(SYS_waitid, P_PID, pid, (long)&info, WEXITED | __WALL, 0);
	while (got == -EINTR);
	ended = stamp();
	if (k->mask)
		call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old_mask, 0, 8, 0);
	if (k->pidfd)
		call(SYS_close, pidfd, 0, 0, 0, 0);
	after = stamp();
	if (got < 0) {
		errno = (int)-got;
		fail("waitid");
	}
	if (info.si_code != CLD_EXITED || info.si_status != 0) {
		fprintf(stderr, "yardstick: the child of case '%c' ended with status %d: the number of the step that failed\n", k->letter, info.si_status);
		exit(1);
	}
	settle();
	return (struct answer){span(entered, returned), span(entered, first), span(entered, ended), span(before, after)};
}

static void set_up(char **argv)
{
	struct timespec wait = {.tv_nsec = 50000000};

	clocks.counter = strcmp(argv[3], "counter") == 0;
	restore_nofile = atoi(argv[4]);
	container_flags = strtoull(argv[5], NULL, 0);
	snprintf(root, sizeof root, "%s", argv[6]);
	snprintf(root_proc, sizeof root_proc, "%s/proc", root);
	snprintf(root_tmp, sizeof root_tmp, "%s/tmp", root);
	if (getrlimit(RLIMIT_NOFILE, &nofile) < 0)
		fail("getrlimit");
	robust.head = &robust.entry;
	robust.offset = (char *)&robust.life - (char *)&robust.entry;
	robust.entry = &robust.head;
	memset(stack, 1, sizeof stack);
	clocks.ticks = counter();
	clocks.ns = monotonic();
	nanosleep(&wait, NULL);
	settle();
}

int main(int argc, char **argv)
{
	char letter;

	if (argc != 7) {
		fprintf(stderr, "yardstick: six arguments, please\n");
		return 2;
	}
	set_up(argv);
	const struct kind kinds[] = {
		{'n', 1, 1, 0, child_none},
		{'p', 0, 1, 0, child_none},
		{'m', 1, 0, 0, child_none},
		{'c', 1, 1, container_flags, child_container},
	};
	while (read(0, &letter, 1) == 1) {
		const struct kind *k = NULL;
		struct answer a;

		for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
			if (kinds[i].letter == letter)
				k = &kinds[i];
		if (!k) {
			fprintf(stderr, "yardstick: there is no case '%c'\n", letter);
			return 2;
		}
		nanosleep(&(struct timespec){.tv_nsec = atol(argv[1])}, NULL);
		for (int i = atoi(argv[2]); i >= 0; i--)
			a = cycle(k); /* the last one counts */
		if (write(1, &a, sizeof a) != sizeof a)
			fail("answer");
	}
	return 0;
}
