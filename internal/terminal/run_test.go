package terminal

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// patience bounds what a test waits for; it is only ever reached by a fault.
const patience = time.Minute

// lasting is a store that outlives the server that closes it.
type lasting struct{ store.Store }

func (lasting) Close() error { return nil }

// serve starts a server at addr over s and returns its address and its end.
func serve(t *testing.T, s store.Store, addr string) (at string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.Start(t.Context(), server.Config{
		Store: lasting{s}, Listener: l, Hasher: account.HashParams{Time: 1, MemoryKiB: 64, Threads: 1}, NoRateLimits: true, Registration: account.Open,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { _ = srv.Close(context.Background()) }) // how it ends is not of interest here
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

// screenOf is one running client.
type screenOf struct {
	t     *testing.T
	keys  io.Writer
	queue string
	leave func()

	mu   sync.Mutex
	last string
	news chan struct{}
}

// run starts a client with a queue in dir.
func run(t *testing.T, cred client.Credentials, dir, to string) *screenOf {
	t.Helper()
	in, keys := io.Pipe()
	s := &screenOf{t: t, keys: keys, queue: filepath.Join(dir, "queue"), news: make(chan struct{}, 1)}
	q, err := client.OpenQueue(s.queue, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{
			Client: client.New(cred, client.Options{Jitter: func() float64 { return 0.03 }}), Queue: q, Shelf: filepath.Join(dir, "shelf"), To: to,
			In: in, Out: io.Discard, Environ: []string{"TERM=xterm-256color"}, Now: time.Now, Zone: time.UTC, Width: 90, Height: 24, shown: s.show,
		})
	}()
	s.leave = sync.OnceFunc(func() {
		cancel()
		_ = keys.Close() // nothing reads it any more
		if err := <-ended; err != nil {
			t.Errorf("the client ended: %v", err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.leave)
	return s
}

func (s *screenOf) show(screen string) {
	s.mu.Lock()
	s.last = ansi.Strip(screen)
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default: // it is known
	}
}

// see waits until the screen shows text.
func (s *screenOf) see(text string) {
	s.t.Helper()
	limit := time.After(patience)
	for {
		s.mu.Lock()
		last := s.last
		s.mu.Unlock()
		if strings.Contains(last, text) {
			return
		}
		select {
		case <-s.news:
		case <-limit:
			s.t.Fatalf("the screen never showed %q:\n%s", text, last)
		}
	}
}

func (s *screenOf) press(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.keys, keys); err != nil {
		s.t.Fatal(err)
	}
}

func register(t *testing.T, at, handle string) client.Credentials {
	t.Helper()
	cred, err := client.Register(t.Context(), "http://"+at, client.Registration{Handle: handle, Password: "correct horse"}, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// TestTwoTerminals is the whole of it, once: keys, the screen, the SDK, the
// disk and a real server that goes away in between. It kills what falls
// between the parts that the other tests look at.
func TestTwoTerminals(t *testing.T) {
	s := memstore.New()
	at, stop := serve(t, s, "127.0.0.1:0")
	alice, bob := register(t, at, "alice"), register(t, at, "bob")
	dir := t.TempDir()
	a := run(t, alice, dir, "@bob")
	b := run(t, bob, t.TempDir(), "")
	a.see("Online")
	b.see("Online")
	a.press("Lunch?\r")
	a.see("✓")
	b.see("Requests 1") // alice is a stranger
	b.press("2")
	b.see("Lunch?")
	b.press("\r") // opens the first of the list
	b.see("A stranger wrote")
	b.press("\x1b[A") // nothing of bob's to edit: it stays empty
	b.press("Where to?\r")
	a.see("Where to?")

	// The server goes in mid-sentence, and the client after it.
	stop()
	a.see("Offline")
	a.press("The place with dumplings\r")
	a.see("waiting")
	a.leave()
	again := run(t, alice, dir, "@bob")
	again.see("The place with dumplings")
	again.see("waiting")
	_, _ = serve(t, s, at)
	again.see("Online")
	b.see("The place with dumplings")
	again.see("Where to?")
	again.press("\x1b[A, of course\r") // up edits the last
	b.see("dumplings, of course")
	b.see("(edited)")
}
