package container

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func partExit(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	os.Exit(n)
	return nil
}

// partKill ends itself by a signal.
func partKill(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	signal.Reset()
	if err := unix.Kill(os.Getpid(), unix.Signal(n)); err != nil {
		return err
	}
	time.Sleep(time.Second)
	return fmt.Errorf("signal %d did not end the process", n)
}

// partPause waits for ever, without being idle as Go sees it.
func partPause([]string) error {
	fmt.Println("pausing")
	for {
		time.Sleep(time.Hour)
	}
}

// partSignals prints the signals that come, until SIGTERM.
func partSignals([]string) error {
	c := make(chan os.Signal, 16)
	signal.Notify(c, unix.SIGUSR1, unix.SIGHUP, unix.SIGTERM)
	fmt.Println("ready")
	for s := range c {
		fmt.Println(s)
		if s == unix.SIGTERM {
			return nil
		}
	}
	return nil
}

// partSpawn leaves a child behind that pauses, and prints its number.
func partSpawn([]string) error {
	cmd := exec.Command("/probe", "exit", "0")
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println(cmd.Process.Pid)
	return nil
}

// partOrphans makes grandchildren whose parents are gone, and counts zombies
// once those have ended.
func partOrphans(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range n {
		if out, err := exec.Command("/probe", "spawn").CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	var left []string
	for range 200 {
		if left, err = zombies(); err != nil || len(left) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Printf("pid %d, %d zombies\n", os.Getpid(), len(left))
	return err
}

func zombies() ([]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil || e.Name() == strconv.Itoa(os.Getpid()) || e.Name() == "1" {
			continue
		}
		// What is no zombie is one soon: they all end by themselves.
		all = append(all, e.Name())
	}
	return all, nil
}

// partWho prints user and effective capabilities.
func partWho([]string) error {
	caps, err := status([]string{"CapEff"})
	fmt.Println("uid", os.Getuid(), os.Geteuid(), caps)
	return err
}
