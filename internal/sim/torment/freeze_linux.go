package torment

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Freeze stops the server where it is and returns when no thread of it runs
// any more; one that is inside a call to the kernel never returns from it.
func (s *Subject) Freeze() error {
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("torment: freeze the server: %w", err)
	}
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for range 5000 {
		still, err := frozen(s.cmd.Process.Pid)
		if err != nil || still {
			return err
		}
		<-poll.C
	}
	return fmt.Errorf("torment: the server does not stand still")
}

// frozen reports whether every thread is stopped, or held by the kernel.
func frozen(pid int) (bool, error) {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		return false, fmt.Errorf("torment: no threads of %d to look at: %w", pid, err)
	}
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			return false, fmt.Errorf("torment: %w", err)
		}
		// The state follows the name, which is in brackets and may have any.
		if i := bytes.LastIndex(b, []byte(") ")); i < 0 || b[i+2] != 'T' && b[i+2] != 'D' {
			return false, nil
		}
	}
	return true, nil
}
