# Judges what the tests said: judge.awk README.md SEEN. The first has a table of
# what fails, and why:
#
#	| `test`, … | groups | ok / not ok of the first runtime | of the second | why |
#
# where groups are v1, v2 or both, "v1 v2", and several tests that say the same
# share a line.
#
# The second has a line for each test: test, ok, not ok and exit status of the
# first, the same of the second. To exit with an error is one failure more; a test
# does so when a command fails that must not, before its first check mostly. A
# test is worse when the second has more failures, or fails and has fewer that are
# ok; unless the table says that the suite errs. What differs from the table, or
# should be in it, is told. Exit status 1: either. A result that chance decides is
# in the table as "1 / 0 or 0 / 1".

function cell(text) { gsub(/^[ `]+|[ `]+$/, "", text); return text }

# outcome is a test's result as the table has it.
function outcome(ok, bad, status) {
	if (status == 124 || status == 137) return "time-out"
	return ok " / " bad (status ? " stops" : "")
}

# among says whether a result is one of those that the table has.
function among(result, list,    word, n, i) {
	n = split(list, word, / or /)
	for (i = 1; i <= n; i++) if (word[i] == result) return 1
	return 0
}

BEGIN { FS = "|"; split(names, name, " "); printf "%-32s %14s %14s  verdict\n", "ok / not ok", name[1], name[2] }

FNR == NR {
	if (/^\| `/ && index(" " cell($3) " ", " " groups " ")) {
		tests = split($2, list, ",")
		for (i = 1; i <= tests; i++) { test = cell(list[i]); first[test] = cell($4); second[test] = cell($5); why[test] = cell($6) }
	}
	next
}

FNR == 1 { FS = " "; $0 = $0 }

{
	n++
	a = outcome($2, $3, $4); b = outcome($5, $6, $7)
	for (i = 2; i <= 7; i++) sum[i] += $i
	failed = $3 + ($4 > 0); fails = $6 + ($7 > 0)
	nothing = $4 && !$2 && !$3 # the first has not got as far as any check
	verdict = "the same"
	if (fails && (fails > failed || $5 < $2) && !(nothing && $5)) { verdict = "worse"; worse++ }
	else if (fails < failed || $5 > $2) verdict = "better"
	told = ""
	if (fails) {
		if (!($1 in why)) { told = "not explained"; unexplained++ }
		else if (!among(b, second[$1])) { told = "explained is " second[$1]; unexplained++ }
		else {
			told = "explained"
			if (verdict == "worse" && why[$1] ~ /^The suite errs/) { worse--; verdict = "the suite errs" }
		}
	} else if ($1 in why && !among(b, second[$1])) { told = "explained is " second[$1]; unexplained++ }
	if ($1 in why && !among(a, first[$1])) told = told "; " name[1] " had " first[$1]
	printf "%-32s %14s %14s  %s%s\n", $1, a, b, verdict, told == "" ? "" : ": " told
}

END {
	printf "%-32s %14s %14s\n\n", n " tests", sum[2] " / " sum[3], sum[5] " / " sum[6]
	if (worse) printf "%s is worse than %s in %d tests.\n", name[2], name[1], worse
	else printf "%s is nowhere worse than %s.\n", name[2], name[1]
	if (unexplained) printf "scripts/oci/README.md does not explain what %d tests say.\n", unexplained
	exit worse || unexplained
}
