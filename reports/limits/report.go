package limits

import (
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// Families are the families of cases that are judged, in the order of the
// tables.
func Families() []string {
	var names []string
	for _, r := range rules() {
		names = append(names, r.family)
	}
	return names
}

// Judged says whether a family is.
func Judged(family string) bool { return slices.Contains(Families(), family) }

// Asked is the limit of a case in words: of one that is judged, as its table has
// it; of another, the parameters of its name.
func Asked(c *sample.Case) string {
	for _, r := range rules() {
		if r.family == c.Family() {
			return r.judge(c, nil, nil, Options{}).Asked
		}
	}
	var words []string
	for _, part := range strings.Split(c.Name, "/")[1:] {
		words = append(words, strings.ReplaceAll(part, "=", " "))
	}
	return strings.Join(words, ", ")
}

// Tables are the verdicts on a family's cases; none where it is not judged, or
// not there. Reasons that a line of width columns has no room for stand below.
func Tables(f *sample.File, family string, width int) []table.Table {
	for _, r := range rules() {
		if r.family != family {
			continue
		}
		mine := slices.DeleteFunc(Judge(f, Options{}), func(j Judgement) bool {
			name, _, _ := strings.Cut(j.Case, "/")
			return name != family
		})
		if len(mine) > 0 {
			return []table.Table{r.table(mine, width)}
		}
	}
	return nil
}

// Findings are the answers to what is judged in a file, one a limit, and what
// requests feel.
func Findings(f *sample.File) []string {
	var lines []string
	by := map[string][]Judgement{}
	var order []string
	for _, j := range Judge(f, Options{}) {
		if by[j.Limit] == nil {
			order = append(order, j.Limit)
		}
		by[j.Limit] = append(by[j.Limit], j)
	}
	for _, limit := range order {
		lines = append(lines, Answer(by[limit]))
	}
	return append(lines, Feels(f)...)
}
