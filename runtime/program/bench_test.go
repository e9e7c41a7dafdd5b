package program

import "testing"

// null is the shortest program.
func null(mode Mode) *Program {
	p := New(mode, 0)
	p.Add(Exit(0))
	return p
}

func benchEachMode(b *testing.B, f func(b *testing.B, mode Mode)) {
	for _, mode := range modes {
		b.Run(mode.String(), func(b *testing.B) {
			b.ReportAllocs()
			f(b, mode)
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	benchEachMode(b, func(b *testing.B, mode Mode) {
		p := container()
		p.Mode = mode
		for b.Loop() {
			img, err := Load(p)
			if err != nil {
				b.Fatal(err)
			}
			img.Close()
		}
	})
}

func BenchmarkStart(b *testing.B) {
	benchEachMode(b, func(b *testing.B, mode Mode) {
		p := null(mode)
		for b.Loop() {
			proc, err := Start(p)
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

func BenchmarkCycle(b *testing.B) {
	benchEachMode(b, func(b *testing.B, mode Mode) {
		img := load(b, null(mode))
		var child, reap float64
		for b.Loop() {
			times, err := img.Cycle()
			if err != nil {
				b.Fatal(err)
			}
			child += float64(times.First)
			reap += float64(times.Reaped)
		}
		b.ReportMetric(child/float64(b.N), "child-ns/op")
		b.ReportMetric(reap/float64(b.N), "reap-ns/op")
	})
}

func BenchmarkExec(b *testing.B) {
	requireFile(b, "/bin/true")
	benchEachMode(b, func(b *testing.B, mode Mode) {
		p := New(mode, 0)
		p.DieWithParent()
		p.Exec("/bin/true", []string{"true"}, nil)
		l := NewLauncher()
		defer l.Close()
		img := load(b, p)
		l.Do(func() {
			for b.Loop() {
				proc, err := img.Start()
				if err != nil {
					b.Error(err)
					return
				}
				if _, err := proc.Wait(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
