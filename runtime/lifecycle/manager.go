package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"isoperf/runtime/notify"
	"isoperf/runtime/spec"
	"isoperf/runtime/state"
)

// serve tells the command what a service manager has for it.
func (r *Runtime) serve(sc *spec.Container, listen int) error {
	if listen > 0 && sc.Process != nil {
		sc.Process.Env = append(sc.Process.Env, "LISTEN_FDS="+strconv.Itoa(listen), "LISTEN_PID=1")
	}
	if r.Notify == "" {
		return nil
	}
	root, err := filepath.Abs(string(r.Root))
	if err != nil {
		return fmt.Errorf("find the state directory: %w", err)
	}
	notify.Show(sc.Spec, filepath.Join(root, sc.ID, state.NotifyDir))
	return nil
}

// manager is a service manager that waits for the container to be ready.
type manager struct {
	container *Container
	host      string
	socket    *notify.Socket // nil: nobody waits
	pidfd     int
}

// manager prepares to tell the manager at the host's address, where the container
// was created to say something.
func (c *Container) manager(host string) (m *manager, err error) {
	m = &manager{container: c, host: host, pidfd: -1}
	if host == "" {
		return m, nil
	}
	m.socket, err = notify.Bind(c.entry.Path(state.NotifyDir))
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		m.pidfd, err = c.openProcess()
	}
	if err != nil {
		m.close()
		return nil, fmt.Errorf("start container %q: %w", c.ID, err)
	}
	return m, nil
}

// relay waits for the container's word, and gives up its lock meanwhile: others
// may have something to do.
func (m *manager) relay() error {
	if m.socket == nil {
		return nil
	}
	m.container.entry.Unlock()
	return m.socket.Relay(m.host, m.pidfd, m.container.Pid)
}

func (m *manager) close() {
	if m.socket != nil {
		m.socket.Close()
	}
	if m.pidfd >= 0 {
		unix.Close(m.pidfd)
	}
}
