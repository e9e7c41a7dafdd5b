#!/bin/sh
# Writes statistics-benchstat.csv: what benchstat says of statistics-samples.txt.
set -eu
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for side in old new; do
	awk -v side="$side" '$2 == side { for (i = 3; i <= NF; i++) print "Benchmark" $1 " 1 " $i " x-ns" }' \
		statistics-samples.txt >"$folder/$side"
done
cd "$folder"
go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da -format csv old new >benchstat.csv
cd - >/dev/null
mv "$folder/benchstat.csv" statistics-benchstat.csv
