package session_test

import (
	"context"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/wire"
)

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
