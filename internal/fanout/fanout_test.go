package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
)

// desk records what reaches it, in order: inboxes and watchers alike.
type desk struct {
	did      []string
	flushErr error
}

func (d *desk) Advance(u parley.UserID, a parley.Advance) {
	d.did = append(d.did, fmt.Sprintf("advance %s %d..%d own %d", u, a.From, a.Head, len(a.Own)))
}

func (d *desk) Flush(context.Context) error {
	d.did = append(d.did, "flush")
	return d.flushErr
}

func (d *desk) watcher(u parley.UserID) fanout.Watcher { return &watcher{desk: d, user: u} }

type watcher struct {
	kept []parley.DeviceID
	desk *desk
	user parley.UserID
}

func (w *watcher) Nudge(_ parley.ConversationID, head parley.Seq) {
	w.desk.did = append(w.desk.did, fmt.Sprintf("nudge %s %d", w.user, head))
}
func (w *watcher) Changed()    { w.desk.did = append(w.desk.did, fmt.Sprintf("changed %s", w.user)) }
func (w *watcher) Lead(string) {}

func (w *watcher) Keep(devices []parley.DeviceID) { w.kept = devices }

func (w *watcher) Revoked(d parley.DeviceID) {
	w.desk.did = append(w.desk.did, fmt.Sprintf("revoked %s %s", w.user, d))
}

// log is a log of one conversation that counts how often it is read.
type log struct {
	entries []parley.Entry
	reads   int
}

func (l *log) Read(_ context.Context, _ parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error) {
	l.reads++
	if after >= parley.Seq(len(l.entries)) {
		return nil, nil
	}
	rest := l.entries[after:]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

const g = parley.ConversationID("g1")

func newFanout(d *desk, l *log, bytes int64) *fanout.Fanout {
	return fanout.New(fanout.Config{Inboxes: d, Log: l, Logger: slog.New(slog.DiscardHandler), TailBytes: bytes})
}

func conversation(members ...parley.UserID) *parley.Conversation {
	c := &parley.Conversation{ID: g, Kind: parley.Group}
	for _, u := range members {
		c.Members = append(c.Members, parley.Member{User: u, Since: 1})
	}
	return c
}

// say appends n messages by sender to l and returns them.
func (l *log) say(sender parley.UserID, n int) []parley.Entry {
	from := len(l.entries)
	for range n {
		seq := parley.Seq(len(l.entries) + 1)
		l.entries = append(l.entries, parley.Entry{
			Conversation: g, Seq: seq, Kind: parley.KindMessage, Sender: sender, Count: uint64(seq), Body: parley.Body{Type: parley.TextPlain, Data: []byte("hello")},
		})
	}
	return l.entries[from:]
}

// TestSenderLast: recipients hear first, the sender's own devices last, and
// whoever left hears nothing.
func TestSenderLast(t *testing.T) {
	d, l := &desk{}, &log{}
	f := newFanout(d, l, 0)
	c := conversation("u-a", "u-b", "u-c", "u-left")
	l.say("u-x", 4)
	c.Members[3].Until = 4
	for _, u := range []parley.UserID{"u-a", "u-b", "u-left", "u-stranger"} {
		f.Watch(u, d.watcher(u))
	}
	f.Publish(c, l.say("u-a", 2), told)
	want := []string{"advance u-b 4..6 own 0", "nudge u-b 6", "advance u-c 4..6 own 0", "advance u-a 4..6 own 2", "nudge u-a 6"}
	if !slices.Equal(d.did, want) {
		t.Errorf("did %q\nwant %q", d.did, want)
	}
}

// TestWatchers: each is told while it watches, and only of its user.
func TestWatchers(t *testing.T) {
	d := &desk{}
	f := newFanout(d, &log{}, 0)
	stop := f.Watch("u-a", d.watcher("u-a"))
	stopTwin := f.Watch("u-a", d.watcher("u-a"))
	f.Changed("u-a")
	f.Changed("u-b")
	stop()
	stop() // twice is once
	f.Revoke("u-a", "dev")
	stopTwin()
	f.Changed("u-a")
	want := []string{"changed u-a", "changed u-a", "revoked u-a dev"}
	if !slices.Equal(d.did, want) {
		t.Errorf("did %q, want %q", d.did, want)
	}
}

// TestTail: what was just said is read from memory, without a gap, and what
// it does not hold from the log.
func TestTail(t *testing.T) {
	d, l := &desk{}, &log{}
	f := newFanout(d, l, 0)
	c := conversation("u-a")
	f.Publish(c, l.say("u-a", 40), told)
	check := func(after parley.Seq, limit int, wantReads int) {
		t.Helper()
		l.reads = 0
		told, err := f.Read(t.Context(), g, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		want := min(limit, len(l.entries)-int(after))
		if len(told) != want || l.reads != wantReads {
			t.Errorf("after %d: %d entries with %d reads of the log, want %d with %d", after, len(told), l.reads, want, wantReads)
		}
		for i, e := range told {
			if e.Seq != after+parley.Seq(i)+1 {
				t.Fatalf("after %d: number %d stands at place %d", after, e.Seq, i)
			}
		}
	}
	check(0, 100, 0)
	check(39, 10, 0)
	check(10, 5, 0)
	check(40, 5, 1) // nothing new here; another owner might know better
	f.Publish(c, l.say("u-a", 60), told)
	check(0, 10, 1) // fell out of the tail
	check(90, 10, 0)
	l.say("u-a", 3) // another owner wrote
	f.Publish(c, l.say("u-a", 2), told)
	check(99, 10, 1) // the tail has no gaps: it dropped what it held
	check(103, 10, 0)
	f.Publish(c, l.entries[20:22], told) // old news
	check(103, 10, 0)
}

// TestTailIsBounded: many conversations do not hold more than the bound, and
// the one that was longest without news goes first.
func TestTailIsBounded(t *testing.T) {
	l := &log{}
	f := newFanout(&desk{}, l, 20_000)
	entries := l.say("u-a", 1)
	for i := range 200 {
		c := conversation("u-a")
		c.ID = parley.ConversationID(fmt.Sprintf("g%d", i))
		f.Publish(c, entries, told)
	}
	for id, want := range map[parley.ConversationID]int{"g0": 1, "g199": 0} {
		l.reads = 0
		if _, err := f.Read(t.Context(), id, 0, 1); err != nil || l.reads != want {
			t.Errorf("%s took %d reads of the log (%v), want %d", id, l.reads, err, want)
		}
	}
}

// TestEncodedOnce: however many read an entry, its wire form is made once.
func TestEncodedOnce(t *testing.T) {
	l := &log{}
	f := newFanout(&desk{}, l, 0)
	f.Publish(conversation("u-a"), l.say("u-a", 1), told)
	made := 0
	for range 5 {
		told, err := f.Read(t.Context(), g, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		told[0].Wire(func(*parley.Entry) []byte { made++; return []byte("x") })
	}
	if made != 1 {
		t.Errorf("encoded %d times", made)
	}
}

func told(error) {}

// marked is a store's dirty marks.
type marked struct {
	desk  *desk
	state map[parley.ConversationID]*parley.Conversation
	heads map[parley.ConversationID]parley.Seq
}

func (m *marked) DirtyAfter(_ context.Context, _ func(int) bool, c parley.ConversationID, limit int) (out []parley.ConversationID, _ error) {
	for id := range m.heads {
		if id > c {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out[:min(limit, len(out))], nil
}

func (m *marked) Settle(_ context.Context, c parley.ConversationID, head parley.Seq) error {
	m.desk.did = append(m.desk.did, fmt.Sprintf("settle %s %d", c, head))
	if m.heads[c] == head {
		delete(m.heads, c)
	}
	return nil
}

func (m *marked) Where(_ context.Context, c parley.ConversationID) (*parley.Conversation, parley.Seq, uint64, error) {
	return m.state[c], m.heads[c], uint64(m.heads[c]), nil
}

// TestSweep kills a sweep that forgets a member, one that settles a mark
// before the inboxes are durable, and one that stops at a page.
func TestSweep(t *testing.T) {
	d := &desk{}
	m := &marked{desk: d, state: map[parley.ConversationID]*parley.Conversation{g: conversation("u-a", "u-b")}, heads: map[parley.ConversationID]parley.Seq{g: 7}}
	f := newFanout(d, &log{}, 0)
	if n, err := f.Sweep(t.Context(), m, nil); n != 1 || err != nil {
		t.Fatalf("Sweep = %d, %v", n, err)
	}
	want := []string{"advance u-a 7..7 own 0", "advance u-b 7..7 own 0", "flush", "settle g1 7"}
	if !slices.Equal(d.did, want) {
		t.Errorf("did %q\nwant %q", d.did, want)
	}
	for i := range 1000 {
		id := parley.ConversationID(fmt.Sprintf("g%04d", i))
		m.heads[id], m.state[id] = 1, conversation("u-a")
	}
	if n, err := f.Sweep(t.Context(), m, nil); n != 1000 || err != nil || len(m.heads) != 0 {
		t.Errorf("Sweep = %d, %v, and %d marks are left", n, err, len(m.heads))
	}
	m.heads[g], d.flushErr, d.did = 8, errors.New("disk"), nil
	if _, err := f.Sweep(t.Context(), m, nil); err == nil || slices.Contains(d.did, "settle g1 8") {
		t.Errorf("inboxes were not written (%v), and it did %q", err, d.did)
	}
}

// owner may be busy.
type owner struct {
	busy bool
	head parley.Seq
}

func (u *owner) Rests(context.Context, parley.ConversationID) (parley.Seq, bool) {
	return u.head, !u.busy
}

// TestSettle: a mark goes when its conversation rests and its inboxes are
// durable, in that order, and is tried again until then.
func TestSettle(t *testing.T) {
	d, l := &desk{}, &log{}
	m := &marked{desk: d, heads: map[parley.ConversationID]parley.Seq{g: 1}}
	f := newFanout(d, l, 0)
	f.Publish(conversation("u-a"), l.say("u-a", 1), told)
	o := &owner{busy: true, head: 1}
	if err := f.Settle(t.Context(), m, o); err != nil || len(m.heads) != 1 {
		t.Errorf("a busy conversation was settled (%v)", err)
	}
	o.busy, d.flushErr = false, errors.New("disk")
	if err := f.Settle(t.Context(), m, o); err == nil || len(m.heads) != 1 {
		t.Errorf("settled (%v) though the inboxes are not durable", err)
	}
	d.flushErr, d.did = nil, nil
	if err := f.Settle(t.Context(), m, o); err != nil || !slices.Equal(d.did, []string{"flush", "settle g1 1"}) {
		t.Errorf("Settle: %v, did %q", err, d.did)
	}
	d.did = nil
	if err := f.Settle(t.Context(), m, o); err != nil || !slices.Equal(d.did, []string{"flush"}) {
		t.Errorf("settled what had not moved: %v, %q", err, d.did)
	}
}

// batch is a desk that can be begun anew.
type batch struct {
	desk
	onFlush func()
}

func (b *batch) Flush(ctx context.Context) error {
	if f := b.onFlush; f != nil {
		b.onFlush = nil
		f()
	}
	return b.desk.Flush(ctx)
}

// TestRedoWhileSettling kills a hand-over that leaves out what a Settle has in
// hand just then: what it notes is not durable yet, and may go to a node that
// is no more.
func TestRedoWhileSettling(t *testing.T) {
	d, l := &desk{}, &log{}
	m := &marked{desk: d, state: map[parley.ConversationID]*parley.Conversation{g: conversation("u-a")}, heads: map[parley.ConversationID]parley.Seq{g: 1}}
	settling, redoing := &batch{}, &batch{}
	next := []*batch{settling, redoing}
	f := fanout.New(fanout.Config{Inboxes: d, Log: l, Logger: slog.New(slog.DiscardHandler), Everywhere: func() fanout.Inboxes {
		b := next[0]
		next = next[1:]
		return b
	}})
	f.Publish(conversation("u-a"), l.say("u-a", 1), told)
	settling.onFlush = func() {
		if err := f.Redo(t.Context(), m); err != nil {
			t.Error(err)
		}
	}
	if err := f.Settle(t.Context(), m, &owner{head: 1}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"advance u-a 1..1 own 0", "flush"}; !slices.Equal(redoing.did, want) || !slices.Equal(settling.did, want) {
		t.Errorf("handing over did %q, settling %q, want %q of both", redoing.did, settling.did, want)
	}
}
