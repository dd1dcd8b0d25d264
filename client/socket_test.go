package client

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// greet answers a hello and returns the cursor it named.
func greet(t *testing.T, ctx context.Context, ws *websocket.Conn) string {
	_, b, err := ws.Read(ctx)
	if err != nil {
		t.Errorf("no hello: %v", err)
		return ""
	}
	f, err := wire.DecodeClient(b)
	if err != nil || f.T != wire.OpHello || f.Token != "secret" {
		t.Errorf("the hello was %s: %v", b, err)
	}
	say(t, ctx, ws, wire.AppendWelcome(nil, &wire.Welcome{Epoch: "e"}))
	return f.Cursor
}

func say(t *testing.T, ctx context.Context, ws *websocket.Conn, frame []byte) {
	if err := ws.Write(ctx, websocket.MessageText, frame); err != nil && ctx.Err() == nil {
		t.Errorf("write: %v", err)
	}
}

// serveSockets runs serve for each connection, numbered from 0.
func serveSockets(t *testing.T, serve func(n int, ctx context.Context, ws *websocket.Conn)) *httptest.Server {
	turn := make(chan int, 1)
	turn <- 0
	s := httptest.NewServer(socketHandler(t, turn, serve))
	t.Cleanup(s.Close)
	return s
}

func socketHandler(t *testing.T, turn chan int, serve func(n int, ctx context.Context, ws *websocket.Conn)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/connect" || r.URL.RawQuery != "" {
			t.Errorf("asked for %s", r.URL)
		}
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Protocol}})
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer ws.CloseNow()
		n := <-turn
		turn <- n + 1
		serve(n, r.Context(), ws)
	})
}

func testClient(url string) *Client {
	return New(Credentials{URL: url, Token: "secret", User: wire.User{ID: "u1"}}, Options{Jitter: func() float64 { return 0 }})
}

// TestCloseCodes kills: a client that comes back when it was told not to, or
// stays away when it should come back.
func TestCloseCodes(t *testing.T) {
	tests := []struct {
		name string
		code websocket.StatusCode // 0: the connection just breaks
		want parley.Code          // "": it comes back
	}{
		{"restart", wire.CloseRetryNow, ""},
		{"overload", wire.CloseRetryLater, ""},
		{"normal", wire.CloseNormal, ""},
		{"broken", 0, ""},
		{"policy", wire.ClosePolicy, parley.BadRequest},
		{"bad utf-8", wire.CloseBadUTF8, parley.BadRequest},
		{"too big", wire.CloseTooBig, parley.BadRequest},
		{"signed out", wire.CloseSignedOut, parley.Unauthorized},
		{"too old", wire.CloseProtocolOld, parley.Unsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serveSockets(t, func(n int, ctx context.Context, ws *websocket.Conn) {
				cursor := greet(t, ctx, ws)
				if n == 0 {
					say(t, ctx, ws, wire.AppendChanges(nil, nil, "e.7", false))
					if tt.code != 0 {
						_ = ws.Close(tt.code, "")
					}
					return
				}
				if cursor != "e.7" {
					t.Errorf("it came back with %q", cursor)
				}
				say(t, ctx, ws, wire.AppendChanges(nil, nil, "e.8", false))
				_, _, _ = ws.Read(ctx) // until it leaves
			})
			var got error
			place := &Place{}
			for news, err := range testClient(s.URL).Subscribe(t.Context(), Subscription{Store: place}) {
				if got = err; news.Cursor == "e.8" {
					break
				}
			}
			if parley.CodeOf(got) != tt.want {
				t.Errorf("got %v, want %q", got, tt.want)
			}
			if want := map[bool]string{true: "e.8", false: "e.7"}[tt.want == ""]; place.Inbox != want {
				t.Errorf("kept %q, want %q", place.Inbox, want)
			}
		})
	}
}

// TestHandshakeRefused kills: a client that gives up because of what something
// between it and the server said.
func TestHandshakeRefused(t *testing.T) {
	tries := make(chan int, 1)
	tries <- 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := <-tries
		tries <- n + 1
		if n == 0 {
			http.Error(w, "<h1>Not found</h1>", http.StatusNotFound)
			return
		}
		p := wire.ProblemOf(parley.E(parley.Unauthorized, "", "Sign in again."))
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(p)
	}))
	defer s.Close()
	var lost []error
	var got error
	sub := Subscription{Store: &Place{}, Lost: func(err error) { lost = append(lost, err) }}
	for _, err := range testClient(s.URL).Subscribe(t.Context(), sub) {
		got = err
	}
	if parley.CodeOf(got) != parley.Unauthorized || sentence(got) != "Sign in again." {
		t.Errorf("got %v", got)
	}
	if len(lost) != 1 || parley.CodeOf(lost[0]) != parley.Internal {
		t.Errorf("lost %v", lost)
	}
}

// TestErrorFrame kills: a client that does not hear why its hello was refused.
func TestErrorFrame(t *testing.T) {
	s := serveSockets(t, func(_ int, ctx context.Context, ws *websocket.Conn) {
		_, _, _ = ws.Read(ctx)
		say(t, ctx, ws, wire.AppendError(nil, "", parley.E(parley.Forbidden, "", "This account is blocked.")))
		_ = ws.Close(wire.ClosePolicy, "")
	})
	for _, err := range testClient(s.URL).Subscribe(t.Context(), Subscription{Store: &Place{}}) {
		if parley.CodeOf(err) != parley.Forbidden || sentence(err) != "This account is blocked." {
			t.Errorf("got %v", err)
		}
	}
}

// pipes is a network in memory: a listener and the dialer of it.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// TestSilence kills: a client that stays for ever on a connection whose other
// end is gone without a word, and one that leaves while it is pinged.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		turn := make(chan int, 1)
		turn <- 0
		began := time.Now()
		silentAt := make(chan time.Duration, 1)
		server := &http.Server{Handler: socketHandler(t, turn, func(n int, ctx context.Context, ws *websocket.Conn) {
			greet(t, ctx, ws)
			if n > 0 {
				say(t, ctx, ws, wire.AppendChanges(nil, nil, "e.1", false))
				_, _, _ = ws.Read(ctx)
				return
			}
			hears := ws.CloseRead(ctx)
			for range 10 { // alive, with nothing to say but pings
				<-time.After(28 * time.Second)
				if err := ws.Ping(hears); err != nil {
					t.Errorf("it left after %v: %v", time.Since(began), err)
				}
			}
			silentAt <- time.Since(began)
			<-hears.Done()
		})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(network)
		}()
		transport := &http.Transport{DialContext: network.dial}
		c := testClient("http://parley.test")
		c.http = &http.Client{Transport: transport}
		var lost error
		for news, err := range c.Subscribe(t.Context(), Subscription{Store: &Place{}, Lost: func(err error) { lost = err }}) {
			if err != nil || news.Cursor != "e.1" {
				t.Errorf("got %v, %v", news, err)
			}
			break
		}
		if took := time.Since(began) - <-silentAt; took < silence-time.Second || took > silence+time.Second {
			t.Errorf("it noticed after %v", took)
		}
		if lost == nil || errors.Is(lost, errStopped) {
			t.Errorf("lost %v", lost)
		}
		transport.CloseIdleConnections()
		_ = server.Close()
		<-done
	})
}
