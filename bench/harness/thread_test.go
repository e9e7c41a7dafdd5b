package harness

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The first goroutine keeps the first thread when an init function locks it.
func init() { runtime.LockOSThread() }

// TestMain keeps the process's first thread for TestNewThread, which offers it.
func TestMain(m *testing.M) {
	done := make(chan int)
	go func() { done <- m.Run() }()
	for {
		select {
		case code := <-done:
			os.Exit(code)
		case free := <-firstThread:
			runtime.UnlockOSThread()
			close(free)
			runtime.Gosched()
		}
	}
}

// firstThread asks the first goroutine to let its thread go.
var firstThread = make(chan chan struct{})

// Whatever threads there are, a new one is not the first, and it ends.
func TestNewThread(t *testing.T) {
	free := make(chan struct{})
	firstThread <- free
	<-free
	for range 200 {
		l := NewThread()
		thread := 0
		l.Do(func() { thread = unix.Gettid() })
		if thread == unix.Getpid() {
			t.Fatal("it is the process's first thread")
		}
		l.Close()
	}
}
