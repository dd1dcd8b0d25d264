package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/inbox"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/wire"
)

// node is everything between a socket and the disk, on a store in memory.
type node struct {
	t      *testing.T
	store  *memstore.Store
	inbox  *inbox.Keeper
	fanout *fanout.Fanout
	owner  *convo.Owner
	hub    *session.Hub
}

// deaf is a switchboard that forgets to nudge: what the delivery tests must
// notice.
type deaf struct{ session.Fanout }

func (deaf) Watch(parley.UserID, fanout.Watcher) func() { return func() {} }

// plain describes rows by their numbers.
type plain struct{}

func (plain) Describe(_ context.Context, _ parley.UserID, rows []parley.Row) ([]wire.Row, error) {
	out := make([]wire.Row, len(rows))
	for i := range rows {
		r := &rows[i]
		out[i] = wire.Row{ID: string(r.Conversation), Kind: string(r.Kind), Head: uint64(r.Head), Unread: r.Unread(), Pos: uint64(r.Pos)}
	}
	return out, nil
}

type unlimited struct{}

func (unlimited) Wait(parley.UserID) time.Duration { return 0 }

func newNode(t *testing.T, change ...func(*session.Config)) *node {
	t.Helper()
	n := &node{t: t, store: memstore.New()}
	quiet := slog.New(slog.DiscardHandler)
	n.inbox = inbox.New(inbox.Config{Store: n.store, Log: n.store, Logger: quiet, Changed: func(u parley.UserID) { n.fanout.Changed(u) }})
	n.fanout = fanout.New(fanout.Config{Inboxes: n.inbox, Log: n.store, Logger: quiet})
	n.owner = convo.New(convo.Config{Log: n.store, Publisher: n.fanout, Now: time.Now, Rand: rand.Reader, Logger: quiet})
	cfg := session.Config{
		Conversations: n.owner, Inboxes: n.inbox, Fanout: n.fanout, Describer: plain{}, Limiter: unlimited{},
		Logger: quiet, Epoch: n.store.Epoch(), Server: "test/0", Limits: wire.DefaultLimits(),
	}
	for _, c := range change {
		c(&cfg)
	}
	n.hub = session.New(cfg)
	t.Cleanup(func() {
		n.owner.Close(context.Background())
		n.hub.Close()
		_ = n.inbox.Close(context.Background())
		_ = n.store.Close()
	})
	return n
}

// rest lets d of the bubble's time pass, and everything come to rest.
func rest(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (n *node) group(members ...parley.UserID) parley.ConversationID {
	n.t.Helper()
	c, _, err := n.owner.Create(n.t.Context(), members[0], parley.Group, "", members[1:])
	if err != nil {
		n.t.Fatal(err)
	}
	return c.ID
}

func (n *node) post(c parley.ConversationID, sender parley.UserID, id string) parley.Ack {
	n.t.Helper()
	ch := make(chan parley.Ack, 1)
	n.owner.Post(parley.Post{Conversation: c, Sender: sender, ID: parley.MessageID(id), Body: parley.Body{Type: parley.TextPlain, Data: []byte(id)}}, func(a parley.Ack, err error) {
		if err != nil {
			n.t.Error(err)
		}
		ch <- a
	})
	return <-ch
}

// device is a client that keeps what it is told, as the protocol asks: it
// moves its cursor only with what a changes frame says.
type device struct {
	t    *testing.T
	user parley.UserID

	follow bool // goes where it is sent

	mu      sync.Mutex
	frames  []wire.ServerFrame
	seen    map[string][]uint64 // numbers by conversation, in the order told
	rows    map[string]wire.Row
	cursor  string
	closed  int           // close code
	stalled chan struct{} // non-nil: writes wait for it

	link    *link
	session *session.Session
}

// link is one connection of a device; what is written after it broke is lost.
type link struct {
	*device
	broken bool
}

func newDevice(t *testing.T, user parley.UserID) *device {
	return &device{t: t, user: user, seen: map[string][]uint64{}, rows: map[string]wire.Row{}}
}

func (d *device) connect(n *node) *device {
	d.t.Helper()
	d.link = &link{device: d}
	s, err := n.hub.Connect(wire.User{ID: string(d.user)}, wire.Device{ID: "dev-" + string(d.user)}, wire.ClientFrame{T: wire.OpHello, Cursor: d.cursor, Follow: d.follow}, d.link)
	if err != nil {
		d.t.Fatal(err)
	}
	d.session = s
	return d
}

// WriteFrames implements session.Conn.
func (d *link) WriteFrames(frames [][]byte) error {
	d.mu.Lock()
	stalled := d.stalled
	d.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		return errors.New("broken pipe")
	}
	for _, raw := range frames {
		if len(raw) > wire.MaxFrame {
			d.t.Errorf("a frame of %d bytes", len(raw))
		}
		f, err := wire.DecodeServer(raw)
		if err != nil {
			d.t.Errorf("the server said %s: %v", raw, err)
			continue
		}
		d.frames = append(d.frames, f)
		for _, e := range f.Entries {
			if f.Ref == "" {
				d.seen[e.Conversation] = append(d.seen[e.Conversation], e.Seq)
			}
		}
		for _, r := range f.Rows {
			d.rows[r.ID] = r
		}
		if f.T == wire.FrameResync {
			d.cursor, d.seen, d.rows = "", map[string][]uint64{}, map[string]wire.Row{}
		}
		if f.Cursor != "" {
			d.cursor = f.Cursor
		}
	}
	return nil
}

// Close implements session.Conn.
func (d *link) Close(code int, _ string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = code
}

// told fails unless the device has 1..head of c, each once and in order.
func (d *device) told(c parley.ConversationID, head int) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := d.seen[string(c)]
	for i, seq := range seen {
		if seq != uint64(i+1) {
			d.t.Errorf("%s was told %v", d.user, seen)
			return
		}
	}
	if len(seen) != head {
		d.t.Errorf("%s was told %d entries, want %d", d.user, len(seen), head)
	}
}

// ask reads what a row says there is and nothing told, as a device must that
// was away for too many changes.
func (d *device) ask(c parley.ConversationID) {
	after := uint64(len(d.seen[string(c)]))
	if after >= d.rows[string(c)].Head {
		return
	}
	d.session.Receive(wire.ClientFrame{T: wire.OpRead, Ref: "1", Conversation: string(c), After: &after, Limit: wire.MaxLimit})
	rest(time.Second)
	if f, ok := d.last(wire.FrameEntries); ok && f.Ref == "1" {
		for _, e := range f.Entries {
			d.seen[string(c)] = append(d.seen[string(c)], e.Seq)
		}
	}
}

func (d *device) last(kind string) (wire.ServerFrame, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := len(d.frames) - 1; i >= 0; i-- {
		if d.frames[i].T == kind {
			return d.frames[i], true
		}
	}
	return wire.ServerFrame{}, false
}

// liveWithin says whether a message reaches every device of two users, also
// the sender's, within a tenth of a second.
func liveWithin(t *testing.T, change ...func(*session.Config)) bool {
	live := true
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, change...)
		c := n.group("u-a", "u-b")
		devices := []*device{newDevice(t, "u-a").connect(n), newDevice(t, "u-a").connect(n), newDevice(t, "u-b").connect(n)}
		rest(time.Second)
		n.post(c, "u-a", "m1")
		rest(100 * time.Millisecond)
		for _, d := range devices {
			if got := d.seen[string(c)]; len(got) != 2 || got[0] != 1 || got[1] != 2 {
				live = false
			}
			d.session.Closed()
		}
	})
	return live
}

// TestLive and its control: without nudges nothing arrives.
func TestLive(t *testing.T) {
	if !liveWithin(t) {
		t.Error("a message did not arrive at once")
	}
	if liveWithin(t, func(c *session.Config) { c.Fanout = deaf{c.Fanout} }) {
		t.Error("with the nudges removed the message arrived all the same: this test shows nothing")
	}
}

// TestAnyInterruption cuts devices off at random moments, with frames lost
// from the moment of the cut, and brings them back with the cursor they had.
// It kills a cursor that moves over what was not told, and a resume that
// repeats.
func TestAnyInterruption(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) { interrupted(t, seed) })
	}
}

func interrupted(t *testing.T, seed uint64) {
	rng := mrand.New(mrand.NewPCG(seed, 7))
	n := newNode(t)
	conversations := []parley.ConversationID{n.group("u-a", "u-b"), n.group("u-b", "u-a"), n.group("u-a", "u-b")}
	d := newDevice(t, "u-b")
	heads := make(map[parley.ConversationID]int)
	for _, c := range conversations {
		heads[c] = 1
	}
	// kept is what the device stored with the cursor it stored: what is told
	// after the last cursor is forgotten by a crash of the device.
	kept := map[string][]uint64{}
	for round := range 12 {
		d.mu.Lock()
		d.seen, d.frames = clone(kept), nil
		d.mu.Unlock()
		d.connect(n)
		for i := range rng.IntN(20) {
			c := conversations[rng.IntN(len(conversations))]
			n.post(c, []parley.UserID{"u-a", "u-b"}[rng.IntN(2)], fmt.Sprintf("m-%d-%d", round, i))
			heads[c]++
			if rng.IntN(4) == 0 {
				rest(time.Duration(rng.IntN(200)) * time.Millisecond)
			}
			if rng.IntN(6) == 0 {
				d.session.Receive(wire.ClientFrame{T: wire.OpMark, Conversation: string(c), Read: uint64(heads[c])})
			}
		}
		if rng.IntN(3) > 0 {
			rest(2 * time.Second)
		}
		d.mu.Lock()
		d.link.broken = true
		kept = settled(d)
		d.mu.Unlock()
		d.session.Closed()
	}
	d.mu.Lock()
	d.seen = clone(kept)
	d.mu.Unlock()
	d.connect(n)
	rest(5 * time.Second)
	for _, c := range conversations {
		d.ask(c)
		d.told(c, heads[c])
		if r := d.rows[string(c)]; r.Head != uint64(heads[c]) {
			t.Errorf("seed %d: the row says %d, want %d", seed, r.Head, heads[c])
		}
	}
	d.session.Closed()
	fresh := newDevice(t, "u-b").connect(n)
	rest(5 * time.Second)
	for _, c := range conversations {
		fresh.told(c, heads[c])
	}
	fresh.session.Closed()
	if t.Failed() {
		t.Fatalf("seed %d", seed)
	}
}

// settled returns what the device had when its cursor last moved: it cuts
// what it was told since, conversation by conversation, to the rows' heads.
func settled(d *device) map[string][]uint64 {
	out := map[string][]uint64{}
	for c, seen := range d.seen {
		head := d.rows[c].Head
		for _, s := range seen {
			if s <= head {
				out[c] = append(out[c], s)
			}
		}
	}
	return out
}

func clone(m map[string][]uint64) map[string][]uint64 {
	out := make(map[string][]uint64, len(m))
	for k, v := range m {
		out[k] = append([]uint64(nil), v...)
	}
	return out
}

// TestCursorsThatAreNotGood start from nothing, and say so first.
func TestCursorsThatAreNotGood(t *testing.T) {
	for _, cursor := range []string{"other.3", "nonsense", "-1", "x.-1", "EPOCH.99999"} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t)
			c := n.group("u-a", "u-b")
			n.post(c, "u-a", "m1")
			d := newDevice(t, "u-b")
			d.cursor = cursor
			if cursor == "EPOCH.99999" {
				d.cursor = string(n.store.Epoch()) + ".99999"
			}
			d.connect(n)
			rest(time.Second)
			d.told(c, 2)
			if d.frames[0].T != wire.FrameWelcome || d.frames[1].T != wire.FrameResync {
				t.Errorf("cursor %q: %s, %s; want welcome, resync", cursor, d.frames[0].T, d.frames[1].T)
			}
			d.session.Closed()
		})
	}
}

// TestFarBehind gets the row and no more, and asks for what it wants.
func TestFarBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.group("u-a", "u-b")
		for i := range 300 {
			n.post(c, "u-a", fmt.Sprintf("m%d", i))
		}
		d := newDevice(t, "u-b").connect(n)
		rest(time.Second)
		if len(d.seen) != 0 || d.rows[string(c)].Head != 301 {
			t.Errorf("told %d entries and the head %d, want the row alone", len(d.seen[string(c)]), d.rows[string(c)].Head)
		}
		after := uint64(1)
		for after < 301 {
			d.session.Receive(wire.ClientFrame{T: wire.OpRead, Ref: `"r"`, Conversation: string(c), After: &after, Limit: 500})
			rest(time.Second)
			f, _ := d.last(wire.FrameEntries)
			if f.Ref != `"r"` || len(f.Entries) == 0 || len(f.Entries) > wire.MaxLimit || f.Entries[0].Seq != after+1 || f.Head != 301 {
				t.Fatalf("read after %d: ref %s, %d entries, head %d", after, f.Ref, len(f.Entries), f.Head)
			}
			after = f.Entries[len(f.Entries)-1].Seq
		}
		before := uint64(10)
		d.session.Receive(wire.ClientFrame{T: wire.OpRead, Ref: "2", Conversation: string(c), Before: &before, Limit: 3})
		rest(time.Second)
		if f, _ := d.last(wire.FrameEntries); len(f.Entries) != 3 || f.Entries[0].Seq != 7 || f.Entries[2].Seq != 9 {
			t.Errorf("read before 10: %+v", f.Entries)
		}
		d.session.Receive(wire.ClientFrame{T: wire.OpRead, Ref: "3", Conversation: "g-none", Limit: 3})
		rest(time.Second)
		if f, _ := d.last(wire.FrameError); f.Ref != "3" || f.Code != string(parley.NotFound) {
			t.Errorf("reading a stranger's conversation: %+v", f)
		}
		d.session.Closed()
	})
}

// TestSlowReader stalls one device through a flood: it costs marks and not
// memory, its neighbour notices nothing, and what it missed it finds again.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.group("u-a", "u-b", "u-c")
		slow, quick := newDevice(t, "u-b").connect(n), newDevice(t, "u-c").connect(n)
		rest(time.Second)
		slow.mu.Lock()
		slow.stalled = make(chan struct{})
		slow.mu.Unlock()
		for i := range 1000 {
			n.post(c, "u-a", fmt.Sprintf("m%d", i))
			if i%50 == 0 {
				rest(10 * time.Millisecond)
			}
		}
		rest(time.Second)
		quick.told(c, 1001)
		if b := session.Held(slow.session); b > 4096 {
			t.Errorf("a device that does not read holds %d bytes of answers", b)
		}
		close(slow.stalled)
		slow.mu.Lock()
		slow.stalled = nil
		slow.mu.Unlock()
		rest(time.Second)
		if slow.rows[string(c)].Head != 1001 {
			t.Errorf("after it woke up the slow device knows the head %d, want 1001", slow.rows[string(c)].Head)
		}
		slow.session.Closed()
		quick.session.Closed()
	})
}

// TestAnswersThatWaitUnread cuts off a device that asks and never reads.
func TestAnswersThatWaitUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		d := newDevice(t, "u-b").connect(n)
		rest(time.Second)
		d.mu.Lock()
		d.stalled = make(chan struct{})
		d.mu.Unlock()
		for range 10_000 {
			d.session.Refuse("1", parley.E(parley.BadRequest, "test", "no such thing"))
		}
		d.mu.Lock()
		code := d.closed
		d.mu.Unlock()
		if code != wire.CloseRetryLater {
			t.Errorf("closed with %d, want %d", code, wire.CloseRetryLater)
		}
		d.session.Closed()
		close(d.stalled)
	})
}

// TestSignedOut closes the device that was signed out, and no other.
func TestSignedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		a, b := newDevice(t, "u-a").connect(n), newDevice(t, "u-b").connect(n)
		rest(time.Second)
		n.fanout.Revoke("u-a", "dev-u-a")
		synctest.Wait()
		if a.closed != wire.CloseSignedOut || b.closed != 0 {
			t.Errorf("closed with %d and %d, want %d and nothing", a.closed, b.closed, wire.CloseSignedOut)
		}
		a.session.Closed()
		b.session.Closed()
	})
}

// TestKeep kills a session of a device that was signed out while its node did
// not hear of it, and one that goes although its device is there.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		a := newDevice(t, "u-a").connect(n)
		rest(time.Second)
		n.fanout.Keep("u-a", []parley.DeviceID{"another", "dev-u-a"})
		synctest.Wait()
		if a.closed != 0 {
			t.Errorf("closed with %d although its device is signed in", a.closed)
		}
		n.fanout.Keep("u-a", []parley.DeviceID{"another"})
		synctest.Wait()
		if a.closed != wire.CloseSignedOut {
			t.Errorf("closed with %d, want %d", a.closed, wire.CloseSignedOut)
		}
		a.session.Closed()
	})
}

// TestLead kills a session that does not say where to go, and one that sends
// away a client that would come back to the same address for ever.
func TestLead(t *testing.T) {
	for _, follow := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t)
			a := newDevice(t, "u-a")
			a.follow = follow
			a.connect(n)
			rest(time.Second)
			n.fanout.Lead("u-a", "https://b.chat.example")
			synctest.Wait()
			f, told := a.last(wire.FrameGoaway)
			if told != follow || follow && (f.URL != "https://b.chat.example" || a.closed != wire.CloseRetryNow) {
				t.Errorf("follow %v: told %v %+v, closed with %d", follow, told, f, a.closed)
			}
			a.session.Closed()
		})
	}
}

// TestIdleHoldsNothing kills a session that keeps a goroutine or a map.
func TestIdleHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.group("u-a", "u-b")
		d := newDevice(t, "u-b").connect(n)
		for i := range 10 {
			n.post(c, "u-a", fmt.Sprintf("m%d", i))
		}
		rest(5 * time.Second)
		if !session.Idle(d.session) {
			t.Error("a session with nothing to say holds something")
		}
		d.session.Closed()
	})
}

// TestPoll syncs page by page and waits for news; without nudges it would
// wait in vain.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		p := session.Poll{Inboxes: n.inbox, Fanout: n.fanout, Epoch: n.store.Epoch()}
		c := n.group("u-a", "u-b")
		flush := func() {
			if err := n.inbox.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		flush()
		n.group("u-b", "u-a")
		flush()
		n.post(c, "u-a", "m1")
		first, err := p.Sync(t.Context(), "u-b", nil, 1)
		if err != nil || len(first.Rows) != 1 || !first.More || first.Resync {
			t.Fatalf("first page: %+v, %v", first, err)
		}
		second, err := p.Sync(t.Context(), "u-b", &first.Cursor, 1)
		if err != nil || len(second.Rows) != 1 || second.More {
			t.Fatalf("second page: %+v, %v", second, err)
		}
		// The first conversation moved past the first page before the pages
		// were read: what the device has of it is not certain.
		if len(first.Entries) != 1 || len(second.Entries) != 0 || second.Rows[0].Head != 2 {
			t.Errorf("pages of %d and %d entries, want 1 and the row alone", len(first.Entries), len(second.Entries))
		}
		waited := make(chan time.Duration)
		begun := time.Now()
		go func() {
			if err := p.Wait(t.Context(), "u-b", second.Cursor); err != nil {
				t.Error(err)
			}
			waited <- time.Since(begun)
		}()
		rest(3 * time.Second)
		n.post(c, "u-a", "m2")
		if d := <-waited; d > 3100*time.Millisecond {
			t.Errorf("a poll waited %v for a message that came after 3 s", d)
		}
		third, err := p.Sync(t.Context(), "u-b", &second.Cursor, 10)
		if err != nil || len(third.Entries) != 1 || third.Entries[0].ID != "m2" {
			t.Errorf("after the wait: %+v, %v", third, err)
		}
		ahead := third.Cursor
		ahead.Pos += 5
		again, err := p.Sync(t.Context(), "u-b", &ahead, 10)
		if err != nil || !again.Resync || len(again.Rows) != 2 || len(again.Entries) != 4 {
			t.Errorf("a cursor from the future: %+v, %v", again, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Wait(ctx, "u-b", third.Cursor); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait without news ended with %v", err)
		}
	})
}
