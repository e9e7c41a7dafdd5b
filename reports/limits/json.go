package limits

import (
	"encoding/json"
	"io"

	"isoperf/bench/sample"
	"isoperf/reports/export"
)

// Schema is the version of what JSON writes. Fields are only added to it; what
// else changes makes it another version.
const Schema = "isoperf.verify/1"

// Exit is how a run of verify ended.
type Exit struct {
	Status int    `json:"status"` // the program's: see isoperf help verify
	Why    string `json:"why"`    // "done", "interrupted", …
}

// document is what JSON writes.
type document struct {
	Schema      string            `json:"schema"`
	Verdict     Verdict           `json:"verdict"` // of all
	Exit        Exit              `json:"exit"`
	Answer      string            `json:"answer"`
	Trust       string            `json:"trust"`
	Tolerance   float64           `json:"tolerance"` // the relative error that is accurate
	Counts      map[Verdict]int   `json:"counts"`    // judgements by verdict
	File        string            `json:"file,omitempty"`
	Machine     map[string]string `json:"machine"`               // the configuration lines of the file
	Steal       *float64          `json:"steal_ratio,omitempty"` // of all CPU time, during the run
	Environment json.RawMessage   `json:"environment,omitempty"` // the fingerprint of the file
	Judgements  []Judgement       `json:"judgements"`
}

// JSON writes all that is said, for programs.
func JSON(w io.Writer, f *sample.File, list []Judgement, o Options, e Exit) error {
	d := document{
		Schema: Schema, Verdict: Overall(list), Exit: e, Tolerance: o.tolerance(),
		Counts: map[Verdict]int{Accurate: 0, Within: 0, Inaccurate: 0, NotJudged: 0},
		File:   f.Path, Machine: map[string]string{}, Steal: f.End.Steal, Environment: f.Fingerprint, Judgements: []Judgement{},
	}
	d.Answer, d.Trust = Answer(list), Trust(f, list)
	if watching(list) {
		d.Answer, d.Trust = watchAnswer(f, list), watchTrust(f, list)
	}
	for _, p := range f.Config {
		d.Machine[p.Key] = p.Value
	}
	for _, j := range list {
		d.Counts[j.Verdict]++
		j.Figures = finite(j.Figures)
		d.Judgements = append(d.Judgements, j)
	}
	return export.JSON(w, d, "the verdicts as JSON")
}

func watching(list []Judgement) bool {
	return len(list) > 0 && list[0].family() == watchFamily
}

// finite leaves out what JSON cannot say: figures that are not numbers.
func finite(all map[string]float64) map[string]float64 {
	kept := map[string]float64{}
	for k, v := range all {
		if export.Known(v) != nil {
			kept[k] = v
		}
	}
	return kept
}
