package edge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/edge"
	"github.com/parley-im/parley/wire"
)

const aPost = `{"id":"m1","body":{"type":"text/plain","text":"hi"}}`

// request sends one with alice's token and reads nothing.
func (s *socket) request(method, path, body string, headers ...string) {
	s.t.Helper()
	s.send(fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: chat.example.org\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
		method, path, goodToken, len(body), strings.Join(append(headers, ""), "\r\n"), body))
}

// problem reads an answer that is one.
func (s *socket) problem() wire.Problem {
	s.t.Helper()
	res := s.answer()
	var p wire.Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || p.Status != res.StatusCode {
		s.t.Errorf("%s: no problem: %v", res.Status, err)
	}
	if (p.RetryAfterMS > 0) != (res.Header.Get("Retry-After") != "") {
		s.t.Errorf("retry_after_ms %d, Retry-After %q", p.RetryAfterMS, res.Header.Get("Retry-After"))
	}
	return p
}

// TestOverload is P12: it kills a server that takes on more than it can do,
// one that lets people wait for ever, and one that does not recover.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, true)
		var mu sync.Mutex
		var waiting []func(parley.Ack, error)
		f.conversations.post = func(_ parley.Post, done func(parley.Ack, error)) {
			mu.Lock()
			defer mu.Unlock()
			waiting = append(waiting, done)
		}
		const path = "/v1/conversations/c/entries"
		sockets := make([]*socket, edge.MaxRequests)
		for i := range sockets {
			sockets[i] = newSocket(t, f.dial())
			sockets[i].request("POST", path, aPost)
		}
		synctest.Wait()
		began := time.Now()
		s := newSocket(t, f.dial())
		s.request("POST", path, aPost)
		if p := s.problem(); p.Code != "overloaded" || p.RetryAfterMS == 0 {
			t.Errorf("one too many: %+v", p)
		}
		s.request("GET", "/v1/sync?cursor=e.7&timeout=0", "")
		if res := s.answer(); res.StatusCode != 200 {
			t.Errorf("a long poll beside them: %s", res.Status)
		}
		between(t, "refused", began, 0)
		mu.Lock()
		waiting[0](parley.Ack{Seq: 5}, nil)
		mu.Unlock()
		synctest.Wait()
		s.request("GET", "/v1/me?x", "")
		if p := s.problem(); p.Code != "bad_request" {
			t.Errorf("after one was answered: %+v", p)
		}
		counts := map[int]int{}
		for _, s := range sockets {
			counts[s.answer().StatusCode]++
		}
		if counts[201] != 1 || counts[503] != edge.MaxRequests-1 {
			t.Errorf("answers by status: %v", counts)
		}
		between(t, "given up", began, 30*time.Second)
		for _, done := range waiting[1:] {
			done(parley.Ack{}, errors.New("too late for anybody"))
		}
	})
}

// TestPanic kills a handler's panic that takes the server along, says what it
// was about, or keeps its place.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, true)
		s := newSocket(t, f.dial())
		for range edge.MaxRequests + 1 {
			s.request("GET", "/v1/users/bob", "") // People is nil
			if p := s.problem(); p.Code != "internal" || strings.Contains(p.Detail, "nil") {
				t.Fatalf("%+v", p)
			}
		}
	})
}

// TestPostAnswers: what becomes of a post over HTTP.
func TestPostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ack parley.Ack
		var failure error
		f := startFake(t, true, func(f *fake, c *edge.Config) {
			c.Limiter = edge.NewLimiter(time.Now)
			f.conversations.post = func(p parley.Post, done func(parley.Ack, error)) {
				if p.Sender != "ualice" || p.Device != "dlaptop" || p.Conversation != "c" || p.ID != "m1" || string(p.Body.Data) != "hi" {
					t.Errorf("%+v", p)
				}
				done(ack, failure)
			}
		})
		s := newSocket(t, f.dial())
		try := func(what string, a parley.Ack, err error, want int) {
			t.Helper()
			ack, failure = a, err
			s.request("POST", "/v1/conversations/c/entries", aPost)
			if res := s.answer(); res.StatusCode != want {
				t.Errorf("%s: %s, want %d", what, res.Status, want)
			}
		}
		try("new", parley.Ack{Seq: 2}, nil, 201)
		try("again", parley.Ack{Seq: 2, Again: true}, nil, 200)
		try("full", parley.Ack{}, parley.E(parley.StorageFull, "store", ""), 507)
		try("draining", parley.Ack{}, parley.E(parley.Draining, "convo", ""), 503)
		try("unknown", parley.Ack{}, context.DeadlineExceeded, 503)
		try("failed", parley.Ack{}, errors.New("disk: secret path"), 500)
		for range 24 {
			try("within the burst", parley.Ack{Seq: 2}, nil, 201)
		}
		s.request("POST", "/v1/conversations/c/entries", aPost)
		if p := s.problem(); p.Code != "rate_limited" || p.RetryAfterMS != 200 {
			t.Errorf("the 31st at once: %+v", p)
		}
		<-time.After(200 * time.Millisecond)
		try("after the wait", parley.Ack{Seq: 2}, nil, 201)
	})
}

// TestLimiter: 30 at once, then 5 a second, for each user, in bounded memory.
func TestLimiter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := edge.NewLimiter(func() time.Time { return now })
	allowed := func(u parley.UserID) (n int) {
		for l.Wait(u) == 0 {
			n++
		}
		return n
	}
	if a, b := allowed("a"), allowed("b"); a != 30 || b != 30 {
		t.Errorf("at once: %d and %d, want 30 each", a, b)
	}
	if d := l.Wait("a"); d != 200*time.Millisecond {
		t.Errorf("the next in %v", d)
	}
	now = now.Add(3 * time.Second)
	if n := allowed("a"); n != 15 {
		t.Errorf("in 3 s: %d, want 15", n)
	}
	now = now.Add(time.Hour)
	if n := allowed("a"); n != 30 {
		t.Errorf("after an hour: %d, want 30", n)
	}
	for i := range edge.LimiterKept + 5000 {
		l.Wait(parley.UserID(fmt.Sprint("u", i)))
	}
	if n := l.Kept(); n > edge.LimiterKept {
		t.Errorf("%d users are kept, want %d at most", n, edge.LimiterKept)
	}
	var none *edge.Limiter
	if none.Wait("a") != 0 || none.Take("a") != nil {
		t.Error("no limiter limits")
	}
}

// TestOrigins: what is an origin, and what pages of a further one get.
func TestOrigins(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example": "https://a.example", "HTTPS://A.Example:443": "https://a.example", "http://a.example:80": "http://a.example", "https://a.example:80": "https://a.example:80",
		"http://[::1]:8080": "http://[::1]:8080", "null": "", "": "", "a.example": "", "https://": "", "https://a.example/": "", "https://a.example?x": "", "https://u@a.example": "", "ftp://a.example": "", "https://a.example#x": "",
	} {
		if got := edge.CanonicalOrigin(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, true, func(_ *fake, c *edge.Config) { c.Origins = []string{"https://App.example.org:443"} })
		s := newSocket(t, f.dial())
		s.request("OPTIONS", "/v1/sync", "", "Origin: https://app.example.org", "Access-Control-Request-Method: GET")
		if res := s.answer(); res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Origin") != "https://app.example.org" || !strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("asked before a call: %s %v", res.Status, res.Header)
		}
		s.request("GET", "/v1/sync", "", "Origin: https://app.example.org")
		if res := s.answer(); res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") != "https://app.example.org" {
			t.Errorf("a call: %s %v", res.Status, res.Header)
		}
		for _, o := range []string{"https://chat.example.org", "https://evil.example.org", "null"} {
			s.request("GET", "/v1/sync", "", "Origin: "+o)
			if res := s.answer(); res.Header.Get("Access-Control-Allow-Origin") != "" || (res.StatusCode == 403) != (o != "https://chat.example.org") {
				t.Errorf("%s: %s %v", o, res.Status, res.Header)
			}
		}
	})
	for _, o := range []string{"*", "null", "https://a.example/path"} {
		if _, err := edge.New(edge.Config{Origins: []string{o}}); err == nil {
			t.Errorf("origin %q in the configuration", o)
		}
	}
}

// TestAdmin: the admin port tells whether the server is well, and what it
// measures.
func TestAdmin(t *testing.T) {
	var ready error
	f := startFake(t, false, func(_ *fake, c *edge.Config) { c.Ready = func() error { return ready } })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- f.ServeAdmin(l) }()
	get := func(path string, want int) string {
		t.Helper()
		res, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != want {
			t.Errorf("%s: %s, %v, want %d", path, res.Status, err, want)
		}
		return string(body)
	}
	get("/livez", 200)
	get("/readyz", 200)
	get("/debug/pprof/goroutine?debug=1", 200)
	get("/v1/me", 404)
	ready = errors.New("the disk is full")
	if got := get("/readyz", 503); !strings.Contains(got, "the disk is full") {
		t.Errorf("not ready: %q", got)
	}
	ready = nil
	_, session := online(t, f)
	s := open(t, f.dial())
	s.send([]byte{0xff, 0})
	_ = s.story()
	metrics := get("/metrics", 200)
	for _, line := range []string{"parley_connections ", `parley_websocket_violations_total{code="1002"} 1`, "parley_http_panics_total 0", "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("the metrics lack %q", line)
		}
	}
	f.Drain(t.Context(), 0)
	<-session.closed
	if got := get("/readyz", 503); !strings.Contains(got, "draining") {
		t.Errorf("draining: %q", got)
	}
	get("/livez", 200)
	f.Shutdown(t.Context())
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestNewRefuses: a configuration that lacks something is an error, not a
// panic at the first request.
func TestNewRefuses(t *testing.T) {
	if _, err := edge.New(edge.Config{}); err == nil {
		t.Error("an edge of nothing")
	}
}
