package specimen

import (
	"fmt"
	"math"
)

// mounts are the mount and pivot families and their sweeps.
func (m *maker) mounts() {
	for _, op := range []struct {
		name string
		us   float64
	}{
		{"none", 0.09}, {"make-rprivate", 3}, {"bind/propagation=private", 6.4}, {"bind/propagation=shared", 8.6}, {"rbind", 14},
		{"ro-remount", 7.8}, {"ro-setattr", 7.2}, {"tmpfs", 16}, {"proc", 18}, {"sysfs", 17}, {"devpts", 17}, {"mqueue", 9.5},
		{"overlay/lower=1", 59}, {"overlay/lower=4", 68}, {"overlay/lower=8", 83}, {"overlay/lower=20", 129},
		{"move", 4.8}, {"fsmount-tmpfs", 20}, {"umount", 64}, {"umount-lazy", 51},
	} {
		for i, pacing := range []string{"burst", "paced"} {
			name := fmt.Sprintf("Mount/op=%s/pacing=%s", op.name, pacing)
			slower := []float64{1, 2.3}[i]
			if op.name == "ro-remount" {
				m.put(name, "bind-ns", 0.8*op.us*slower*us, 0.08)
				m.put(name, "remount-ns", 0.2*op.us*slower*us, 0.08)
			}
			m.put(name, "op-ns", op.us*slower*us, 0.08)
		}
	}
	for i, pacing := range []string{"burst", "paced"} {
		slower := []float64{1, 1.9}[i] * us
		m.put("Pivot/method=pivot_root/pacing="+pacing, "pivot-ns", 15*slower, 0.08)
		m.put("Pivot/method=pivot_root/pacing="+pacing, "detach-ns", 54*slower, 0.2)
		m.put("Pivot/method=pivot_root/pacing="+pacing, "op-ns", 71*slower, 0.15)
		m.put("Pivot/method=move/pacing="+pacing, "move-ns", 3.9*slower, 0.08)
		m.put("Pivot/method=move/pacing="+pacing, "chroot-ns", 1.2*slower, 0.08)
		m.put("Pivot/method=move/pacing="+pacing, "op-ns", 5.7*slower, 0.08)
		m.put("Pivot/method=chroot/pacing="+pacing, "chroot-ns", 1.4*slower, 0.08)
		m.put("Pivot/method=chroot/pacing="+pacing, "op-ns", 2*slower, 0.08)
	}
	for _, n := range []float64{10, 50, 200, 1000, 2000} {
		for _, op := range []struct {
			name      string
			base, per float64
		}{{"bind", 9, 0.1}, {"tmpfs", 22, 0}, {"umount", 78, 0}, {"make-rprivate", 3, 0.09}, {"pivot_root", 84, 0.6}} {
			m.put(fmt.Sprintf("SweepMountTable/op=%s/mounts=%.0f", op.name, n), "op-ns", (op.base+op.per*n)*us, 0.1)
		}
	}
	for _, n := range []float64{0, 10, 100, 500} {
		m.put(fmt.Sprintf("SweepMountns/live=%.0f/op=clone-mnt", n), "op-ns", (54+0.02*n)*us, 0.05)
		m.put(fmt.Sprintf("SweepMountns/live=%.0f/op=bind", n), "op-ns", (9+0.003*n)*us, 0.05)
	}
	for _, n := range []float64{0, 1, 3, 10, 30, 100} {
		for _, propagation := range []string{"private", "shared"} {
			per := map[string]float64{"private": 0, "shared": 1.1}[propagation]
			name := fmt.Sprintf("SweepPeers/propagation=%s/peers=%.0f", propagation, n)
			m.put(name, "umount-ns", (74+0.4*per*n)*us, 0.1)
			m.put(name, "op-ns", (9+per*n)*us, 0.1)
		}
	}
	for _, n := range []float64{1, 2, 3, 4} {
		for i, op := range []string{"tmpfs", "bind"} {
			one := []float64{11, 4.3}[i]
			name := fmt.Sprintf("SweepMounters/op=%s/n=%.0f", op, n)
			m.putRuns(name, "wall-ns", 3*one/math.Min(n, 2)*us, 0.05)
			m.put(name, "op-ns", one*math.Sqrt(n)*us, 0.1)
		}
	}
}

// attach is the family of control groups: a write waits from pauses of 50 ms
// on.
func (m *maker) attach() {
	for i, gap := range []string{"0", "1ms", "5ms", "20ms", "50ms", "200ms", "500ms"} {
		warm := []float64{1, 1.4, 1.8, 2.5, 3, 3.1, 3.2}[i]
		put := func(op, hierarchy string, base float64, waits bool) {
			t := base * warm
			if waits && i >= 4 {
				t = 8500
			}
			m.put(fmt.Sprintf("Attach/op=%s/hierarchy=%s/gap=%s", op, hierarchy, gap), "op-ns", t*us, 0.15)
		}
		put("clone", "none", 25, false)
		put("write", "v2", 17, true)
		put("born", "v2", 30, false)
		put("write", "pids", 4, true)
		put("write-tasks", "pids", 3.8, true)
		put("write-self", "pids", 3, false)
		put("born", "pids", 52, false)
		if gap == "0" || gap == "200ms" {
			put("write", "cpu", 5, true)
			put("born", "cpu", 55, false)
		}
	}
}
