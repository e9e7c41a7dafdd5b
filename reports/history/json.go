package history

import (
	"io"
	"math"
	"strconv"
	"time"

	"isoperf/reports/compare"
	"isoperf/reports/export"
)

// Schema is the version of what JSON writes. Fields are only added to it; what
// else changes makes it another version.
const Schema = "isoperf.history/1"

type document struct {
	Schema       string                `json:"schema"`
	Verdict      compare.Verdict       `json:"verdict"`
	Exit         int                   `json:"exit"` // the program's status
	Answer       string                `json:"answer"`
	Where        string                `json:"where,omitempty"`
	Trust        string                `json:"trust"`
	Floor        float64               `json:"floor_ratio"`
	Since        string                `json:"since,omitempty"`
	Runs         []documentRun         `json:"runs"`
	Environments []documentEnvironment `json:"environments"`
	Series       []documentSeries      `json:"series"`
	Notes        []string              `json:"notes"`
}

type documentRun struct {
	File   string `json:"file"`
	Commit string `json:"commit"`
	Time   string `json:"time"`
}

type documentEnvironment struct {
	Config map[string]string `json:"config"`
	Runs   []int             `json:"runs"` // indexes
	Past   bool              `json:"past"`
}

type documentSeries struct {
	Case        string           `json:"case"`
	Unit        string           `json:"unit"`
	Better      string           `json:"better"`
	Environment int              `json:"environment"` // index
	Verdict     compare.Verdict  `json:"verdict"`
	Why         string           `json:"why,omitempty"`
	Need        int              `json:"need_runs,omitempty"`
	Scatter     *float64         `json:"scatter_ratio"`
	Sees        *float64         `json:"sees_ratio"`
	Points      []documentPoint  `json:"points"`
	Changes     []documentChange `json:"changes"`
}

type documentPoint struct {
	Run    int      `json:"run"` // index
	Median *float64 `json:"median"`
	Lo     *float64 `json:"lo"`
	Hi     *float64 `json:"hi"`
	N      int      `json:"n"`
}

type documentChange struct {
	Point    int               `json:"point"` // index: the first one of the new level
	Commit   string            `json:"commit"`
	Before   string            `json:"commit_before"`
	Old      *float64          `json:"old_median"`
	New      *float64          `json:"new_median"`
	Ratio    *float64          `json:"ratio"`
	Lo       *float64          `json:"ratio_lo"`
	Hi       *float64          `json:"ratio_hi"`
	P        *float64          `json:"p"`
	Worse    bool              `json:"worse"`
	Counts   bool              `json:"counts"`
	Said     string            `json:"said"`
	Machine  string            `json:"machine,omitempty"`
	Suspects []documentSuspect `json:"suspects"`
}

type documentSuspect struct {
	Commit string  `json:"commit"`
	Share  float64 `json:"share"`
}

// JSON writes a history for programs; exit is the program's status.
func JSON(w io.Writer, h History, exit int) error {
	d := document{Schema: Schema, Verdict: h.Verdict, Exit: exit, Answer: h.Answer(), Where: h.Where(), Trust: h.Trust(), Floor: h.Floor, Since: h.Since,
		Runs: []documentRun{}, Environments: []documentEnvironment{}, Series: []documentSeries{}, Notes: export.List(h.Notes)}
	for _, r := range h.Runs {
		d.Runs = append(d.Runs, documentRun{r.Name, r.Commit, r.Time.UTC().Format(time.RFC3339)})
	}
	for _, e := range h.Environments {
		config := map[string]string{}
		for _, p := range e.Config {
			config[p.Key] = p.Value
		}
		d.Environments = append(d.Environments, documentEnvironment{config, e.Runs, e.Past})
	}
	for _, s := range h.Series {
		d.Series = append(d.Series, s.document())
	}
	return export.JSON(w, d, "a history as JSON")
}

func (s Series) document() documentSeries {
	d := documentSeries{Case: s.Case, Unit: s.Unit, Better: s.Better, Environment: s.Environment, Verdict: s.Verdict, Why: s.Why, Need: s.Need,
		Sees: export.Known(s.Sees), Points: []documentPoint{}, Changes: []documentChange{}}
	if s.track != nil {
		d.Scatter = export.Known(s.Scatter)
	}
	for _, p := range s.Points {
		d.Points = append(d.Points, documentPoint{p.Run, export.Known(p.Median), export.Known(p.Lo), export.Known(p.Hi), p.N})
	}
	for i, c := range s.Changes {
		f := Finding{c, s, s.Levels[i], s.Levels[i+1]}
		x := documentChange{Point: c.Point, Commit: c.Commit, Before: c.Before, Old: export.Known(f.Old.Median), New: export.Known(f.New.Median), Ratio: export.Known(c.Ratio.Ratio),
			Lo: export.Known(c.Ratio.Lo), Hi: export.Known(c.Ratio.Hi), P: export.Known(c.P), Worse: c.Worse, Counts: f.counts(), Said: f.Said(), Machine: c.Machine, Suspects: []documentSuspect{}}
		if math.IsInf(c.Ratio.Hi, 0) {
			x.Lo = nil
		}
		for _, q := range c.Suspects {
			x.Suspects = append(x.Suspects, documentSuspect(q))
		}
		d.Changes = append(d.Changes, x)
	}
	return d
}

// CSV writes a line for each point, in base units; a figure that is not known is
// empty.
func CSV(w io.Writer, h History) error {
	lines := [][]string{{"case", "unit", "environment", "commit", "time", "file", "median", "lo", "hi", "n", "level", "change"}}
	for _, s := range h.Series {
		level := 0
		for i, p := range s.Points {
			change := ""
			if level < len(s.Changes) && s.Changes[level].Point == i {
				change = export.Digits(&s.Changes[level].Ratio.Ratio)
				level++
			}
			r := h.Runs[p.Run]
			lines = append(lines, []string{s.Case, s.Unit, strconv.Itoa(s.Environment), r.Commit, r.Time.UTC().Format(time.RFC3339), r.Name,
				export.Digits(&p.Median), export.Digits(&p.Lo), export.Digits(&p.Hi), strconv.Itoa(p.N), strconv.Itoa(level), change})
		}
	}
	return export.CSV(w, lines, "a history as CSV")
}
