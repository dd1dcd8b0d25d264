package session_test

import (
	"context"
	"fmt"
	mrand "math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/wire"
)

// hall is a conversation whose members come and go, straight in the store.
type hall struct {
	session.Conversations
	n     *node
	state parley.Conversation
	head  parley.Seq
	count uint64
	may   map[parley.Seq]bool // numbers that the member was ever allowed
}

const theHall = parley.ConversationID("g-hall")

// the member who comes and goes
const guest = parley.UserID("u-guest")

func (h *hall) Get(ctx context.Context, reader parley.UserID, id parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error) {
	at, err := h.n.store.Load(ctx, id)
	if err != nil {
		return parley.Conversation{}, parley.Member{}, 0, err
	}
	m, ok := at.State.Member(reader)
	if !ok {
		return parley.Conversation{}, parley.Member{}, 0, parley.E(parley.NotFound, "test", "no")
	}
	if m.Until != 0 {
		at.Seq = min(at.Seq, m.Until)
	}
	return *at.State, m, at.Seq, nil
}

func newHall(n *node) *hall {
	h := &hall{n: n, may: map[parley.Seq]bool{}}
	h.state = parley.Conversation{ID: theHall, Kind: parley.Group, Members: []parley.Member{{User: guest, Since: 1}, {User: "u-host", Since: 1}}}
	h.commit(parley.KindMembers)
	return h
}

func (h *hall) guest() *parley.Member { return &h.state.Members[0] }

// commit appends entries and publishes them at once.
func (h *hall) commit(kinds ...parley.Kind) {
	h.n.t.Helper()
	var entries []parley.Entry
	base := h.head
	for _, kind := range kinds {
		h.head++
		if kind == parley.KindMessage {
			h.count++
		}
		entries = append(entries, parley.Entry{
			Conversation: theHall, Seq: h.head, Kind: kind, ID: parley.MessageID(fmt.Sprint(h.head)), Sender: "u-host", Count: h.count,
			At: time.Now().UTC(), Body: parley.Body{Type: parley.TextPlain, Data: []byte("x")},
		})
		if m := h.guest(); m.Until == 0 && h.head >= m.Since || h.head == m.Until {
			h.may[h.head] = true
		}
	}
	state := h.state
	state.Members = append([]parley.Member(nil), h.state.Members...)
	if err := h.n.store.Append(h.n.t.Context(), store.Append{Conversation: theHall, Base: base, Entries: entries, State: &state}); err != nil {
		h.n.t.Fatal(err)
	}
	h.n.fanout.Publish(&state, entries, func(error) {})
}

func (h *hall) say(n int) {
	for range n {
		h.commit(parley.KindMessage)
	}
}

func (h *hall) remove() {
	h.guest().Until = h.head + 1
	h.commit(parley.KindMembers)
}

func (h *hall) add(all bool) {
	*h.guest() = parley.Member{User: guest, Since: h.head + 1}
	if all {
		h.guest().Since = 1
		for seq := range h.head {
			h.may[seq+1] = true
		}
	}
	h.commit(parley.KindMembers)
}

// sweep does what a start does: rows learn where logs stand.
func (h *hall) sweep() {
	m := h.guest()
	h.n.inbox.Advance(guest, parley.Advance{Conversation: theHall, Kind: parley.Group, Since: m.Since, Until: m.Until, From: h.head, Head: h.head, Count: h.count})
}

// forgetful is inboxes that do not say what a user may read: the control.
type forgetful struct{ session.Inboxes }

func (f forgetful) HeadFor(ctx context.Context, user parley.UserID, c parley.ConversationID, at parley.Cursor) (parley.Seq, parley.Member, bool) {
	had, _, _ := f.Inboxes.HeadFor(ctx, user, c, at)
	return min(had, 1), parley.Member{User: user, Since: 1}, true
}

// cut ends a connection: what its session still says is lost.
func (d *device) cut() {
	d.mu.Lock()
	d.link.broken, d.closed = true, 0
	d.mu.Unlock()
	d.session.Closed()
}

// leaks says how many numbers reached a device outside its membership, and how
// many of the present one are missing in the end.
func leaks(t *testing.T, seed uint64, change ...func(*session.Config)) (outside, missing int) {
	synctest.Test(t, func(t *testing.T) {
		var h *hall
		n := newNode(t, append(change, func(c *session.Config) { h = &hall{}; c.Conversations = h })...)
		*h = *newHall(n)
		h.Conversations = n.owner
		rng := mrand.New(mrand.NewPCG(seed, 11))
		d := newDevice(t, guest).connect(n)
		poll := session.Poll{Inboxes: n.inbox, Fanout: n.fanout, Epoch: n.store.Epoch()}
		var cursor *parley.Cursor
		seen := map[parley.Seq]bool{}
		check := func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, f := range d.frames {
				for _, e := range f.Entries {
					if seen[parley.Seq(e.Seq)] = true; !h.may[parley.Seq(e.Seq)] {
						outside++
					}
				}
			}
			d.frames = nil
		}
		connected := true
		for range 40 {
			switch rng.IntN(11) {
			case 0, 1:
				if h.guest().Until == 0 {
					h.remove()
				}
			case 2, 3:
				if h.guest().Until != 0 {
					h.add(rng.IntN(4) == 0)
				}
			case 4:
				rest(time.Duration(rng.IntN(300)) * time.Millisecond)
			case 5: // rows lag
				n.store.Fail(func(op string) error {
					if op == "WriteInboxes" {
						return store.ErrFull
					}
					return nil
				})
			case 6:
				n.store.Fail(nil)
				n.fanout.Nudge(guest, theHall, h.head) // a node that does not know better
			case 7:
				if connected = !connected; connected {
					d.connect(n)
				} else {
					d.cut()
				}
			case 8:
				h.sweep()
				after := uint64(rng.IntN(int(h.head)))
				if connected {
					d.session.Receive(wire.ClientFrame{T: wire.OpRead, Ref: "1", Conversation: string(theHall), After: &after, Limit: 100})
				}
			case 9:
				page, err := poll.Sync(t.Context(), guest, cursor, 10)
				if err != nil {
					continue // rows lag
				}
				cursor = &page.Cursor
				for _, e := range page.Entries {
					if !h.may[e.Seq] {
						outside++
					}
				}
			default:
				h.say(1 + rng.IntN(3))
			}
			if rng.IntN(2) == 0 {
				synctest.Wait()
				check()
			}
		}
		rest(time.Second) // until a device that comes while rows lag is refused
		n.store.Fail(nil)
		d.mu.Lock()
		refused := d.closed != 0 // it came while rows could not be written
		d.mu.Unlock()
		if refused {
			d.cut()
		}
		if refused || !connected {
			d.connect(n)
		}
		rest(2 * time.Second)
		h.sweep()
		rest(2 * time.Second)
		check()
		m := h.guest()
		for seq := m.Since; seq <= h.head && (m.Until == 0 || seq <= m.Until); seq++ {
			// Who belongs again from the start asks for what was said meanwhile.
			if !seen[seq] && m.Since != 1 {
				missing++
			}
		}
		d.session.Closed()
	})
	return outside, missing
}

// TestNothingReachesWhoDoesNotBelong has a member come and go while rows lag,
// nudges lie and devices come back, by socket, by poll and by page. It kills
// every number that reaches a device from outside its membership, and a
// membership of which something is missing. In the control sessions do not
// hear what their users may read, and it must be seen.
func TestNothingReachesWhoDoesNotBelong(t *testing.T) {
	leaked := 0
	for seed := range uint64(150) {
		outside, missing := leaks(t, seed)
		if outside > 0 || missing > 0 {
			t.Errorf("seed %d: %d numbers were told to somebody who does not belong, and %d were missing", seed, outside, missing)
		}
		if leaked == 0 {
			leaked, _ = leaks(t, seed, func(c *session.Config) { c.Inboxes = forgetful{c.Inboxes} })
		}
	}
	if leaked == 0 {
		t.Error("sessions that do not know what may be read told nothing they should not: this test shows nothing")
	}
}

// TestRemovedWhileOnline kills a session that goes on after the removal, and
// one that does not say that there was one; then the member is back, and it
// kills one that goes on from where it was, or not at all.
func TestRemovedWhileOnline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		h := newHall(n)
		d := newDevice(t, guest).connect(n)
		h.say(2)
		rest(time.Second)
		h.remove() // 4
		h.say(3)   // 5, 6, 7
		n.fanout.Nudge(guest, theHall, 7)
		rest(time.Second)
		d.told(theHall, 4)
		if r := d.rows[string(theHall)]; r.Head != 4 {
			t.Errorf("the row says %d, want 4", r.Head)
		}
		h.add(false) // 8
		h.say(1)     // 9
		rest(time.Second)
		d.mu.Lock()
		seen := fmt.Sprint(d.seen[string(theHall)])
		d.mu.Unlock()
		if want := "[1 2 3 4 8 9]"; seen != want {
			t.Errorf("told %s, want %s", seen, want)
		}
		d.session.Closed()
		fresh := newDevice(t, guest).connect(n)
		rest(time.Second)
		if seen, want := fmt.Sprint(fresh.seen[string(theHall)]), "[8 9]"; seen != want {
			t.Errorf("a fresh device was told %s, want %s", seen, want)
		}
		fresh.session.Closed()
	})
}

// TestWithheldIsToldAsANumber kills a body that reaches who blocked its sender:
// live, on a page, by poll.
func TestWithheldIsToldAsANumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		h := &hall{n: n}
		h.state = parley.Conversation{ID: theHall, Kind: parley.Group, Members: []parley.Member{{User: guest, Since: 1}, {User: "u-host", Since: 1}}}
		entry := parley.Entry{
			Conversation: theHall, Seq: 1, Kind: parley.KindMessage, ID: "m1", Sender: "u-host", Device: "d", Count: 1,
			Body: parley.Body{Type: parley.TextPlain, Data: []byte("canary")}, Withheld: []parley.UserID{guest},
		}
		if err := n.store.Append(t.Context(), store.Append{Conversation: theHall, Entries: []parley.Entry{entry}, State: &h.state}); err != nil {
			t.Fatal(err)
		}
		d, other := newDevice(t, guest).connect(n), newDevice(t, "u-host").connect(n)
		rest(time.Second)
		n.fanout.Publish(&h.state, []parley.Entry{entry}, func(error) {})
		rest(time.Second)
		after := uint64(0)
		d.session.Receive(wire.ClientFrame{T: wire.OpRead, Ref: "1", Conversation: string(theHall), After: &after, Limit: 9})
		page, err := session.Poll{Inboxes: n.inbox, Fanout: n.fanout, Epoch: n.store.Epoch()}.Sync(t.Context(), guest, nil, 9)
		if err != nil || len(page.Entries) != 1 || page.Entries[0].Kind != parley.KindWithheld || page.Entries[0].ID != "" || page.Entries[0].Body.Data != nil {
			t.Errorf("a poll gives %+v, %v", page.Entries, err)
		}
		rest(time.Second)
		found := 0
		for _, f := range d.frames {
			for _, e := range f.Entries {
				if found++; e.Seq != 1 || e.Kind != "withheld" || e.Body != nil || e.Sender != "" || e.ID != "" || e.Device != "" {
					t.Errorf("told %+v", e)
				}
			}
		}
		if found != 2 {
			t.Errorf("told %d numbers, want one live and one on a page", found)
		}
		if f, ok := other.last(wire.FrameEntries); !ok || f.Entries[0].Body == nil {
			t.Errorf("the sender was told %+v", f)
		}
		d.session.Closed()
		other.session.Closed()
	})
}

// lost is inboxes whose owner does not answer for a while.
type lost struct {
	session.Inboxes
	gone *bool
}

func (l lost) HeadFor(ctx context.Context, user parley.UserID, c parley.ConversationID, at parley.Cursor) (parley.Seq, parley.Member, bool) {
	if *l.gone {
		return 0, parley.Member{}, false
	}
	return l.Inboxes.HeadFor(ctx, user, c, at)
}

// TestWhatWasToldIsNoMembership tells a device of its removal, live, while rows
// lag; then its user is back. It kills a session that goes on from what it told
// last: by a nudge, when nobody says what may be read, and by the row, when it
// comes before the nudge.
func TestWhatWasToldIsNoMembership(t *testing.T) {
	for _, unheard := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			gone := false
			n := newNode(t, func(c *session.Config) { c.Inboxes = lost{c.Inboxes, &gone} })
			h := newHall(n)
			d := newDevice(t, guest).connect(n)
			h.say(2)
			rest(time.Second)
			n.store.Fail(func(op string) error {
				if op == "WriteInboxes" {
					return store.ErrFull
				}
				return nil
			})
			h.remove() // 4
			rest(time.Second)
			h.say(3)
			resume := d.stall()
			d.session.Refuse("1", parley.E(parley.BadRequest, "test", "keeps it busy"))
			synctest.Wait()
			gone = unheard
			h.add(false) // 8
			h.say(1)
			if unheard {
				resume()
				rest(time.Second)
				d.told(theHall, 4)
				n.store.Fail(nil)
				rest(time.Second)
			} else {
				n.store.Fail(nil)
				rest(time.Second)
				resume()
				rest(time.Second)
			}
			if seen, want := fmt.Sprint(d.seen[string(theHall)]), "[1 2 3 4 8 9]"; seen != want {
				t.Errorf("told %s, want %s", seen, want)
			}
			d.session.Closed()
		})
	}
}

// asked is a switchboard that remembers how it was read.
type asked struct {
	session.Fanout
	how *[]string
}

func (a asked) Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]*fanout.Told, error) {
	*a.how = append(*a.how, fmt.Sprintf("exactly after %d", after))
	return a.Fanout.Read(ctx, c, after, limit)
}

func (a asked) ReadAt(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int, head parley.Seq) ([]*fanout.Told, error) {
	*a.how = append(*a.how, fmt.Sprintf("at %d after %d", head, after))
	return a.Fanout.ReadAt(ctx, c, after, limit, head)
}

func (a asked) Entries(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int, head parley.Seq) ([]parley.Entry, error) {
	how := fmt.Sprintf("at %d after %d", head, after)
	if head == 0 {
		how = fmt.Sprintf("exactly after %d", after)
	}
	*a.how = append(*a.how, how)
	return a.Fanout.Entries(ctx, c, after, limit, head)
}

// TestWhoReadsMemory kills a resume, a poll, or a page of somebody who left that
// believes a tail which may hold what was deleted, and a push or a page that
// does not use one that is good enough.
func TestWhoReadsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var how []string
		var h *hall
		n := newNode(t, func(c *session.Config) {
			h = &hall{}
			c.Conversations, c.Fanout = h, asked{c.Fanout, &how}
			c.History.Conversations, c.History.Fanout = c.Conversations, c.Fanout
		})
		*h = *newHall(n)
		took := func(what string, want ...string) {
			t.Helper()
			rest(time.Second)
			if fmt.Sprint(how) != fmt.Sprint(want) {
				t.Errorf("%s read %q, want %q", what, how, want)
			}
			how = nil
		}
		h.say(2)
		d := newDevice(t, guest).connect(n)
		took("a resume", "exactly after 0")
		h.say(1)
		took("a push", "at 0 after 3")
		page := func() {
			after := uint64(1)
			d.session.Receive(wire.ClientFrame{T: wire.OpRead, Ref: "1", Conversation: string(theHall), After: &after, Limit: 2})
		}
		page()
		took("a page", "at 4 after 1")
		h.remove()
		took("a push", "at 0 after 4")
		page()
		took("a page of who left", "exactly after 1")
		if _, err := (session.Poll{Inboxes: n.inbox, Fanout: asked{n.fanout, &how}, Epoch: n.store.Epoch()}).Sync(t.Context(), guest, nil, 9); err != nil {
			t.Fatal(err)
		}
		took("a poll", "exactly after 0")
		d.session.Closed()
	})
}
