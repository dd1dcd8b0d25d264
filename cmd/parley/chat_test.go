package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store/memstore"
)

// display is what a terminal is told. It is no terminal: what is written where
// is not known, but every word that was ever drawn is in it.
type display struct {
	mu   sync.Mutex
	data bytes.Buffer
	news chan struct{}
}

func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case d.news <- struct{}{}:
	default: // it is known
	}
	return d.data.Write(p)
}

func (d *display) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return ansi.Strip(d.data.String())
}

// see waits until text was drawn.
func (d *display) see(t *testing.T, text string) {
	t.Helper()
	limit := time.After(patience)
	for !strings.Contains(d.text(), text) {
		select {
		case <-d.news:
		case <-limit:
			t.Fatalf("%q was never drawn:\n%s", text, d.text())
		}
	}
}

// serveHere starts a server in this process and returns its address and its
// end.
func serveHere(t *testing.T) (url string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.Start(t.Context(), server.Config{
		Store: memstore.New(), Listener: l, Hasher: account.HashParams{Time: 1, MemoryKiB: 64, Threads: 1}, NoRateLimits: true, Registration: account.Open,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { _ = srv.Close(context.Background()) }) // how it ends is not of interest here
	t.Cleanup(stop)
	return "http://" + l.Addr().String(), stop
}

// TestContacts kills: an export without the people in it.
func TestContacts(t *testing.T) {
	url, _ := serveHere(t)
	var homes []map[string]string
	var clients []*client.Client
	for _, handle := range []string{"alice", "bob"} {
		vars := map[string]string{"PARLEY_HOME": t.TempDir(), "PARLEY_PASSWORD": "correct horse"}
		e := env{stdout: io.Discard, stderr: io.Discard, getenv: func(k string) string { return vars[k] }, now: time.Now, rand: rand.Reader}
		if code := run(t.Context(), e, []string{"login", url, handle, "--register"}); code != 0 {
			t.Fatalf("login: %d", code)
		}
		c, _, err := dial(e)
		if err != nil {
			t.Fatal(err)
		}
		homes, clients = append(homes, vars), append(clients, c)
	}
	if _, err := clients[0].SetContact(t.Context(), "bob", client.ContactRequested, 1); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		home int
		args []string
		text string
	}{
		{0, nil, "@bob  requested  bob\n"}, {1, nil, "@alice  pending  alice\n"}, {1, []string{"--json"}, `"handle":"alice"`},
	} {
		var out bytes.Buffer
		e := env{stdout: &out, stderr: io.Discard, getenv: func(k string) string { return homes[want.home][k] }, now: time.Now, rand: rand.Reader}
		limit := time.Now().Add(patience)
		for { // the other's word may take a moment
			out.Reset()
			if code := run(t.Context(), e, append([]string{"contacts"}, want.args...)); code != 0 {
				t.Fatalf("contacts: %d", code)
			}
			if strings.Contains(out.String(), want.text) {
				break
			}
			if time.Now().After(limit) {
				t.Fatalf("%v printed %q, not %q", want.args, out.String(), want.text)
			}
		}
	}
}

// TestChat kills: a command that leaves messages behind without a word or
// leaves files behind for nothing, and one that a person cannot leave.
func TestChat(t *testing.T) {
	url, stop := serveHere(t)
	dir := t.TempDir()
	var stderr bytes.Buffer
	world := func(in io.Reader, out io.Writer) env {
		stderr.Reset()
		vars := map[string]string{"PARLEY_HOME": dir, "PARLEY_PASSWORD": "correct horse", "TERM": "xterm"}
		return env{stdin: in, stdout: out, stderr: &stderr, getenv: func(k string) string { return vars[k] }, now: time.Now, rand: rand.Reader,
			terminal: func(w io.Writer) bool { return w == out }}
	}
	if code := run(t.Context(), world(nil, io.Discard), []string{"login", url, "alice", "--register"}); code != 0 {
		t.Fatalf("login: %d %s", code, stderr.String())
	}
	chat := func(args ...string) (keys io.WriteCloser, d *display, ended chan int) {
		in, keys := io.Pipe()
		d = &display{news: make(chan struct{}, 1)}
		ended = make(chan int, 1)
		e := world(in, d)
		go func() { ended <- run(t.Context(), e, append([]string{"chat"}, args...)) }()
		return keys, d, ended
	}
	press := func(keys io.Writer, s string) {
		if _, err := io.WriteString(keys, s); err != nil {
			t.Error(err)
		}
	}
	leave := func(keys io.WriteCloser, ended chan int) {
		t.Helper()
		press(keys, "\x03")
		if code := <-ended; code != 0 {
			t.Errorf("it ended with %d: %s", code, stderr.String())
		}
	}

	keys, d, ended := chat("@alice")
	d.see(t, "Notes")
	press(keys, "buy-milk\r")
	d.see(t, "✓")
	leave(keys, ended)
	if left, err := os.ReadDir(filepath.Join(dir, "queue")); err != nil || len(left) > 0 || stderr.Len() > 0 {
		t.Errorf("left behind: %v, %v, %s", left, err, stderr.String())
	}

	stop()
	keys, d, ended = chat("@alice")
	d.see(t, "Notes") // from the shelf
	press(keys, "and-bread\r")
	d.see(t, "waiting")
	leave(keys, ended)
	if got := stderr.String(); got != "one message is kept and not sent yet; parley chat or parley send --flush sends what waits\n" {
		t.Errorf("it said %q", got)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "queue")); err != nil || len(left) == 0 {
		t.Errorf("nothing is kept: %v", err)
	}
}
