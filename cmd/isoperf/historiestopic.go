package main

import "github.com/spf13/cobra"

// historiesTopic is `isoperf help histories`: what the verdicts of history mean.
func historiesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "histories",
		Short: "About isoperf history: change points, commits, the machine",
		Long: `What isoperf history finds, and how.

Series. Files whose keys agree (kernel, cpu, host, privilege, a label) are one
environment, and a case in it is a series: its median in each run, by the unit
that compare uses. On hired machines whose names differ, --ignore host. When the
same machine has a newer kernel, cgroup setup or CPU, the older series are of
the past, shown and not counted.

Change points. The series is split where the energy statistic of both sides is
largest (E-divisive, as in Apache Otava), and each part again. A boundary stays
when Student's t, times the number of places and of series, is below 5 %,
without the run that makes most of it, and when the level changes by the floor
(--floor, 2 %) at least. Runs that are alike because they are close in time
count for less. A level is three runs at least, and eight are the least for a
verdict.

Which commit. The one named is the first that was measured to be different; the
commits between it and the run before it were not measured. Its probability
stands beside it, and where else the step may be. With a scatter of 1.5 to 2 %
and one run of each commit, no method can place a step of 5 % exactly in more
than eight of ten cases; two or three runs of each commit do, and so does
measuring the suspects again.

The machine. When a control (the null case, the clock, a fixed computation)
steps at the same place, the same way, by 3 % or half of the change, or most
cases do, the machine changed there, and no commit is blamed. As long as the
case stays on that level nothing can be told of it, unless --since accepts the
change.

Verdicts. slower: a worse level that reaches the newest run. What was slower and
is no longer is shown, and does not count. cannot tell: too few runs, or the
newest run or two are far off and could be the beginning of a level; about so
many more would tell. new, gone: the case is not in the first runs, or not in
the newest.

Noise. 'isoperf compare --history DIR' takes a case's noise from its runs here:
how far two runs may be apart when nothing changed. A file that has an A/A run
of its own (isoperf ab) is believed first.

The folder. Each file is there as it was added, under the date and the name of
its commit; its name holds a sum, so that a file that was changed is left out,
and said. Several may add at once. --json is isoperf.history/1: fields are only
ever added to it.`,
	}
}
