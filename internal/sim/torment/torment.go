// Package torment does to a real server, in a process of its own, what the
// worlds of package sim do to one in memory: it kills it, cuts its power, and
// fills its disk, while simulated devices talk over loopback.
package torment

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/parley-im/parley/internal/sim"
)

// Subject is a server that is started again and again on the same data, each
// time at another address.
type Subject struct {
	args []string // the program and its arguments

	address atomic.Pointer[string] // of the latest start

	// owned by whoever starts and stops: one at a time
	cmd    *exec.Cmd
	drain  sync.WaitGroup // reads the output to its end
	stderr *tail
}

// NewSubject returns a server that does not run yet. args are the program and
// its arguments; it must print the line that parley serve prints.
func NewSubject(args ...string) *Subject { return &Subject{args: args} }

// announcement is how a server says where it listens.
const announcement = "Parley is listening on http://"

// Start starts the server and returns how long it took until it answered a
// request.
func (s *Subject) Start(ctx context.Context) (ready time.Duration, err error) {
	begun := time.Now()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.stderr = &tail{}
	s.cmd.Stderr = s.stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("torment: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return 0, fmt.Errorf("torment: start the server: %w", err)
	}
	found := make(chan string, 1)
	s.drain.Go(func() { announced(out, found) })
	select {
	case address := <-found:
		if address == "" {
			return 0, fmt.Errorf("torment: the server ended at its start: %w: %s", s.wait(), s.stderr)
		}
		s.address.Store(&address)
	case <-ctx.Done():
		return 0, errors.Join(ctx.Err(), s.Kill())
	}
	if err := s.answers(ctx); err != nil {
		return 0, errors.Join(err, s.Kill())
	}
	return time.Since(begun), nil
}

// announced reads the output to its end and tells where the server listens,
// or "" when it never said.
func announced(out io.Reader, found chan<- string) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), announcement); ok {
			select {
			case found <- address:
			default: // said before
			}
		}
	}
	select {
	case found <- "":
	default:
	}
}

// answers makes one request.
func (s *Subject) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	api := sim.NewAPI(s.Dial, "")
	defer api.Close()
	var refused *sim.Refusal
	_, err := api.Call(ctx, http.MethodGet, "/v1/me", nil, nil)
	if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		return fmt.Errorf("torment: the server does not answer as it should: %w", err)
	}
	return nil
}

// Dial connects to the latest start. It is a sim.Dialer.
func (s *Subject) Dial(ctx context.Context) (net.Conn, error) {
	address := s.address.Load()
	if address == nil {
		return nil, errors.New("torment: nothing listens yet")
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", *address)
}

// Kill kills the server with SIGKILL and returns when it is gone.
func (s *Subject) Kill() error {
	if err := s.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("torment: kill the server: %w", err)
	}
	_ = s.wait() // it died of the signal, or of what was done to its disk
	return nil
}

// Stop has the server drain, and fails unless it ends in order.
func (s *Subject) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("torment: stop the server: %w", err)
	}
	if err := s.wait(); err != nil {
		return fmt.Errorf("torment: the server did not end in order: %w: %s", err, s.stderr)
	}
	return nil
}

func (s *Subject) wait() error {
	s.drain.Wait() // Wait closes the pipe, so the reader goes first
	return s.cmd.Wait()
}

// tail keeps the last of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-tailBytes):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
