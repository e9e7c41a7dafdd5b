package page

import (
	"cmp"
	"fmt"
	"slices"

	"isoperf/bench/sample"
	"isoperf/reports/compare"
	"isoperf/reports/plot"
	"isoperf/reports/table"
)

// mostBeside is how many machines have a column each; of more there are the least,
// the middle and the most.
const mostBeside = 6

// hostKey is the configuration key that names a machine.
const hostKey = "host"

// onHost is what one machine says of a case.
type onHost struct {
	host string
	compare.Median
}

// Beside are the tables that hold machines against each other: one for all files
// that differ in nothing but the machine. Other privileges, or a label, are another
// experiment. None where there is one machine.
func Beside(files []*sample.File) []table.Table { return besideTables(plot.Pool(files)) }

func besideTables(groups []*sample.File) []table.Table {
	var all []table.Table
	for _, alike := range hosts(groups) {
		if t := besideTable(alike); len(t.Rows) > 0 {
			all = append(all, t)
		}
	}
	return all
}

// beside is the section of those tables; false: there are none.
func beside(groups []*sample.File) (Section, bool) {
	s := Section{Name: "beside", Heading: "Side by side"}
	tables := besideTables(groups)
	s.text(words("Medians of each machine, measured by itself: what differs is the machine, its kernel, or who else was on it. `isoperf compare FILE… --col host` says which differences are beyond noise."))
	for _, t := range tables {
		s.table(t)
	}
	return s, len(tables) > 0
}

// hosts puts machines together that were measured alike. One machine with two
// kernels is no two machines.
func hosts(groups []*sample.File) [][]*sample.File {
	var all [][]*sample.File
	for _, f := range groups {
		if f.Key(hostKey) == "" {
			continue
		}
		at := slices.IndexFunc(all, func(g []*sample.File) bool { return compare.AlikeButHost(g[0].Config, f.Config) })
		if at < 0 {
			all = append(all, nil)
			at = len(all) - 1
		}
		all[at] = append(all[at], f)
	}
	return slices.DeleteFunc(all, func(g []*sample.File) bool {
		return !slices.ContainsFunc(g, func(f *sample.File) bool { return f.Key(hostKey) != g[0].Key(hostKey) })
	})
}

// besideTable has a row for each case that two machines have, or more.
func besideTable(files []*sample.File) table.Table {
	var order []string
	found := map[string][]onHost{}
	names := hostNames(files)
	for i, f := range files {
		medians, err := compare.Medians(f)
		if err != nil { // of one file there is nothing to refuse
			continue
		}
		for _, m := range medians {
			key := m.Case + " " + m.Unit
			if slices.ContainsFunc(found[key], func(o onHost) bool { return o.host == names[i] }) {
				continue // the null case is a control, too
			}
			if found[key] == nil {
				order = append(order, key)
			}
			found[key] = append(found[key], onHost{names[i], m})
		}
	}
	t := table.Table{Title: "Machines side by side", Header: []string{"case", "unit"}, Align: []table.Align{table.Left, table.Left}}
	columns := names
	if len(files) > mostBeside {
		columns = []string{"least", "least on", "middle", "most", "most on"}
	}
	for _, name := range append(slices.Clone(columns), "most by least") {
		t.Header = append(t.Header, name)
		t.Align = append(t.Align, table.Right)
	}
	for _, key := range order {
		if list := found[key]; len(list) > 1 {
			t.Rows = append(t.Rows, besideRow(list, names, len(files) > mostBeside))
		}
	}
	return t
}

// besideRow is a case on its machines; brief names the least and the most only.
func besideRow(list []onHost, names []string, brief bool) []string {
	m := list[0]
	row := []string{m.Case, m.Unit}
	figure := func(o onHost) string { return compare.Figure(o.Summary.Median, o.Unit) }
	byMedian := slices.SortedFunc(slices.Values(list), func(a, b onHost) int { return cmp.Compare(a.Summary.Median, b.Summary.Median) })
	least, most := byMedian[0], byMedian[len(list)-1]
	if brief {
		row = append(row, figure(least), least.host, figure(byMedian[(len(list)-1)/2]), figure(most), most.host)
	} else {
		for _, name := range names {
			cell := "-"
			if i := slices.IndexFunc(list, func(o onHost) bool { return o.host == name }); i >= 0 {
				cell = figure(list[i])
			}
			row = append(row, cell)
		}
	}
	times := "-"
	if least.Summary.Median > 0 {
		times = fmt.Sprintf("%.2fx", most.Summary.Median/least.Summary.Median)
	}
	return append(row, times)
}

// hostNames are the machines' names; one that comes again, with another kernel, has
// a number.
func hostNames(files []*sample.File) []string {
	var names []string
	for _, f := range files {
		host := f.Key(hostKey)
		name := host
		for i := 2; slices.Contains(names, name); i++ {
			name = fmt.Sprintf("%s (%d)", host, i)
		}
		names = append(names, name)
	}
	return names
}
