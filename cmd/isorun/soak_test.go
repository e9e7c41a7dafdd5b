package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// soak is many containers at once, in lives of every kind, whose isorun is killed
// at any moment.
//
//	create ─► state ─► start ─► state ─► kill ─► delete       each may be killed, left out, or done by two
//	                                              └► delete --force, until it is gone ─► nothing is left of it
type soak struct {
	*lives
	seed   uint64
	killed [5]int // commands that were killed, by their place in commands
	mu     sync.Mutex
}

// TestSoak: ISOPERF_SOAK is the number of containers, 40 without; ISOPERF_SEED
// repeats a run, as far as the kernel's scheduling lets it.
func TestSoak(t *testing.T) {
	n, seed := 40, uint64(time.Now().UnixNano())
	for name, set := range map[string]func(v int){"ISOPERF_SOAK": func(v int) { n = v }, "ISOPERF_SEED": func(v int) { seed = uint64(v) }} {
		if text := os.Getenv(name); text != "" {
			v, err := strconv.Atoi(text)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			set(v)
		}
	}
	s := &soak{lives: newLives(t), seed: seed}
	token := "soak" + strconv.FormatUint(seed, 36)
	s.script("while :; do /busybox sleep 0.02; done; : " + token)
	mounts := hostMounts(t, s.dir)
	var workers sync.WaitGroup
	const atOnce = 3
	for w := range atOnce {
		workers.Go(func() {
			for i := w; i < n && !t.Failed(); i += atOnce {
				s.life(i)
			}
		})
	}
	workers.Wait()
	t.Logf("%d containers, ISOPERF_SEED=%d; killed: create %d, start %d, state %d, kill %d, delete %d", n, seed, s.killed[0], s.killed[1], s.killed[2], s.killed[3], s.killed[4])
	if left := processesWith(t, token); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if now := hostMounts(t, s.dir); now != mounts {
		t.Errorf("there are %d mounts, there were %d", now, mounts)
	}
}

// processesWith are the processes that have a text in their arguments, waited for
// while they end.
func processesWith(t *testing.T, token string) (list []string) {
	t.Helper()
	for range 100 {
		list = nil
		files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), token) {
				list = append(list, filepath.Dir(file))
			}
		}
		if list == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return list
}

// command runs a command, which is killed after a while when kill says so. The
// text is its standard output, with what it says of an error.
func (s *soak) command(r *rand.Rand, kill bool, args ...string) (text string, err error) {
	cmd := exec.Command(s.isorun, append([]string{"--root", s.root}, args...)...)
	var out, bad strings.Builder
	if args[0] != "create" { // whose container would keep the pipes
		cmd.Stdout, cmd.Stderr = &out, &bad
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	if kill {
		time.Sleep(time.Duration(r.IntN(12_000)) * time.Microsecond)
		_ = cmd.Process.Kill() // it may have ended
		for i, name := range []string{"create", "start", "state", "kill", "delete"} {
			if name == args[0] {
				s.mu.Lock()
				s.killed[i]++
				s.mu.Unlock()
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, bad.String())
	}
	return out.String(), nil
}

// readable says whether the state is one, or that there is none.
func (s *soak) readable(r *rand.Rand, id string) {
	text, err := s.command(r, false, "state", id)
	var st ociState
	switch {
	case err == nil:
		if err := json.Unmarshal([]byte(text), &st); err != nil || st.ID != id || st.Status == "" {
			s.t.Errorf("the state of %s is %q: %v", id, text, err)
		}
	case strings.Contains(err.Error(), "does not exist"), strings.Contains(err.Error(), "state.json"): // before it was written
	default:
		s.t.Errorf("the state of %s cannot be read: %v", id, err)
	}
}

// life is the life of one container.
func (s *soak) life(i int) {
	r := rand.New(rand.NewPCG(s.seed, uint64(i)))
	id := fmt.Sprintf("life-%d", i)
	chance := func(percent int) bool { return r.IntN(100) < percent }
	// What these say is of no interest: each may come too late, or be killed.
	_, _ = s.command(r, chance(30), "create", "-b", s.dir, id)
	s.readable(r, id)
	if chance(80) {
		_, _ = s.command(r, chance(25), "start", id)
		s.readable(r, id)
	}
	if chance(10) {
		_, _ = s.command(r, true, "state", id)
	}
	if chance(60) {
		_, _ = s.command(r, chance(25), "kill", id, []string{"KILL", "TERM", "0"}[r.IntN(3)])
	}
	if chance(50) {
		other := make(chan struct{})
		if chance(20) { // two at once
			r2 := rand.New(rand.NewPCG(s.seed+1, uint64(i)))
			go func() { _, _ = s.command(r2, false, "delete", id); close(other) }()
		} else {
			close(other)
		}
		_, _ = s.command(r, chance(30), "delete", id)
		<-other
		s.readable(r, id)
	}
	if chance(20) {
		_, _ = s.command(r, true, "delete", "--force", id)
	}
	if _, err := s.command(r, false, "delete", "--force", id); err != nil {
		s.t.Errorf("%s cannot be removed: %v", id, err)
	}
	if _, err := os.Lstat(s.root + "/" + id); !os.IsNotExist(err) {
		s.t.Errorf("the directory of %s is left: %v", id, err)
	}
}
