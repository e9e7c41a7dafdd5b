package idmap

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// BenchmarkWrite is how long it takes to write the maps of a child that waits:
// by the ways that Write has, and by those that it does not take. The time is
// that of the writing alone ("ns/write"), without the child's.
func BenchmarkWrite(b *testing.B) {
	own := Own(os.Geteuid(), os.Getegid())
	b.Run("own", func(b *testing.B) { writes(b, own.Write) })
	b.Run("own/os.WriteFile", func(b *testing.B) {
		writes(b, func(pid int) error {
			for i, side := range own.sides() {
				dir := "/proc/" + strconv.Itoa(pid) + "/"
				if i == 1 {
					if err := os.WriteFile(dir+"setgroups", []byte("deny"), 0); err != nil {
						return err
					}
				}
				if err := os.WriteFile(dir+side.file, text(side.list), 0); err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.Run("ranges", func(b *testing.B) { writes(b, ranged(b).Write) })
	b.Run("ranges/one after the other", func(b *testing.B) {
		m := ranged(b)
		writes(b, func(pid int) error {
			for i := range m.sides() {
				writers, err := m.startWriters(pid, [2]bool{i == 1, i == 0}, findProgram)
				for _, w := range writers {
					if werr := w.wait(); err == nil {
						err = werr
					}
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.Run("ranges/os.exec", func(b *testing.B) {
		m := ranged(b)
		writes(b, func(pid int) error {
			var both [2]*exec.Cmd
			for i, side := range m.sides() {
				both[i] = exec.Command(side.program, strconv.Itoa(pid))
				for _, r := range side.list {
					both[i].Args = append(both[i].Args, fmt.Sprint(r.ContainerID), fmt.Sprint(r.HostID), fmt.Sprint(r.Size))
				}
				both[i].Env = []string{"LC_ALL=C"}
				if err := both[i].Start(); err != nil {
					return err
				}
			}
			for _, cmd := range both {
				if err := cmd.Wait(); err != nil {
					return err
				}
			}
			return nil
		})
	})
	// A program that does nothing: what of newuidmap's time is its start.
	b.Run("two of true", func(b *testing.B) {
		path, err := exec.LookPath("true")
		require(b, err == nil, "there is no true")
		writes(b, func(int) error {
			var both [2]*command
			for i := range both {
				if both[i], err = execute(path); err != nil {
					return err
				}
			}
			for _, c := range both {
				if _, _, err := c.wait(); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func writes(b *testing.B, write func(pid int) error) {
	var sum time.Duration
	p := program.New(program.Stub, 0)
	p.Add(program.Unshare(unix.CLONE_NEWUSER))
	here, gate := p.Tell("unshared"), p.Wait("maps")
	for b.Loop() {
		proc, err := program.Start(p)
		if err != nil {
			b.Fatal(err)
		}
		if err := proc.Await(here); err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		err = write(proc.Pid())
		sum += time.Since(begin)
		proc.Open(gate)
		if _, werr := proc.Wait(); err == nil {
			err = werr
		}
		proc.Release()
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(sum.Nanoseconds())/float64(b.N), "ns/write")
}

// BenchmarkStart is a child that is root in its own user namespace, from start
// to end, whose maps the launcher writes or the child itself.
func BenchmarkStart(b *testing.B) {
	own := Own(os.Geteuid(), os.Getegid())
	b.Run("written by the launcher", func(b *testing.B) { writes(b, own.Write) })
	b.Run("written by the child", func(b *testing.B) {
		p := program.New(program.Stub, 0)
		p.Add(program.Unshare(unix.CLONE_NEWUSER))
		if err := own.Ops(p); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			proc, err := program.Start(p)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := proc.Wait(); err != nil {
				b.Fatal(err)
			}
			proc.Release()
		}
	})
}
