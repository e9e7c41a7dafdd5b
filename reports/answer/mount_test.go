package answer

import (
	"fmt"
	"strings"
	"testing"

	"isoperf/bench/sample"
)

func (m *made) mounting() {
	for i, op := range []string{"none", "make-rprivate", "bind/propagation=private", "bind/propagation=shared", "tmpfs", "overlay/lower=1", "overlay/lower=20", "umount"} {
		ns := []float64{90, 2900, 6400, 8600, 16e3, 59e3, 129e3, 64e3}[i]
		m.add("Mount/op="+op+"/pacing=burst", 40, []string{"op-ns"}, ns)
		if !strings.Contains(op, "20") {
			m.add("Mount/op="+op+"/pacing=paced", 20, []string{"op-ns"}, 2.5*ns)
		}
	}
	for i, pacing := range []string{"burst", "paced"} {
		x := []float64{1, 2}[i]
		m.add("Pivot/method=pivot_root/pacing="+pacing, 40, []string{"pivot-ns", "detach-ns", "op-ns"}, 15e3*x, 54e3*x, 71e3*x)
		m.add("Pivot/method=move/pacing="+pacing, 40, []string{"move-ns", "chroot-ns", "op-ns"}, 3900*x, 1200*x, 5700*x)
		m.add("Pivot/method=chroot/pacing="+pacing, 40, []string{"chroot-ns", "op-ns"}, 1400*x, 2000*x)
	}
	for _, n := range []float64{2000, 10, 100, 500} {
		m.add(fmt.Sprintf("SweepMountTable/op=bind/mounts=%.0f", n), 40, []string{"op-ns"}, 9e3)
		m.add(fmt.Sprintf("SweepMountTable/op=pivot_root/mounts=%.0f", n), 40, []string{"pivot-ns", "detach-ns", "op-ns"}, 15e3, 54e3+600*n, 71e3+600*n)
		m.add(fmt.Sprintf("SweepPeers/propagation=shared/peers=%.0f", n), 40, []string{"umount-ns", "op-ns"}, 73e3, 8e3+1100*n)
	}
}

func (m *made) attaching() {
	for i, gap := range []string{"500ms", "0", "10ms", "50ms"} {
		lone := []float64{9e6, 17e3, 30e3, 8e6}[i]
		m.add("Attach/op=clone/hierarchy=none/gap="+gap, 20, []string{"op-ns"}, 25e3)
		m.add("Attach/op=write/hierarchy=v2/gap="+gap, 20, []string{"op-ns"}, lone)
		m.add("Attach/op=born/hierarchy=v2/gap="+gap, 20, []string{"op-ns"}, 30e3)
		if gap == "0" || gap == "500ms" {
			m.add("Attach/op=write/hierarchy=cpu/gap="+gap, 20, []string{"op-ns"}, lone)
			m.add("Attach/op=born/hierarchy=cpu/gap="+gap, 20, []string{"find-home-ns", "enter-ns", "clone-ns", "leave-ns", "op-ns"}, 36e3, 11e3, 24e3, 4e3, 75e3)
		}
	}
}

func TestMounts(t *testing.T) {
	m := newMade()
	m.control()
	m.mounting()
	m.attaching()
	m.file.NotMeasured = []sample.Note{{Case: "Mount/op=sysfs-host-net/pacing=burst", Why: "mount sysfs: operation not permitted"}}
	golden(t, "mount", printed(t, m.file, Options{}))
}

// Part of the families: what is there is said, and nothing else.
func TestSomeMounts(t *testing.T) {
	for name, test := range map[string]struct {
		add  func(*made)
		want []string
		not  []string
	}{
		"one operation": {
			func(m *made) { m.add("Mount/op=tmpfs/pacing=paced", 20, []string{"op-ns"}, 40e3) },
			[]string{"tmpfs            -            -         40 us"}, []string{"dearest", "Pivot"},
		},
		"failed": {
			func(m *made) { m.failed("Pivot/method=pivot_root/pacing=burst", "op 3, /src is still there", 4) },
			[]string{"Failed: Pivot/method=pivot_root/pacing=burst, 4 of 4"}, []string{"another root"},
		},
		"no burst to compare": {
			func(m *made) { m.add("Attach/op=write/hierarchy=v2/gap=50ms", 20, []string{"op-ns"}, 8e6) },
			[]string{"write 50ms"}, []string{"lone against burst"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMade()
			test.add(m)
			got := printed(t, m.file, Options{})
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in\n%s", want, got)
				}
			}
			for _, not := range test.not {
				if strings.Contains(got, not) {
					t.Errorf("%q is in\n%s", not, got)
				}
			}
		})
	}
}
