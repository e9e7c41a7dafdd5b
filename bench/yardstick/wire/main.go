// Command wire asks whether another program agrees about the wire: on every path
// of bench/network, what our own ends carry beside what iperf3 carries.
//
//	path ─► one world: ours, iperf3 │ iperf3, ours │ ours, iperf3 │ …  ──► a ratio each ──► where they lie, with an interval ──► met, missed: the next path
//	                   each: 0.2 s that do not count, 0.3 s that do                                                    └──► open: more pairs
//
// Both move 128 KiB at once, by one connection over IPv4, with the socket buffers
// and the congestion control that the kernel chooses. Both count what the
// receiver received. iperf3 is given a number of bytes, which our own ends need
// half a second for, since its times are whole seconds (a slow path gets one, and one
// that stands still). Its receiver's tenths of a second are taken without the first
// two, and without the last, which is a part of one; all but the last where nothing
// came in the others. "out" is out of the container, "in" is into it: where the client
// is the receiver, iperf3 has -R. Both are held to the same proof of the path.
//
// CPU time is the sender's, per byte. Of iperf3 it is that of the whole process,
// from its start to its end.
//
// The verdict is of the lower bound: "met" when it is at least 0.97, "missed" when
// the upper one is below that, otherwise "open". It is asked for after 16, 40 and
// 100 pairs, and a path that is decided has no more of them. An interval that is
// looked at three times errs more often than one that is looked at once; so each
// look has its own part of the 5 % that all of them may err in: 0.5, 1.5 and 3 %
// (Bonferroni: whatever the looks have in common, they err in no more than the sum).
//
// Where the data stands still by either program (a tenth of a second without a byte,
// in an eighth of the measurements of each), a ratio is one of how long it did, and
// more pairs rarely decide it: "stalls", where it is not met. Such a path is compared
// again with socket buffers of 128 KiB at both ends of both programs, where it stalls
// still with 64 and 32, and must be met so.
//
// Exit status 0: all that could be measured is met; 1: something is not, or failed;
// 2: nothing was compared. scripts/peers installs iperf3.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/network"
	"isoperf/workloads/load"
	"isoperf/workloads/traffic"
)

const (
	warm   = 200 * time.Millisecond // of each measurement; does not count
	window = 300 * time.Millisecond // counts
)

func main() {
	network.Main()
	load.Main(traffic.Kinds()...)
	pairs := flag.Int("pairs", most, "pairs of measurements of each path, direction and MTU, after which it stays open, at least 16")
	only := flag.String("paths", "", "`names` of paths with commas between, instead of all")
	mtus := flag.Bool("small", false, "MTU 1500 only")
	flag.Parse()
	if flag.NArg() > 0 || *pairs < first {
		fmt.Fprintf(os.Stderr, "wire: it takes no arguments, and at least %d pairs, after which it looks first; see -help\n", first)
		os.Exit(2)
	}
	which := []int{1500, 65520}
	if *mtus {
		which = which[:1]
	}
	cells, err := choose(network.Ways(which...), *only)
	if err == nil {
		err = compare(cells, *pairs)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "wire: %v\n", err)
		if errors.Is(err, errNotMet) {
			os.Exit(1)
		}
		os.Exit(2)
	}
}

var errNotMet = errors.New("not every path is met")

// choose leaves the paths that were asked for.
func choose(cells []network.Cell, only string) ([]network.Cell, error) {
	if only == "" {
		return cells, nil
	}
	var list []network.Cell
	for name := range strings.SplitSeq(only, ",") {
		n := len(list)
		for _, c := range cells {
			if c.Path == name {
				list = append(list, c)
			}
		}
		if len(list) == n {
			return nil, fmt.Errorf("no path is called %q; isoperf list has them", name)
		}
	}
	return list, nil
}

// compare takes the paths one after the other. Cells that differ in their
// direction share a world, and take turns.
func compare(cells []network.Cell, pairs int) error {
	if _, err := exec.LookPath("iperf3"); err != nil {
		return fmt.Errorf("%w (scripts/peers installs it)", err)
	}
	fmt.Println(heading)
	met := true
	for len(cells) > 0 {
		n := 1
		for n < len(cells) && cells[n].Path == cells[0].Path && cells[n].MTU == cells[0].MTU {
			n++
		}
		rows, err := world(cells[:n], pairs)
		var cannot harness.NotMeasured
		switch {
		case errors.As(err, &cannot):
			fmt.Printf("%-17s%5s  not measured: %s\n", cells[0].Path, bytes(cells[0].MTU), cannot.Why)
		case err != nil:
			fmt.Printf("%-17s%5s  failed: %v\n", cells[0].Path, bytes(cells[0].MTU), err)
			met = false
		}
		for _, r := range rows {
			fmt.Println(r)
			met = met && r.holds()
		}
		cells = cells[n:]
	}
	if !met {
		return errNotMet
	}
	return nil
}

// world takes the pairs of cells that share one, of each until it is decided.
func world(cells []network.Cell, pairs int) (rows []row, err error) {
	ways := make([]*way, len(cells))
	first := cells[0]
	first.Warm, first.Window = warm, window
	path, err := network.Open(first)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, path.Close()) }()
	for i, c := range cells {
		c.Warm, c.Window = warm, window
		if ways[i], err = newWay(path, c); err != nil {
			return nil, err
		}
	}
	if err := decide(ways, pairs); err != nil {
		return nil, err
	}
	for _, w := range ways {
		rows = append(rows, w.row)
		for buffer := largest; w.verdict() == isStill && buffer >= smallest; buffer /= 2 {
			c := w.cell
			c.Buffer = buffer
			if w, err = newWay(path, c); err == nil {
				err = decide([]*way{w}, pairs)
			}
			if err != nil {
				return rows, err
			}
			rows = append(rows, w.row)
		}
	}
	return rows, nil
}

// decide takes the pairs of ways in turns, of each until it is decided.
func decide(ways []*way, pairs int) error {
	for n := range pairs {
		for _, w := range ways {
			if w.verdict() != isOpen {
				continue
			}
			if err := w.taken(n%2 == 0); err != nil {
				return fmt.Errorf("measure %q: %w", w.cell.Name(), err)
			}
		}
	}
	return nil
}

// way is one cell, while its pairs are taken.
type way struct {
	path    *network.Single
	cell    network.Cell
	outward bool    // the client sends
	fastest float64 // bytes per second that ours has moved: what iperf3 is given to move
	second  bool    // iperf3 has failed at it once, or was done too early, as where a path stands still: it is given a second instead
	row
}

// newWay has a first look at what the path carries, which does not count.
func newWay(path *network.Single, c network.Cell) (*way, error) {
	w := &way{path: path, cell: c, row: row{cell: c}}
	ours, err := w.ours()
	for n := 1; err != nil && n < tries; n++ {
		ours, err = w.ours()
	}
	if err != nil {
		return nil, fmt.Errorf("measure %q: %w", c.Name(), err)
	}
	outward, err := c.Outward()
	if err != nil {
		return nil, err
	}
	w.outward = outward
	w.fastest = ours.goodput
	return w, nil
}

// tries is how often a pair is tried: what others do on the machine's loopback may
// keep one from being proved.
const tries = 3

// taken takes a pair, again when it fails, and counts that.
func (w *way) taken(oursFirst bool) (err error) {
	for range tries {
		if err = w.pair(oursFirst); err == nil {
			return nil
		}
		var cannot harness.NotMeasured
		if errors.As(err, &cannot) {
			return err
		}
		w.failed++
	}
	return err
}

// pair takes one measurement of each.
func (w *way) pair(oursFirst bool) error {
	var figures [2]figure
	for turn := range 2 {
		ours := (turn == 0) == oursFirst
		measure, at := w.theirs, 1
		if ours {
			measure, at = w.ours, 0
		}
		var err error
		if figures[at], err = measure(); err != nil {
			return err
		}
	}
	w.our, w.their = append(w.our, figures[0]), append(w.their, figures[1])
	return nil
}

// ours is a sample as bench/network takes it.
func (w *way) ours() (f figure, err error) {
	values, err := w.path.Ours(w.cell)
	for _, v := range values {
		switch v.Unit {
		case "goodput-B/s":
			f.goodput = v.Value
			w.fastest = max(w.fastest, v.Value)
		case "sender-ns/B":
			f.sender = v.Value
		case "retransmits-count":
			f.retransmits = v.Value
		case "still-ns":
			f.still = time.Duration(v.Value)
		}
	}
	return f, err
}

// theirs is a run of iperf3 on the same path.
func (w *way) theirs() (figure, error) {
	bytes := int64(w.fastest * (warm + window).Seconds())
	if w.second {
		bytes = 0
	}
	f, err := w.path.Foreign(w.cell, commands(bytes, w.cell.Buffer, w.outward))
	if err != nil {
		w.second = true
		return figure{}, err
	}
	said, err := read(f.Client, f.Server, w.outward)
	if err != nil {
		w.second = true
		return figure{}, err
	}
	if err := w.cell.Prove(f, said.bytes, said.again); err != nil {
		return figure{}, err
	}
	spent := f.ServerCPU
	if w.outward {
		spent = f.ClientCPU
	}
	return figure{goodput: said.goodput, sender: float64(spent) / said.bytes, retransmits: said.retransmits, still: said.still}, nil
}
