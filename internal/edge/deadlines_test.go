package edge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/internal/edge"
)

// tick is how late the wheel may look at a connection.
const tick = 500 * time.Millisecond

// between fails unless the time since began is want, or a tick more.
func between(t *testing.T, what string, began time.Time, want time.Duration) {
	t.Helper()
	if took := time.Since(began); took < want || took > want+tick {
		t.Errorf("%s after %v, want %v", what, took, want)
	}
}

// inBubble runs a test in fake time.
func inBubble(t *testing.T, name string, f func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// until skips pings and returns the first frame that is none.
func (s *socket) until(within time.Duration) string {
	s.t.Helper()
	for end := time.Now().Add(within); ; {
		if w := s.next(time.Until(end)); w != "ping" {
			return w
		}
	}
}

// idle answers pings for that long.
func (s *socket) idle(long time.Duration) {
	s.t.Helper()
	for end := time.Now().Add(long); time.Until(end) > 0; {
		if w := s.next(time.Until(end)); w == "ping" {
			s.send(frame(ws.OpPong, ""))
		} else if w != "nothing" {
			s.t.Fatalf("%q while idle", w)
		}
	}
}

// TestDeadlines kills a connection that holds on to the server without doing
// its part, each in the way it does that.
func TestDeadlines(t *testing.T) {
	inBubble(t, "no hello", func(t *testing.T) {
		s := open(t, startFake(t, true).dial())
		began := time.Now()
		if got := s.next(time.Minute); got != "close:1008" {
			t.Errorf("%q", got)
		}
		between(t, "closed", began, 5*time.Second)
	})
	inBubble(t, "pings in place of a hello", func(t *testing.T) {
		s := open(t, startFake(t, true).dial())
		began := time.Now()
		got := ""
		for got == "" || strings.HasPrefix(got, "pong") {
			s.send(frame(ws.OpPing, "x"))
			got = s.next(time.Minute)
			if got == "pong:x" {
				<-time.After(300 * time.Millisecond)
			}
		}
		if got != "close:1008" {
			t.Errorf("%q", got)
		}
		between(t, "closed", began, 5*time.Second)
	})
	inBubble(t, "a message that trickles", func(t *testing.T) {
		s, _ := online(t, startFake(t, true))
		began := time.Now()
		stream := text(post(1000))
		got := "nothing"
		for i := 0; got == "nothing"; i++ {
			s.send(stream[i : i+1])
			got = s.next(400 * time.Millisecond)
		}
		if got != "close:1008" {
			t.Errorf("%q", got)
		}
		between(t, "closed", began, 10*time.Second)
	})
	inBubble(t, "fragments with pings between", func(t *testing.T) {
		s, _ := online(t, startFake(t, true))
		began := time.Now()
		s.send(part(ws.OpText, "{"))
		got := "pong:x"
		for got == "pong:x" {
			s.send(frame(ws.OpPing, "x"))
			if got = s.next(time.Minute); got == "pong:x" {
				<-time.After(400 * time.Millisecond)
			}
		}
		if got != "close:1008" {
			t.Errorf("%q", got)
		}
		between(t, "closed", began, 10*time.Second)
	})
}

// TestEnds kills a connection that stays when its client is gone or does not
// do its part in the closing.
func TestEnds(t *testing.T) {
	inBubble(t, "silence", func(t *testing.T) {
		s, session := online(t, startFake(t, true))
		began := time.Now()
		if got := s.until(2 * time.Minute); got != "close:1012" {
			t.Errorf("%q", got)
		}
		between(t, "closed", began, 45*time.Second)
		<-session.closed
	})
	inBubble(t, "a close amid a message", func(t *testing.T) {
		s, session := online(t, startFake(t, true))
		s.rude = true
		s.send(text(watch)[:9])
		synctest.Wait()
		session.conn.Close(1013, "")
		if got := s.next(time.Minute); got != "close:1013" {
			t.Errorf("%q", got)
		}
		s.send(text(watch)[9:12])
		began := time.Now()
		if got := s.next(time.Minute); got != "end" {
			t.Errorf("%q", got)
		}
		between(t, "ended", began, 2*time.Second)
	})
	inBubble(t, "a close that is not answered", func(t *testing.T) {
		s, session := online(t, startFake(t, true))
		s.rude = true
		session.conn.Close(1013, "try again later")
		session.conn.Close(1008, "only the first counts")
		began := time.Now()
		if got := s.next(time.Minute); got != "close:1013" {
			t.Errorf("%q", got)
		}
		if got := s.next(time.Minute); got != "end" {
			t.Errorf("%q", got)
		}
		between(t, "ended", began, 2*time.Second)
		<-session.closed
	})
}

// TestAlive kills a server that loses patience with a healthy client, and one
// that pings at other times than every 25 to 30 s.
func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := online(t, startFake(t, true))
		for range 100 {
			began := time.Now()
			if got := s.next(time.Minute); got != "ping" {
				t.Fatalf("%q", got)
			}
			if took := time.Since(began); took < 25*time.Second-tick || took > 30*time.Second+tick {
				t.Errorf("a ping after %v", took)
			}
			s.send(frame(ws.OpPong, ""))
		}
	})
}

// TestSlowReader kills a write that waits for ever, and a session that is not
// told: P12.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, true)
		slow, session := online(t, f)
		_, healthy := online(t, f)
		slow.idle(20 * time.Second) // past any deadline of the handshake
		began := time.Now()
		frames := [][]byte{make([]byte, 40<<10), make([]byte, 40<<10)}
		if err := session.conn.WriteFrames(frames); err == nil {
			t.Error("a write to a device that does not read succeeded")
		}
		between(t, "the write failed", began, 10*time.Second)
		<-session.closed
		if err := session.conn.WriteFrames(frames); err == nil {
			t.Error("a write to a connection that is gone succeeded")
		}
		select {
		case <-healthy.closed:
			t.Error("another connection went with it")
		default:
		}
	})
}

// TestStuckSession kills a Receive that holds up more than its own connection,
// or its end.
func TestStuckSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, true)
		stuck, session := online(t, f)
		s, _ := online(t, f)
		session.gate = make(chan struct{})
		stuck.send(text(watch))
		synctest.Wait()
		s.send(text(watch))
		if got := s.next(time.Second); got != "ack:watch" {
			t.Errorf("%q", got)
		}
		session.conn.Close(1013, "")
		if got := stuck.until(time.Minute); got != "close:1013" {
			t.Errorf("%q", got)
		}
		<-session.closed
		close(session.gate)
	})
}

// TestStrikes: nine bad frames a minute are borne for ever, ten are not.
func TestStrikes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := online(t, startFake(t, true))
		bad := func(want string) {
			t.Helper()
			s.send(text(`{"t":"sing"}`))
			if got := s.until(time.Second); got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		}
		for range 3 {
			for range 9 {
				bad("error:bad_request")
			}
			s.idle(61 * time.Second)
		}
		for range 10 {
			bad("error:bad_request")
		}
		if got := s.until(time.Second); got != "close:1008" {
			t.Errorf("after ten bad frames: %q", got)
		}
	})
}

// TestDrain kills a drain that closes all at once, says nothing, returns
// before the last is told, or lets new ones in.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, true)
		const n, spread = 20, 10 * time.Second
		began := time.Now()
		gone := make(chan time.Duration, n)
		for range n {
			s, _ := online(t, f)
			go func() {
				if got := s.until(time.Minute); got != "goaway" {
					t.Errorf("%q, want goaway", got)
				}
				if got := s.next(time.Second); got != "close:1012" {
					t.Errorf("%q, want close:1012", got)
				}
				gone <- time.Since(began)
			}()
		}
		f.Drain(t.Context(), spread)
		if left := f.Connections(); left != 0 {
			t.Errorf("drained with %d connections", left)
		}
		between(t, "drained", began, spread)
		last := time.Duration(0)
		for range n {
			at := <-gone
			if step := at - last; step < spread/n-50*time.Millisecond || step > spread/n+50*time.Millisecond {
				t.Errorf("one left %v after the one before, want %v", step, spread/n)
			}
			last = at
		}
		_, res := shake(t, f.dial(), "GET", "HTTP/1.1", handshake...)
		if res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" {
			t.Errorf("a new connection while draining: %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
		}
	})
}

// TestDrainHurried: a context that ends has everybody told at once.
func TestDrainHurried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, true)
		s, _ := online(t, f)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		f.Drain(ctx, time.Hour)
		if got := s.until(time.Second); got != "goaway" {
			t.Errorf("%q", got)
		}
	})
}

// TestTurnAway kills a server that keeps clients which it cannot serve, lets
// new ones in, makes them wait, or stays closed when it can serve again.
func TestTurnAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, true)
		get := func(path string) *http.Response {
			s := newSocket(t, f.dial())
			s.send([]byte("GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer " + goodToken + "\r\n\r\n"))
			return s.answer()
		}
		polled := make(chan int, 1)
		go func() { polled <- get("/v1/sync?cursor=e.7").StatusCode }()
		synctest.Wait()
		for range 2 { // it may happen again
			s, _ := online(t, f)
			idle := newSocket(t, f.dial())
			idle.send([]byte("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n"))
			_ = idle.answer()
			synctest.Wait()
			began := time.Now()
			f.TurnAway(true, 0)
			f.TurnAway(true, 0)
			if first, second := s.until(time.Second), s.next(time.Second); first != "goaway" || second != "close:1012" {
				t.Errorf("%q, %q", first, second)
			}
			if res := get("/v1/me"); res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" {
				t.Errorf("a call: %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
			}
			if _, err := idle.nc.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("a connection that is kept open for more: %v", err)
			}
			if _, res := shake(t, f.dial(), "GET", "HTTP/1.1", handshake...); res.StatusCode != 503 {
				t.Errorf("a new connection: %s", res.Status)
			}
			between(t, "turned away", began, 0)
			f.TurnAway(false, 0)
			f.TurnAway(false, 0)
			if res := get("/v1/me"); res.StatusCode == 503 {
				t.Errorf("a call afterwards: %s", res.Status)
			}
		}
		if status := <-polled; status != 200 {
			t.Errorf("the poll that waited: %d", status)
		}
		f.TurnAway(true, 0)
		f.Drain(t.Context(), 0)
		f.TurnAway(false, 0)
		if _, res := shake(t, f.dial(), "GET", "HTTP/1.1", handshake...); res.StatusCode != 503 {
			t.Errorf("a new connection to a server that leaves: %s", res.Status)
		}
	})
}

// TestHTTPDeadlines: a header has 5 s, a body 10 s, an idle connection 2
// minutes, and a long poll as long as it asked for.
func TestHTTPDeadlines(t *testing.T) {
	inBubble(t, "header", func(t *testing.T) {
		nc := startFake(t, true).dial()
		began := time.Now()
		go func() { _, _ = io.WriteString(nc, "GET /v1/me HTTP/1.1\r\nHost: h\r\n") }()
		_, _ = io.Copy(io.Discard, nc)
		between(t, "closed", began, 5*time.Second)
	})
	inBubble(t, "body", func(t *testing.T) {
		s := newSocket(t, startFake(t, true).dial())
		began := time.Now()
		s.send([]byte("POST /v1/sessions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"))
		res := s.answer()
		between(t, "answered", began, 10*time.Second)
		if res.StatusCode != 400 {
			t.Errorf("a body that does not come: %s", res.Status)
		}
	})
	inBubble(t, "a body nobody wants", func(t *testing.T) {
		s := newSocket(t, startFake(t, true).dial())
		began := time.Now()
		s.send([]byte("POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{"))
		_, _ = io.Copy(io.Discard, s.nc)
		between(t, "closed", began, 10*time.Second)
	})
	inBubble(t, "idle", func(t *testing.T) {
		s := newSocket(t, startFake(t, true).dial())
		s.send([]byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
		if res := s.answer(); res.StatusCode != 200 {
			t.Error(res.Status)
		}
		began := time.Now()
		_ = s.nc.SetReadDeadline(time.Time{})
		_, _ = io.Copy(io.Discard, s.nc)
		between(t, "closed", began, 2*time.Minute)
	})
}

// TestLongPoll kills a deadline of something else that cuts a poll short, and
// a poll that does not end.
func TestLongPoll(t *testing.T) {
	poll := func(query string) []byte {
		return []byte("GET /v1/sync" + query + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + goodToken + "\r\n\r\n")
	}
	for _, c := range []struct {
		query string
		want  time.Duration
	}{
		{"", 0}, {"?timeout=9", 0}, {"?cursor=e.7&timeout=0", 0}, {"?cursor=e.7&timeout=1", time.Second},
		{"?cursor=e.7", 30 * time.Second}, {"?cursor=e.7&timeout=55", 55 * time.Second}, {"?cursor=e.7&timeout=3600", 55 * time.Second},
	} {
		inBubble(t, "timeout"+c.query, func(t *testing.T) {
			s := newSocket(t, startFake(t, true).dial())
			began := time.Now()
			s.send(poll(c.query))
			if res := s.answer(); res.StatusCode != 200 {
				t.Error(res.Status)
			}
			between(t, "answered", began, c.want)
		})
	}
	inBubble(t, "drained", func(t *testing.T) {
		f := startFake(t, true)
		s := newSocket(t, f.dial())
		s.send(poll("?cursor=e.7"))
		synctest.Wait()
		began := time.Now()
		f.Drain(t.Context(), 0)
		if res := s.answer(); res.StatusCode != 200 {
			t.Error(res.Status)
		}
		between(t, "answered", began, 0)
	})
	inBubble(t, "signed out", func(t *testing.T) {
		f := startFake(t, true, func(f *fake, _ *edge.Config) {
			f.news.wait = func(context.Context) error { f.signIn.revoked.Store(true); return nil }
		})
		s := newSocket(t, f.dial())
		s.send(poll("?cursor=e.7"))
		if res := s.answer(); res.StatusCode != 401 {
			t.Errorf("signed out while it waited: %s", res.Status)
		}
	})
	inBubble(t, "gone away", func(t *testing.T) {
		left := make(chan struct{})
		f := startFake(t, true, func(f *fake, _ *edge.Config) {
			f.news.wait = func(ctx context.Context) error { <-ctx.Done(); close(left); return ctx.Err() }
		})
		s := newSocket(t, f.dial())
		s.send(poll("?cursor=e.7"))
		synctest.Wait()
		_ = s.nc.Close()
		began := time.Now()
		<-left
		between(t, "noticed", began, 0)
	})
}

// answer reads one HTTP answer with its body.
func (s *socket) answer() *http.Response {
	s.t.Helper()
	_ = s.nc.SetReadDeadline(time.Now().Add(2 * time.Minute))
	res, err := http.ReadResponse(s.br, nil)
	if err != nil {
		s.t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("half an answer: %v", err)
	}
	res.Body = io.NopCloser(bufio.NewReader(strings.NewReader(string(body))))
	return res
}

// TestOpening kills connections without a hello that crowd everybody out for
// longer than they may.
func TestOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, true, func(_ *fake, c *edge.Config) { c.MaxOpening = 3 })
		for range 3 {
			open(t, f.dial())
		}
		synctest.Wait()
		refused := func() string {
			_, res := shake(t, f.dial(), "GET", "HTTP/1.1", handshake...)
			return fmt.Sprint(res.StatusCode, res.Header.Get("Retry-After") != "")
		}
		if got := refused(); got != "503 true" {
			t.Errorf("a fourth that says nothing: %s", got)
		}
		<-time.After(8 * time.Second)
		if got := refused(); got != "101 false" {
			t.Errorf("after the others' time: %s", got)
		}
	})
}

// TestPlain kills connections that say nothing and take every descriptor, and
// a WebSocket that counts as one of them.
func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, true, func(_ *fake, c *edge.Config) { c.MaxPlain = 2 })
		for range 3 {
			online(t, f)
		}
		poll := newSocket(t, f.dial())
		poll.request("GET", "/v1/sync?cursor=e.7", "")
		silent := newSocket(t, f.dial())
		synctest.Wait()
		if _, err := f.dial().Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("one too many: %v", err)
		}
		_ = silent.nc.Close()
		synctest.Wait()
		online(t, f)
	})
}
