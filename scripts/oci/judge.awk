# Judges what the tests said: judge.awk README.md SEEN. The first has a table of
# what fails, and why:
#
#	| `test` | groups | ok / not ok of the first runtime | of the second | why |
#
# The second has a line for each test: test, ok, not ok and exit status of the
# first, the same of the second. A test is worse when the second has more that is
# not ok, or fewer that are ok, or fails where the first does not. What differs
# from the table, or should be in it, is told. Exit status 1: either.

function cell(text) { gsub(/^[ `]+|[ `]+$/, "", text); return text }

# outcome is a test's result as the table has it: a test that stops before its
# first check says neither ok nor not ok.
function outcome(ok, bad, status) {
	if (status == 124 || status == 137) return "time-out"
	return ok " / " bad (status ? " stops" : "")
}

BEGIN { FS = "|"; split(names, name, " "); printf "%-32s %14s %14s  verdict\n", "ok / not ok", name[1], name[2] }

FNR == NR {
	if (/^\| `/ && cell($3) == groups) { test = cell($2); first[test] = cell($4); second[test] = cell($5); why[test] = cell($6) }
	next
}

FNR == 1 { FS = " "; $0 = $0 }

{
	n++
	a = outcome($2, $3, $4); b = outcome($5, $6, $7)
	for (i = 2; i <= 7; i++) sum[i] += $i
	verdict = "the same"
	if ($6 > $3 || $5 < $2 || ($7 && !$4)) { verdict = "worse"; worse++ }
	else if ($6 < $3 || $5 > $2 || (!$7 && $4)) verdict = "better"
	told = ""
	if ($3 || $4 || $6 || $7 || verdict == "worse") {
		if (!($1 in why)) { told = "not explained"; if ($6 || $7) unexplained++ }
		else if (second[$1] != b) { told = "explained is " second[$1]; unexplained++ }
		else { told = "explained"; if (verdict == "worse") { worse--; verdict = "the suite errs" } }
	} else if ($1 in why) { told = "explained, but all is ok"; unexplained++ }
	if ($1 in why && first[$1] != a) told = told "; " name[1] " had " first[$1]
	printf "%-32s %14s %14s  %s%s\n", $1, a, b, verdict, told == "" ? "" : ": " told
}

END {
	printf "%-32s %14s %14s\n\n", n " tests", sum[2] " / " sum[3], sum[5] " / " sum[6]
	if (worse) printf "%s is worse than %s in %d tests.\n", name[2], name[1], worse
	else printf "%s is nowhere worse than %s.\n", name[2], name[1]
	if (unexplained) printf "scripts/oci/README.md does not explain what %d tests say.\n", unexplained
	exit worse || unexplained
}
