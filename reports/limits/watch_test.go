package limits

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// level is a sample of a limit that was watched.
func level(rank int, quota, group string, of, throttled, held, failure, budget float64) string {
	name := fmt.Sprintf("Watch/limit=cpu.max/rank=%d/quota=%s/period=100ms", rank, quota)
	var share float64
	if _, err := fmt.Sscanf(quota, "%f%%", &share); err != nil {
		panic(err)
	}
	share /= 100
	values := fmt.Sprintf("%g entitled-ratio 60000000000 wall-ns %g quota-ns %g of-limit-ratio 600 period-count %g throttled-count %g held-count 0 steal-ratio", share, share*1e8, of, throttled, held)
	if throttled > 0 {
		values += " 87000000 stall-ns 50000000 spent-ns"
	}
	if held > 0 {
		values += fmt.Sprintf(" %g error-ratio %g budget-ratio", failure, budget)
	}
	return fmt.Sprintf("Benchmark%s 1 %s %g achieved-ratio\n# checked {\"case\":%q,\"sample\":0,\"limit\":\"cpu.max\",\"asked\":\"\",\"facts\":{\"name\":\"web-7f9c\",\"group\":%q,\"cpus\":\"8\"}}\n", name, values, of*share, name, group)
}

func TestWriteWatch(t *testing.T) {
	const end = "# end {\"why\":\"done\",\"steal_ratio\":0}\n"
	for name, text := range map[string]string{
		"watch": level(0, "200%", "/kubepods/burstable/pod9a/c1", 0.62, 186, 180, 0.004, 0.011) + level(1, "400%", "/kubepods/burstable/pod9a", 0.33, 0, 0, 0, 0) +
			"BenchmarkWatchState/limit=memory.max 1 67108864 max-B 33554432 peak-B 0 events-count 20971520 current-B\n" +
			"BenchmarkWatchState/limit=pids.max 1 100 max-count 7 current-count\n" + end,
		"watch-load": strings.Replace(level(0, "20%", "/user.slice/user-1000.slice/session-1.scope", 0.99, 590, 580, 0.03, 0.05), " 0 steal-ratio", " 3 thread-count 0.81 wait-ratio 0.9 worst-wait-ratio 1.58 stopped-ratio 0 steal-ratio", 1) + end,
		"watch-idle": level(0, "20%", "/a", 0.1, 0, 0, 0, 0) + `# not-measured {"case":"Watch/limit=cpu.max/rank=hidden","why":"ancestors are hidden: this is a container"}` + "\n" + end,
		"watch-leak": strings.Replace(level(0, "20%", "/a", 1.5, 0, 0, 0, 0), `"cpus":"8"`, `"cpus":"8","threads":"the processes of others are hidden"`, 1) + level(1, "1000%", "/", 0.03, 0, 0, 0, 0) + "# end {\"why\":\"the group has vanished\"}\n",
		"watch-none": `# not-measured {"case":"Watch/limit=cpu.max/rank=none","why":"no group on the way up to the root has a CPU limit"}` + "\n" + `# checked {"case":"Watch","facts":{"name":"sleep (4711)"}}` + "\n" + end,
		"watch-emulated": strings.Replace(level(0, "20%", "/a", 0.9, 300, 300, -0.2, 0.05), `"cpus":"8"`, `"cpus":"8","emulated":"yes"`, 1) +
			strings.Replace(level(1, "30%", "/", 0.9, 300, 300, -0.2, 0.05), " 0 steal-ratio", " 0.03 steal-ratio", 1) +
			strings.Replace(level(2, "50%", "/b", 0.4, 2, 2, 0.2, 0.05), `"cpus":"8"`, `"cpus":"8","emulated":"yes"`, 1) + end,
		"watch-broken": level(0, "20%", "/a", 0.9, 300, 300, 0.2, 0.05) + level(1, "30%", "/", 0.9, 300, 300, -0.2, 0.05) + level(2, "40%", "/c", 0.9, 1, 0, 0, 0) + level(3, "50%", "/d", 0.9, 2, 2, -0.2, 0.5) + end,
	} {
		f := read(t, text)
		var b bytes.Buffer
		if err := WriteWatch(&b, f, Judge(f, Options{}), Printing{}); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", b.String())
		for _, l := range strings.Split(b.String(), "\n") {
			if len(l) > 80 {
				t.Errorf("%s: a line of %d columns: %s", name, len(l), l)
			}
		}
	}
}

func TestTail(t *testing.T) {
	for group, want := range map[string]string{
		"/": "/", "/a/b": "/a/b",
		"/kubepods.slice/kubepods-burstable.slice/pod9a/c1": "../pod9a/c1",
		"/a/" + strings.Repeat("x", 40):                     "../.." + strings.Repeat("x", 21),
	} {
		if got := tail(group); got != want || len(got) > 26 {
			t.Errorf("%q: %q, want %q", group, got, want)
		}
	}
}
