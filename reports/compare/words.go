package compare

import (
	"fmt"
	"math"
	"strings"

	"isoperf/reports/table"
)

// Answer is the first line: what changed, in words.
func (c Comparison) Answer() string {
	all := c.counted()
	switch c.Verdict {
	case Apart:
		if c.Machine.Apart == "" {
			return fmt.Sprintf("NOT COMPARABLE  %d of %d: %s.", c.Count(Apart), all, c.first(Apart).Why)
		}
		return "NOT COMPARABLE  " + c.Machine.Apart + ". No verdict on the code is possible from these files" + c.Machine.advice() + "."
	case Slower:
		worst := c.worst()
		return fmt.Sprintf("FAIL  %d of %d got slower: %s%s, %s (%s -> %s).", c.Count(Slower), all, worst.Case, ofUnit(worst.Unit), change(worst), Figure(worst.Old.Median, worst.Unit), Figure(worst.New.Median, worst.Unit))
	case CannotTell:
		if c.compared() == 0 {
			return "CANNOT TELL  the files have no case in common that was measured in both."
		}
		text := fmt.Sprintf("CANNOT TELL  %d of %d may have changed or not", c.Count(CannotTell), all)
		if n := c.Count(Faster); n > 0 {
			text += fmt.Sprintf("; %d got faster", n)
		}
		if same := c.same(); same != "" {
			text += "; " + same
		}
		return text + "."
	case Faster:
		text := fmt.Sprintf("OK  %d of %d got faster, none slower", c.Count(Faster), all)
		if same := c.same(); same != "" {
			text += "; " + same
		}
		return text + "."
	}
	return "OK  " + c.same() + "."
}

// counted is how many rows count.
func (c Comparison) counted() (n int) {
	for _, r := range c.Rows {
		if r.Main {
			n++
		}
	}
	return n
}

// compared is how many of them both columns have.
func (c Comparison) compared() (n int) {
	for _, r := range c.Rows {
		if r.Main && r.Compared() {
			n++
		}
	}
	return n
}

// same says how many rows are, and within what: those within the floor, and those
// that are only known to be within their own noise. Empty: none is.
func (c Comparison) same() string {
	var floor, own int
	noise := 0.0
	for _, r := range c.Rows {
		switch {
		case !r.Main || r.Verdict != Same:
		case r.Bound > c.Floor:
			own++
			noise = max(noise, r.Bound)
		default:
			floor++
		}
	}
	inside := fmt.Sprintf("%d are the same within %s", floor, table.Percent(c.Floor))
	outside := fmt.Sprintf("%d are the same within their own noise, up to %s", own, table.Percent(noise))
	switch {
	case own == 0 && floor == 0:
		return ""
	case own == 0:
		return inside
	case floor == 0:
		return outside
	}
	return inside + ", " + outside
}

// first is the first row that counts and has a verdict.
func (c Comparison) first(v Verdict) Row {
	for _, r := range c.Rows {
		if r.Main && r.Verdict == v {
			return r
		}
	}
	return Row{}
}

// worst is the slower row that moved most.
func (c Comparison) worst() Row {
	var worst Row
	for _, r := range c.Rows {
		if r.Main && r.Verdict == Slower && (worst.Case == "" || math.Abs(math.Log(r.Ratio.Ratio)) > math.Abs(math.Log(worst.Ratio.Ratio))) {
			worst = r
		}
	}
	return worst
}

// ofUnit names a unit that is no time.
func ofUnit(unit string) string {
	if unit == "" || strings.HasSuffix(unit, "-ns") {
		return ""
	}
	return " (" + unit + ")"
}

// Where says which phase of the start that got slower most holds the change;
// empty: nothing is known of phases.
func (c Comparison) Where() string {
	if len(c.Phases) == 0 {
		return ""
	}
	p := c.Phases[0]
	for _, q := range c.Phases { // of the start that the answer names, if it has any
		if q.Case == c.worst().Case {
			p = q
			break
		}
	}
	switch {
	case !(p.Delta() > 0) || !(p.Shift.Lo > 0):
		return "Where: no phase of the start is certainly longer."
	case !(p.Whole > 0):
		return fmt.Sprintf("Where: phase %q %s.", p.Name, increase(p.Delta()))
	case p.Delta() < p.Whole/2:
		return fmt.Sprintf("Where: several phases; the surest is %q, %s of the %s.", p.Name, increase(p.Delta()), increase(p.Whole))
	}
	return fmt.Sprintf("Where: phase %q holds the change, %s of the %s.", p.Name, increase(p.Delta()), increase(p.Whole))
}

// increase is a time that is more, within a sentence.
func increase(ns float64) string { return strings.ReplaceAll(table.Increase(ns), "+ ", "+") }

// Trust says how far the comparison can be believed.
func (c Comparison) Trust() string {
	after := c.Turns
	if after == "" {
		after = c.Machine.words()
		if c.Interleaved {
			after = "base and head took turns; " + after
		}
	}
	return "Trust: " + c.Check.words() + "; " + after + "."
}

// words are what the check found.
func (c Check) words() string {
	if c.Draws == 0 {
		return "false alarms of this comparison cannot be counted, there are too few samples that both sides have"
	}
	return fmt.Sprintf("false alarms of this comparison %d of %d (at most %s)", c.Alarms, c.Draws, table.Percent(math.Ceil(1000*c.AtMost())/1000))
}

// words are what the controls say.
func (m Machine) words() string {
	var parts []string
	for _, k := range m.Controls {
		if !math.IsNaN(k.Ratio.Ratio) {
			parts = append(parts, k.words()+" "+signed(k.Ratio.Ratio))
		}
	}
	figures := ""
	if len(parts) > 0 {
		figures = " (" + strings.Join(parts, ", ") + ")"
	}
	switch {
	case len(m.Differs) > 0:
		return "not the same machine" + figures
	case m.Hosts:
		return "two machines, each measured by itself" + figures
	case m.moved() != "":
		return "the machine changed" + figures
	case m.Apart != "":
		return "the controls did not move" + figures
	case len(parts) == 0:
		return "the files have no controls, so the machine may have changed"
	}
	return "machine unchanged" + figures
}

// advice is what to do about a veto.
func (m Machine) advice() string {
	if len(m.Differs) > 0 {
		return ": run both on one machine (isoperf ab), or compare by the key that differs (--col KEY)"
	}
	return ": run both in one job: isoperf ab --base … --head …"
}

func signed(ratio float64) string { return fmt.Sprintf("%+.1f %%", 100*(ratio-1)) }

func number(p float64) string {
	switch {
	case math.IsNaN(p):
		return "-"
	case p < 0.0005:
		return "0.000"
	}
	return fmt.Sprintf("%.3f", p)
}

func change(r Row) string {
	if math.IsNaN(r.Ratio.Ratio) || r.Verdict == New || r.Verdict == Gone {
		return "-"
	}
	return signed(r.Ratio.Ratio)
}

func interval(r Row) string {
	if r.Verdict == New || r.Verdict == Gone || math.IsNaN(r.Ratio.Lo) || math.IsInf(r.Ratio.Hi, 0) {
		return "-"
	}
	return fmt.Sprintf("%+.1f .. %+.1f", 100*(r.Ratio.Lo-1), 100*(r.Ratio.Hi-1))
}

// Figure writes a value in its unit.
func Figure(v float64, unit string) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case strings.HasSuffix(unit, "-ns"):
		return table.Duration(v)
	case strings.HasSuffix(unit, "-B/s"):
		return table.Bytes(v) + "/s"
	case strings.HasSuffix(unit, "-B"):
		return table.Bytes(v)
	case strings.HasSuffix(unit, "-ratio"):
		return table.Percent(v)
	}
	return fmt.Sprintf("%.4g", v)
}
