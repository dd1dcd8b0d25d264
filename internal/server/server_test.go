package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/cluster/clustertest"
	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/wire"
)

// cheap is the work of a password in tests.
var cheap = account.HashParams{Time: 1, MemoryKiB: 64, Threads: 1}

// world is one server, or several nodes of one: then every call goes to the
// next of them.
type world struct {
	t      *testing.T
	client *http.Client
	srv    *server.Server // the last one started
	urls   []string
	next   atomic.Int64
}

func (w *world) url() string { return w.urls[int(w.next.Add(1))%len(w.urls)] }

// cluster3 starts three nodes over one store, all at once: they take their
// time to agree who they are.
func cluster3(t *testing.T, p place, s store.Store, change ...func(*server.Config)) *world {
	t.Helper()
	hub := clustertest.NewHub(1)
	ids := []cluster.NodeID{"a", "b", "c"}
	nodes, errs := make([]*world, len(ids)), make([]error, len(ids))
	var starting sync.WaitGroup
	for i, id := range ids {
		bus := hub.Bus(id)
		in := func(c *server.Config) { c.Cluster = &server.Cluster{ID: id, Bus: bus} }
		starting.Go(func() { nodes[i], errs[i] = launch(t, p, lasting{s}, append(slices.Clip(change), in)...) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	all := &world{t: t, client: p.client}
	for _, w := range nodes {
		all.srv, all.urls = w.srv, append(all.urls, w.urls...)
	}
	return all
}

// lasting is a store that outlives the server that closes it.
type lasting struct{ store.Store }

func (lasting) Close() error { return nil }

func start(t *testing.T, s store.Store, change ...func(*server.Config)) *world {
	t.Helper()
	w, err := launch(t, sockets, s, change...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// launch is start for any goroutine, at any place.
func launch(t *testing.T, p place, s store.Store, change ...func(*server.Config)) (*world, error) {
	l, url, err := p.listen()
	if err != nil {
		return nil, err
	}
	cfg := server.Config{Store: s, Listener: l, Hasher: cheap, NoRateLimits: true, Registration: account.Open, NoPolling: p.inMemory}
	for _, c := range change {
		c(&cfg)
	}
	srv, err := server.Start(t.Context(), cfg)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	t.Cleanup(func() { _ = srv.Close(context.Background()) })
	return &world{t: t, client: p.client, srv: srv, urls: []string{url}}, nil
}

// call makes one request and decodes its answer into out, failing unless the
// status is want.
func (w *world) call(token, method, path string, in any, want int, out any) {
	w.t.Helper()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			w.t.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url()+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if res.StatusCode != want {
		w.t.Fatalf("%s %s: %d, want %d: %s", method, path, res.StatusCode, want, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			w.t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
}

func (w *world) register(handle string) wire.SignedIn {
	w.t.Helper()
	var s wire.SignedIn
	w.call("", "POST", "/v1/accounts", map[string]any{"handle": handle, "password": "correct horse", "device": "laptop"}, 201, &s)
	return s
}

// socket is a device on a WebSocket.
type socket struct {
	t  *testing.T
	ws *websocket.Conn

	banned []string // what it must never hear
}

func (w *world) connect(token, cursor string) *socket {
	w.t.Helper()
	c, _, err := websocket.Dial(w.t.Context(), w.url()+"/v1/connect", &websocket.DialOptions{Subprotocols: []string{wire.Protocol}, HTTPClient: w.client})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.CloseNow() })
	s := &socket{t: w.t, ws: c}
	s.send(map[string]any{"t": "hello", "token": token, "cursor": cursor, "client": "test/1"})
	return s
}

func (s *socket) send(v any) {
	s.t.Helper()
	if err := wsjson.Write(s.t.Context(), s.ws, v); err != nil {
		s.t.Fatal(err)
	}
}

// until reads frames until good says so, and returns that one.
func (s *socket) until(what string, good func(wire.ServerFrame) bool) wire.ServerFrame {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, raw, err := s.ws.Read(ctx)
		if err != nil {
			s.t.Fatalf("waiting for %s: %v", what, err)
		}
		for _, secret := range s.banned {
			if bytes.Contains(raw, []byte(secret)) {
				s.t.Errorf("waiting for %s: heard %s", what, raw)
			}
		}
		f, err := wire.DecodeServer(raw)
		if err != nil {
			s.t.Fatalf("%s: %v", raw, err)
		}
		if good(f) {
			return f
		}
	}
}

func message(id, text string) map[string]any {
	return map[string]any{"id": id, "body": map[string]any{"type": "text/plain", "text": text}}
}

// TestTwoPeopleTalk is the whole of it, once: HTTP, WebSocket and long poll see
// the same conversation.
func TestTwoPeopleTalk(t *testing.T) { everyway(t, twoPeople) }

func twoPeople(t *testing.T, w *world) {
	alice, bob := w.register("Alice"), w.register("bob")
	if alice.User.Handle != "alice" {
		t.Errorf("the handle is kept as %q", alice.User.Handle)
	}
	var c, same wire.Conversation
	w.call(alice.Token, "POST", "/v1/conversations", map[string]any{"kind": "direct", "members": []string{"bob"}}, 201, &c)
	w.call(bob.Token, "POST", "/v1/conversations", map[string]any{"kind": "direct", "members": []string{alice.User.ID}}, 200, &same)
	if c.ID != same.ID || len(c.Members) != 2 || c.Head != 1 {
		t.Errorf("a pair has %+v and %+v", c, same)
	}
	laptop, phone := w.connect(bob.Token, ""), w.connect(alice.Token, "")
	laptop.until("welcome", func(f wire.ServerFrame) bool { return f.T == wire.FrameWelcome && f.User.Handle == "bob" })

	var posted, again wire.Posted
	w.call(alice.Token, "POST", "/v1/conversations/"+c.ID+"/entries", message("m1", "hello"), 201, &posted)
	w.call(alice.Token, "POST", "/v1/conversations/"+c.ID+"/entries", message("m1", "hello"), 200, &again)
	if posted != again || posted.Seq != 2 {
		t.Errorf("the same id gives %+v and %+v", posted, again)
	}
	w.call(alice.Token, "POST", "/v1/conversations/"+c.ID+"/entries", message("m1", "other"), 409, nil)
	for name, s := range map[string]*socket{"bob": laptop, "alice herself": phone} {
		s.until(name+" gets it live", func(f wire.ServerFrame) bool {
			return f.T == wire.FrameEntries && f.Entries[len(f.Entries)-1].ID == "m1"
		})
	}
	laptop.send(map[string]any{"t": "post", "ref": 7, "conversation": c.ID, "id": "m2", "body": map[string]any{"type": "text/plain", "text": "hi"}})
	ack := laptop.until("an ack", func(f wire.ServerFrame) bool { return f.T == wire.FrameAck })
	if ack.Ref != "7" || ack.Seq != 3 || ack.ID != "m2" {
		t.Errorf("ack %+v", ack)
	}
	row := phone.until("a row", func(f wire.ServerFrame) bool {
		return f.T == wire.FrameChanges && len(f.Rows) > 0 && f.Rows[len(f.Rows)-1].Head == 3
	})
	if r := row.Rows[len(row.Rows)-1]; r.Unread != 1 || r.Title != "bob" || r.Last == nil || r.Last.Text != "hi" {
		t.Errorf("alice's row: %+v", r)
	}

	var sync wire.Sync
	w.call(alice.Token, "GET", "/v1/sync", nil, 200, &sync)
	if len(sync.Changes) != 1 || len(sync.Entries) != 3 || sync.More {
		t.Errorf("sync from nothing: %+v", sync)
	}
	var page wire.EntryPage
	w.call(bob.Token, "GET", "/v1/conversations/"+c.ID+"/entries?before=3&limit=1", nil, 200, &page)
	if len(page.Items) != 1 || page.Items[0].Seq != 2 || *page.Items[0].Body.Text != "hello" || page.Head != 3 {
		t.Errorf("a page: %+v", page)
	}
	var marks wire.MarkersNow
	w.call(alice.Token, "PUT", "/v1/conversations/"+c.ID+"/markers", map[string]any{"read": 3}, 200, &marks)
	if marks.Unread != 0 || marks.Read != 3 {
		t.Errorf("markers: %+v", marks)
	}
	w.call(bob.Token, "GET", "/v1/conversations/"+c.ID+"/entries/by-id/m2", nil, 200, nil)
	w.call(bob.Token, "GET", "/v1/conversations/"+c.ID+"/entries/by-id/m9", nil, 404, nil)

	carol := w.register("carol")
	w.call(carol.Token, "GET", "/v1/conversations/"+c.ID, nil, 404, nil)
	w.call(carol.Token, "GET", "/v1/conversations/gnone", nil, 404, nil)
	w.call("", "GET", "/v1/me", nil, 401, nil)

	// A sign-out elsewhere closes the connection at once, for good.
	var list wire.List[wire.Device]
	w.call(bob.Token, "GET", "/v1/devices", nil, 200, &list)
	var second wire.SignedIn
	w.call("", "POST", "/v1/sessions", map[string]any{"handle": "bob", "password": "correct horse"}, 201, &second)
	w.call(second.Token, "DELETE", "/v1/devices/"+list.Items[0].ID, nil, 204, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for {
		if _, _, err := laptop.ws.Read(ctx); err != nil {
			if got := websocket.CloseStatus(err); got != wire.CloseSignedOut {
				t.Errorf("closed with %d (%v), want %d", got, err, wire.CloseSignedOut)
			}
			break
		}
	}
	w.call(bob.Token, "GET", "/v1/me", nil, 401, nil)
}

// TestCrashBetweenAppendAndInbox kills a server that does not sweep: it stops
// dead with messages acknowledged and no inbox written, and the next server on
// the same store shows them in every inbox.
func TestCrashBetweenAppendAndInbox(t *testing.T) {
	s := &inboxless{Store: memstore.New()}
	w := start(t, s)
	alice, bob := w.register("alice"), w.register("bob")
	var c wire.Conversation
	w.call(alice.Token, "POST", "/v1/conversations", map[string]any{"kind": "direct", "members": []string{"bob"}}, 201, &c)
	s.lost.Store(true)
	for i := range 5 {
		w.call(alice.Token, "POST", "/v1/conversations/"+c.ID+"/entries", message(fmt.Sprintf("m%d", i), "hello"), 201, nil)
	}
	w.srv.Kill()
	s.lost.Store(false)
	w = start(t, s)
	var list wire.List[wire.Row]
	w.call(bob.Token, "GET", "/v1/conversations", nil, 200, &list)
	if len(list.Items) != 1 || list.Items[0].Head != 6 || list.Items[0].Unread != 5 {
		t.Errorf("bob's inbox after the crash: %+v", list.Items)
	}
	if left, err := s.DirtyAfter(t.Context(), nil, "", 10); err != nil || len(left) != 0 {
		t.Errorf("still marked after the sweep: %v, %v", left, err)
	}
}

// TestDrain kills a drain that cuts off what was accepted.
func TestDrain(t *testing.T) {
	w := start(t, memstore.New())
	alice := w.register("alice")
	var c wire.Conversation
	w.call(alice.Token, "POST", "/v1/conversations", map[string]any{"kind": "group", "members": []string{}}, 201, &c)
	s := w.connect(alice.Token, "")
	s.until("welcome", func(f wire.ServerFrame) bool { return f.T == wire.FrameWelcome })
	polled := make(chan int, 1)
	var sync wire.Sync
	w.call(alice.Token, "GET", "/v1/sync", nil, 200, &sync)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", w.url()+"/v1/sync?timeout=50&cursor="+sync.Cursor, nil)
		req.Header.Set("Authorization", "Bearer "+alice.Token)
		res, err := w.client.Do(req)
		if err != nil {
			polled <- 0
			return
		}
		_ = res.Body.Close()
		polled <- res.StatusCode
	}()
	closed := make(chan error, 1)
	begun := time.Now()
	go func() { closed <- w.srv.Close(t.Context()) }()
	s.until("goaway", func(f wire.ServerFrame) bool { return f.T == wire.FrameGoaway })
	if _, _, err := s.ws.Read(t.Context()); websocket.CloseStatus(err) != wire.CloseRetryNow {
		t.Errorf("the connection ended with %v, want %d", err, wire.CloseRetryNow)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("a drain of one connection took %v", took)
	}
	if status := <-polled; status != 200 && status != 0 {
		t.Errorf("a poll that waited was answered with %d", status)
	}
}

// TestCrashBetweenDeleteAndErase kills a start that leaves what was deleted in
// the store: the server stops dead when the delete stands in the log and the
// body does too.
func TestCrashBetweenDeleteAndErase(t *testing.T) {
	s := memstore.New()
	w := start(t, s)
	alice := w.register("alice")
	w.register("bob")
	var c wire.Conversation
	w.call(alice.Token, "POST", "/v1/conversations", map[string]any{"kind": "direct", "members": []string{"bob"}}, 201, &c)
	w.call(alice.Token, "POST", "/v1/conversations/"+c.ID+"/entries", message("m1", "regretted"), 201, nil)
	s.Fail(func(op string) error {
		if op == "Erase" {
			return store.ErrUnavailable
		}
		return nil
	})
	w.call(alice.Token, "DELETE", "/v1/conversations/"+c.ID+"/entries/2", map[string]any{"id": "d1"}, 503, nil)
	w.srv.Kill()
	s.Fail(nil)
	body := func() string {
		entries, err := s.Read(t.Context(), parley.ConversationID(c.ID), 1, 1)
		if err != nil || len(entries) != 1 {
			t.Fatal(entries, err)
		}
		return string(entries[0].Body.Data)
	}
	if body() == "" {
		t.Fatal("the body is gone before the start: this showed nothing")
	}
	start(t, s)
	if text := body(); text != "" {
		t.Errorf("the store still holds %q", text)
	}
}
