package main

import "github.com/spf13/cobra"

// limitsTopic is `isoperf help limits`: what the verdicts of verify mean.
func limitsTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "limits",
		Short: "About isoperf verify: verdicts, budgets, doubts, JSON",
		Long: `What the verdicts of isoperf verify mean.

Error. What the processes of a group got, against what the limit entitles them
to: +1 % is a hundredth too much, a limit that leaks; -1 % is quota that was
lost. It is computed twice, by the clock and by the kernel's count of periods;
where the two differ by more than 2 %, nothing is judged. Usage is read at the
end of periods, with the group stopped if it can be, and only readings that took
less than 200 us count.

Budget ("could be off by"). By how much the error may be off in so short a time,
although the kernel is right. CPU time is charged at the timer's tick, so each
CPU may owe a tick (4 ms at HZ 250); a CPU that goes idle keeps up to 1 ms of
quota, one that runs holds a slice of 5 ms; and an end of the measurement is
known to one reading. The longer it lasts, the smaller the budget.

Verdicts. accurate: the error is within --max-error (2 %), and so is the budget.
within budget: the error is within the budget, which is wider than --max-error:
measure for longer to know more. inaccurate: beyond both. not judged: there is
a reason to doubt that the figure says anything of the kernel, which is
printed. Nothing that is doubted is called accurate. Beside it stands what the
kernel's own test of cpu.max would accept (tools/testing/selftests/cgroup).

The whole grid. verify cpu.max --wide, and bench cpu-max --wide: 1 to 400 % of a
CPU, periods of 1 ms to 1 s, wherever the quota is at least the kernel's 1 ms,
each with 1, CPUs and 2 x CPUs threads. How long it takes is printed first,
about a quarter of an hour for a sample of each. A limit that no load can reach
on the machine, 400 % of two CPUs, is not judged.

Other limits. cpu.weight: the largest difference between a group's share of the
CPU time and what its weight entitles it to, in points of 100; 2 are accurate.
cpuset.cpus: every look at where the threads ran; none may be elsewhere.
memory.max: the peak against the limit, and the 64 pages that each CPU may keep
charged in advance; events are counted exactly. memory.high: each delay against
the formula of the kernel's source, 25 % or a tick. pids.max: one task too many
or too few is an error. io.max: the rate, within 3 %, on a loop device of our
own (bench io-max: on a null block device too, where the kernel has the module
null_blk); the kernel hands out whole requests for each tenth of a second, so 16
requests a second come to 10.

Loads. Most are our own, which count what they do. bench cpu-shapes, memory-max
and pids-max have stress and stress-ng (--cpu, --vm, --fork) held to limits as
well, and stress-ng beside a limited group; of those nothing is believed but the
group's counters and CPU clocks. Where the program is missing, that is said.
Nested limits of memory are judged against the one that counts: the parent's,
if it is the smaller one, less what a group beside holds.

Operations. bench cgroup-op --allow favordynmods has a lone attach measured with
that mount option and without (Linux 6.0 to 6.17, version 2). It is an option of
the whole hierarchy, so it is changed for the time of a sample, and set back.

Doubts. The limit that is read back is not the one that was asked for; a thread
of the load was not in the group, at the beginning or the end; the load did not
want all that it may have; the host took CPU time (steal), which an emulated
machine cannot see (--trust-host vouches for it); a BPF scheduler (sched_ext)
is loaded. The group's counter must agree with the CPU clock of its processes.

Groups that are there already (--cgroup, --pid, --unit). Every limit on the way
up to the root is read; the least one counts. The load is not ours, so judged
are the periods at whose end the group was stopped: in each it must have had its
quota, no more and no less. "throttled 31 of 600" is the kernel's count of such
periods. A wait is the time for which the whole group stood still before it was
let on. "waited" is the share of the time that the group's threads, and those
below, wanted to run in which they had to wait, for their limit or for a CPU
(/proc/PID/task/TID/schedstat). In a container the groups above its root are
hidden.

JSON (--json). "schema" is isoperf.verify/1; fields are only ever added to it.
"verdict" is that of all, "exit" the status of the program and why it ended,
"answer" and "trust" the lines of the text, "counts" the judgements by verdict,
"machine" and "environment" where it ran, "judgements" one object a limit: case,
limit, asked, got, error, budget (ratios, unless "unit" says points, count, B or
ns), verdict, why, and figures: medians by the units of the result file.

JUnit (--junit). A test case for each limit; inaccurate is a failure, not judged
is skipped, or a failure with --not-judged=fail. OpenMetrics (--metrics):
isoperf_limit_error_ratio, isoperf_limit_budget_ratio, and the state set
isoperf_limit_verdict, with the labels limit and case.`,
	}
}
