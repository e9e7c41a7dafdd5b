package load

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A load's own bytes, requests and events say the same.
func TestIO(t *testing.T) {
	const block, size = 64 << 10, 1 << 20
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		if os.Getenv("ISOPERF_MUST_RUN") == "1" {
			t.Fatalf("must run, but the temporary directory takes no direct I/O: %v", err)
		}
		t.Skipf("the temporary directory takes no direct I/O: %v", err)
	}
	unix.Close(fd)
	for _, way := range []string{"read", "write"} {
		t.Run(way, func(t *testing.T) {
			b, _ := started(t, Spec{Kind: "io", Threads: 2, Path: path, Bytes: size, Step: block, Extra: way})
			b.Go()
			for n := 0; b.Noted.Load() < 4 && n < 2000; n++ {
				time.Sleep(5 * time.Millisecond)
			}
			b.Stop()
			var noted, counted, requests int64
			for n := 0; n < 2000 && (noted == 0 || noted != counted); n++ {
				time.Sleep(5 * time.Millisecond) // until the last word is written
				noted, counted, requests = 0, 0, 0
				for _, e := range b.Since(0) {
					if e.Kind != Step || e.To <= e.From {
						t.Errorf("%+v", e)
					}
					noted += e.Value
				}
				for i := range 2 {
					counted += b.Slots[i].Count.Load()
					requests += int64(b.Slots[i].Loops.Load())
				}
			}
			if counted == 0 || noted != counted || requests*block != counted {
				t.Errorf("events have %d bytes, threads counted %d in %d requests", noted, counted, requests)
			}
		})
	}
}

// What makes no sense is refused before it is done.
func TestIORefused(t *testing.T) {
	for _, s := range []Spec{
		{Extra: "read", Bytes: 4096, Step: 100},
		{Extra: "read", Bytes: 512, Step: 4096},
		{Extra: "erase", Bytes: 4096, Step: 4096},
		{Extra: "read", Bytes: 4096, Step: 4096, Path: "/nowhere"},
	} {
		if err := direct(s, nil); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}
