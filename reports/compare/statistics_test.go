package compare

import (
	"encoding/csv"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
)

func fields(t *testing.T, path string) [][]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list [][]string
	for line := range strings.Lines(string(data)) {
		list = append(list, strings.Fields(line))
	}
	return list
}

func numbers(t *testing.T, words []string) []float64 {
	t.Helper()
	var list []float64
	for _, w := range words {
		v, err := strconv.ParseFloat(w, 64)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

// digits3 compares to three digits.
func digits3(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.0006*math.Abs(want) {
		t.Errorf("%s is %.6g, not %.6g", what, got, want)
	}
}

func golden(t *testing.T) map[string]Row {
	t.Helper()
	old, rows := map[string][]float64{}, map[string]Row{}
	for _, f := range fields(t, "testdata/statistics-samples.txt") {
		if values := numbers(t, f[2:]); f[1] == "old" {
			old[f[0]] = values
		} else {
			rows[f[0]] = newRow(newSide(old[f[0]], nil, nil), newSide(values, nil, nil))
		}
	}
	return rows
}

// The test, the estimate and its interval are R's, exact for few values and
// approximate for many.
func TestStatisticsAgreeWithR(t *testing.T) {
	rows := golden(t)
	for _, f := range fields(t, "testdata/statistics-r.txt") {
		want, r := numbers(t, f[1:]), rows[f[0]]
		digits3(t, f[0]+": p", r.P, want[0])
		if f[0] == "ties" {
			continue // between values that are equal, R's root lies anywhere
		}
		digits3(t, f[0]+": ratio", r.Ratio.Ratio, want[1])
		digits3(t, f[0]+": lower end", r.Ratio.Lo, want[2])
		digits3(t, f[0]+": upper end", r.Ratio.Hi, want[3])
	}
	if len(rows) != 5 {
		t.Errorf("%d series", len(rows))
	}
}

// Medians and p are benchstat's; it prints seconds, and p with three places.
func TestStatisticsAgreeWithBenchstat(t *testing.T) {
	rows := golden(t)
	data, err := os.ReadFile("testdata/statistics-benchstat.csv")
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(strings.NewReader(string(data)))
	r.FieldsPerRecord = -1
	lines, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, l := range lines {
		row, ok := rows[l[0]]
		if !ok || len(l) < 7 {
			continue
		}
		seen++
		medians := numbers(t, []string{l[1], l[3]})
		digits3(t, l[0]+": old median", row.Old.Median/1e9, medians[0])
		digits3(t, l[0]+": new median", row.New.Median/1e9, medians[1])
		p, _, _ := strings.Cut(strings.TrimPrefix(l[6], "p="), " ")
		if want := numbers(t, []string{p})[0]; math.Abs(row.P-want) > 0.00051 {
			t.Errorf("%s: p is %.4f, not %.3f", l[0], row.P, want)
		}
	}
	if seen != len(rows) {
		t.Errorf("%d of %d series were compared", seen, len(rows))
	}
}
