package compare

import (
	"io"
	"strconv"

	"isoperf/reports/export"
	"isoperf/reports/stats"
)

// Schema is the version of what JSON writes. Fields are only added to it; what
// else changes makes it another version.
const Schema = "isoperf.compare/1"

// document is what JSON writes.
type document struct {
	Schema      string               `json:"schema"`
	Verdict     Verdict              `json:"verdict"` // the worst of all comparisons
	Exit        int                  `json:"exit"`    // the program's status
	Comparisons []documentComparison `json:"comparisons"`
}

type documentComparison struct {
	Base        string          `json:"base"`
	Head        string          `json:"head"`
	BaseFiles   []string        `json:"base_files"`
	HeadFiles   []string        `json:"head_files"`
	Verdict     Verdict         `json:"verdict"`
	Answer      string          `json:"answer"`
	Where       string          `json:"where,omitempty"`
	Trust       string          `json:"trust"`
	Floor       float64         `json:"floor_ratio"`
	Counts      map[Verdict]int `json:"counts"` // rows that count, by verdict
	Check       documentCheck   `json:"check"`
	Machine     documentMachine `json:"machine"`
	Environment []Difference    `json:"environment_differs"`
	Phases      []documentPhase `json:"phases"`
	Notes       []string        `json:"notes"`
	Rows        []documentRow   `json:"rows"`
}

type documentCheck struct {
	Alarms int     `json:"false_alarms"`
	Draws  int     `json:"draws"`
	AtMost float64 `json:"at_most_ratio"`
}

type documentMachine struct {
	Comparable bool              `json:"comparable"`
	Why        string            `json:"why,omitempty"` // it is not
	Config     []Difference      `json:"config"`
	Controls   []documentControl `json:"controls"`
}

type documentControl struct {
	Name  string   `json:"name"`
	Unit  string   `json:"unit"`
	Old   *float64 `json:"old"`
	New   *float64 `json:"new"`
	Ratio *float64 `json:"ratio"`
	Moved bool     `json:"moved"`
}

type documentPhase struct {
	Case  string   `json:"case"`
	Name  string   `json:"phase"`
	Old   *float64 `json:"old_ns"`
	New   *float64 `json:"new_ns"`
	Shift *float64 `json:"shift_ns"`
	Whole *float64 `json:"whole_ns"`
}

// documentRow is a row; a figure that is not known is null.
type documentRow struct {
	Case     string   `json:"case"`
	Unit     string   `json:"unit"`
	Better   string   `json:"better"`
	Counts   bool     `json:"counts"`
	Verdict  Verdict  `json:"verdict"`
	Why      string   `json:"why,omitempty"`
	Need     int      `json:"need,omitempty"`
	Old      *float64 `json:"old_median"`
	New      *float64 `json:"new_median"`
	OldN     int      `json:"old_n"`
	NewN     int      `json:"new_n"`
	Ratio    *float64 `json:"ratio"`
	Lo       *float64 `json:"ratio_lo"`
	Hi       *float64 `json:"ratio_hi"`
	P        *float64 `json:"p"`
	Adjusted *float64 `json:"p_holm"`
	Noise    *float64 `json:"noise_ratio"`
	Bound    *float64 `json:"bound_ratio"` // beyond which a change counts
	Class    string   `json:"noise_class,omitempty"`
}

// median is a side's, or nil where it has no samples.
func median(s stats.Summary) *float64 {
	if s.N == 0 {
		return nil
	}
	return export.Known(s.Median)
}

// JSON writes comparisons for programs; exit is the program's status.
func JSON(w io.Writer, list []Comparison, exit int) error {
	d := document{Schema: Schema, Verdict: Worst(list), Exit: exit, Comparisons: []documentComparison{}}
	for _, c := range list {
		d.Comparisons = append(d.Comparisons, c.document())
	}
	return export.JSON(w, d, "a comparison as JSON")
}

// Worst is the verdict of several comparisons.
func Worst(list []Comparison) Verdict {
	for _, v := range []Verdict{Slower, Apart, CannotTell, Faster, Same} {
		for _, c := range list {
			if c.Verdict == v {
				return v
			}
		}
	}
	return CannotTell
}

func (c Comparison) document() documentComparison {
	d := documentComparison{
		Base: c.Base, Head: c.Head, BaseFiles: export.List(c.BaseFiles), HeadFiles: export.List(c.HeadFiles),
		Verdict: c.Verdict, Answer: c.Answer(), Where: c.Where(), Trust: c.Trust(), Floor: c.Floor, Counts: map[Verdict]int{},
		Check:       documentCheck{c.Check.Alarms, c.Check.Draws, c.Check.AtMost()},
		Machine:     documentMachine{Comparable: c.Machine.Apart == "", Why: c.Machine.Apart, Config: export.List(c.Config), Controls: []documentControl{}},
		Environment: export.List(c.Environment), Phases: []documentPhase{}, Notes: export.List(c.Notes), Rows: []documentRow{},
	}
	for _, v := range order() {
		d.Counts[v] = c.Count(v)
	}
	for _, k := range c.Machine.Controls {
		d.Machine.Controls = append(d.Machine.Controls, documentControl{k.Name, k.Unit, median(k.Old), median(k.New), export.Known(k.Ratio.Ratio), k.Moved})
	}
	for _, p := range c.Phases {
		d.Phases = append(d.Phases, documentPhase{p.Case, p.Name, export.Known(p.Old), export.Known(p.New), export.Known(p.Delta()), export.Known(p.Whole)})
	}
	for _, r := range c.Rows {
		row := documentRow{Case: r.Case, Unit: r.Unit, Better: r.Better, Counts: r.Main, Verdict: r.Verdict, Why: r.Why, Need: r.Need,
			Old: median(r.Old), New: median(r.New), OldN: r.Old.N, NewN: r.New.N}
		if r.Compared() {
			row.Ratio, row.Lo, row.Hi = export.Known(r.Ratio.Ratio), export.Known(r.Ratio.Lo), export.Known(r.Ratio.Hi)
			row.P, row.Adjusted = export.Known(r.P), export.Known(r.Adjusted)
			row.Noise, row.Bound, row.Class = export.Known(r.Noise), export.Known(r.Bound), r.Class
		}
		d.Rows = append(d.Rows, row)
	}
	return d
}

// CSV writes a line for each row, in base units; a figure that is not known is
// empty.
func CSV(w io.Writer, list []Comparison) error {
	lines := [][]string{{"base", "head", "case", "unit", "better", "counts", "verdict", "why", "old_median", "new_median", "old_n", "new_n", "ratio", "ratio_lo", "ratio_hi", "p", "p_holm", "noise_ratio", "bound_ratio"}}
	for _, c := range list {
		for _, r := range c.document().Rows {
			line := []string{c.Base, c.Head, r.Case, r.Unit, r.Better, strconv.FormatBool(r.Counts), string(r.Verdict), r.Why,
				export.Digits(r.Old), export.Digits(r.New), strconv.Itoa(r.OldN), strconv.Itoa(r.NewN)}
			for _, v := range []*float64{r.Ratio, r.Lo, r.Hi, r.P, r.Adjusted, r.Noise, r.Bound} {
				line = append(line, export.Digits(v))
			}
			lines = append(lines, line)
		}
	}
	return export.CSV(w, lines, "a comparison as CSV")
}
