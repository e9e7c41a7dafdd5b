package main

import "github.com/spf13/cobra"

// comparingTopic is `isoperf help comparing`: what the verdicts of compare mean.
func comparingTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "comparing",
		Short: "About isoperf compare: verdicts, noise, vetoes",
		Long: `What the verdicts of isoperf compare mean.

Change. How many times the new values are the old ones: the median of all
quotients of a new and an old value (Hodges and Lehmann), with its 95 % range. A
case is judged by one unit: a start by the time until it is ready, others by the
last one of their lines. --verbose shows the others too; they are never counted.

What counts. A change counts when three things hold: the Mann-Whitney test finds
it at 5 %, among all cases together (Holm); its 95 % range leaves out no change;
and it is larger than the floor (--floor, 2 %) and the case's own noise.

Noise. The test believes that samples are independent of each other, and on a
machine with neighbours they are not. So each file is cut into parts, stretches
of time, and the scatter of the parts' medians says how far two such files are
apart when nothing has changed: in one of a hundred comparisons, one case may be
further apart. Few parts know little, so what is usual in the other cases is
weighed in. More samples make the noise less; isoperf ab, which takes turns,
makes it least.

Verdicts. slower, faster: the change counts. same: the whole 95 % range is
within the floor, or within the case's own noise, and it says which. cannot
tell: neither was shown; about so many more samples on each side would, unless
no number is given. A case whose noise is more than 25 % is never "same", one
whose runs differ by 10 % or more (the coefficient of variation) is never slower
or faster, and neither is one of which more operations failed than before. new,
gone: only one side has it. not comparable: see below.

False alarms. The parts of both files, with the change taken out, are dealt anew
into an old and a new side, 300 times, in stretches of neighbours, and judged by
the same rules: so often would these very files have raised an alarm. With more
than three alarms, no change is believed. What differs between any two runs and
not within one (a reboot, another neighbour) this cannot see. isoperf ab deals
its rounds anew in the same way, with the order of each by a coin, and so are
the parts of the two files that it wrote. The figure is in every report: text,
Markdown, HTML, JUnit, JSON and metrics.

Vetoes. Keys of the files that differ (kernel, cpu, host, privilege, a label),
or controls that moved beyond 3 % and their noise (the null case, the clock, a
fixed computation), or half of all cases moving the same way, mean that the
machine changed, or may have: not comparable. Run both in one job (isoperf ab).
When files are to be compared by the key that differs, say so: --col kernel.
With --col host the machines themselves are compared, and there is no veto:
kernel and cpu may differ, and the controls are figures like the others.

Exit status. 0 nothing got slower, 1 something did, 2 usage, or a file cannot be
read, is a copy of the other or of itself, or cannot be written, 3 cannot tell,
4 not comparable. 3 and 4 become 0 or 1 with --inconclusive and
--not-comparable; what passes so is said on standard error.

Files for programs appear whole, or not at all; - is standard output. --markdown
fits a comment. --json is isoperf.compare/1: fields are only ever added to it;
ratios are new by old, what is not known is null. --csv has the same rows.
--github-benchmark holds what is better smaller, --github-benchmark-bigger what
is better bigger: that program believes one of a whole file.`,
	}
}
