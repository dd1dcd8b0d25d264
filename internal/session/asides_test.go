package session_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/wire"
)

// pairs is who sees whom: who shares a direct conversation.
type pairs struct{ n *node }

func (p pairs) Visible(ctx context.Context, asker parley.UserID, targets []parley.UserID) (seen []parley.UserID, err error) {
	for _, u := range targets {
		if _, _, _, err := p.n.owner.Get(ctx, asker, parley.DirectID(asker, u)); err == nil {
			seen = append(seen, u)
		}
	}
	return seen, nil
}

func (p pairs) other(ctx context.Context, user parley.UserID, id parley.ConversationID) (parley.UserID, error) {
	c, _, _, err := p.n.owner.Get(ctx, user, id)
	if err != nil || c.Kind != parley.Direct {
		return "", err
	}
	for _, m := range c.Members {
		if m.User != user {
			return m.User, nil
		}
	}
	return "", nil
}

// newTalkative returns a node that carries ephemera.
func newTalkative(t *testing.T) *node {
	quiet := slog.New(slog.DiscardHandler)
	var n *node
	var whispers *fanout.Whispers
	var online *presence.Presence
	n = newNode(t, func(c *session.Config) {
		whispers = fanout.NewWhispers(fanout.WhispersConfig{
			Fanout: c.Fanout.(*fanout.Fanout), Conversations: later{&n}, MaxMembers: wire.MaxReceipts, Logger: quiet,
		})
		online = presence.New(presence.Config{
			Visible: visible{&n}, Logger: quiet,
			Other: func(ctx context.Context, u parley.UserID, c parley.ConversationID) (parley.UserID, error) {
				return pairs{n}.other(ctx, u, c)
			},
		})
		c.Whispers, c.Presence = whispers, online
	})
	t.Cleanup(func() { whispers.Close(); online.Close() })
	return n
}

// later and visible are a node that is not made yet.
type later struct{ n **node }

func (l later) Get(ctx context.Context, u parley.UserID, c parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error) {
	return (*l.n).owner.Get(ctx, u, c)
}

type visible struct{ n **node }

func (v visible) Visible(ctx context.Context, asker parley.UserID, targets []parley.UserID) ([]parley.UserID, error) {
	return pairs{*v.n}.Visible(ctx, asker, targets)
}

// of returns the frames of a kind that a device was told, in order.
func (d *device) of(kind string) (all []wire.ServerFrame) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.frames {
		if f.T == kind {
			all = append(all, f)
		}
	}
	return all
}

func (n *node) direct(a, b parley.UserID) parley.ConversationID {
	n.t.Helper()
	c, _, err := n.owner.Create(n.t.Context(), a, parley.Direct, "", []parley.UserID{b})
	if err != nil {
		n.t.Fatal(err)
	}
	return c.ID
}

// TestTyping kills a whisper that does not reach every device of the other
// member, one that reaches the sender's, one to a stranger, and a session that
// holds on to it.
func TestTyping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTalkative(t)
		c := n.direct("u-a", "u-b")
		a, twin, b, x := newDevice(t, "u-a").connect(n), newDevice(t, "u-a").connect(n), newDevice(t, "u-b").connect(n), newDevice(t, "u-x").connect(n)
		rest(time.Second)
		b.session.Receive(wire.ClientFrame{T: wire.OpWhisper, Conversation: string(c), Kind: "typing"})
		x.session.Receive(wire.ClientFrame{T: wire.OpWhisper, Conversation: string(c), Kind: "typing"})
		rest(time.Second)
		for _, d := range []*device{a, twin} {
			got := d.of(wire.FrameWhisper)
			if len(got) != 1 || got[0].Conversation != string(c) || got[0].Sender != "u-b" || got[0].Kind != "typing" {
				t.Errorf("told %+v", got)
			}
			if !session.Idle(d.session) {
				t.Error("the session holds on to a whisper")
			}
		}
		for _, d := range []*device{b, x} {
			if got := d.of(wire.FrameWhisper); got != nil {
				t.Errorf("%s was told %+v", d.user, got)
			}
		}
		for _, d := range []*device{a, twin, b, x} {
			d.session.Closed()
		}
	})
}

// TestWatch kills a watch without an answer, one that shows a stranger, a
// change that does not come, a device that stays online after its connection,
// and a watch of more than may be.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTalkative(t)
		n.direct("u-a", "u-b")
		a, b, x := newDevice(t, "u-a").connect(n), newDevice(t, "u-b").connect(n), newDevice(t, "u-x").connect(n)
		rest(10 * time.Second)
		last := func(d *device) []wire.Presence {
			all := d.of(wire.FramePresence)
			if len(all) == 0 {
				return nil
			}
			return all[len(all)-1].Items
		}
		a.session.Receive(wire.ClientFrame{T: wire.OpWatch, Users: []string{"u-b", "u-x"}})
		x.session.Receive(wire.ClientFrame{T: wire.OpWatch, Users: []string{"u-a", "u-b"}})
		rest(time.Second)
		if got := last(a); len(got) != 1 || got[0].User != "u-b" || !got[0].Online || got[0].LastSeen != "" {
			t.Errorf("told %+v", got)
		}
		if got := x.of(wire.FramePresence); len(got) != 1 || len(got[0].Items) != 0 {
			t.Errorf("a stranger was told %+v", got)
		}
		b.session.Closed()
		rest(10 * time.Second)
		if got := last(a); len(got) != 1 || got[0].Online || got[0].LastSeen == "" {
			t.Errorf("told %+v of who left", got)
		}
		b.connect(n)
		rest(10 * time.Second)
		if got := last(a); len(got) != 1 || !got[0].Online {
			t.Errorf("told %+v of who came back", got)
		}
		if !session.Idle(a.session) {
			t.Error("the session holds on to presence")
		}
		a.session.Receive(wire.ClientFrame{T: wire.OpWatch, Users: make([]string, presence.MaxWatched+1)})
		rest(time.Second)
		if f, ok := a.last(wire.FrameError); !ok || f.Code != string(parley.BadRequest) {
			t.Errorf("answered %+v", f)
		}
		for _, d := range []*device{a, b, x} {
			d.session.Closed()
		}
		a.session.Receive(wire.ClientFrame{T: wire.OpWatch, Users: []string{"u-b"}})
		frames := len(a.of(wire.FramePresence))
		if rest(time.Minute); len(a.of(wire.FramePresence)) != frames {
			t.Error("told after the end")
		}
	})
}

// TestLearnedOnSend kills who writes to somebody and does not learn whether
// they are there.
func TestLearnedOnSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTalkative(t)
		c := n.direct("u-a", "u-b")
		a, b := newDevice(t, "u-a").connect(n), newDevice(t, "u-b").connect(n)
		rest(10 * time.Second)
		text := "hi"
		a.session.Receive(wire.ClientFrame{T: wire.OpPost, Ref: "1", Conversation: string(c), ID: "m1", Body: &wire.Body{Type: parley.TextPlain, Text: &text}})
		rest(time.Second)
		if got := a.of(wire.FramePresence); len(got) != 1 || len(got[0].Items) != 1 || got[0].Items[0].User != "u-b" || !got[0].Items[0].Online {
			t.Errorf("told %+v", got)
		}
		if got := b.of(wire.FramePresence); got != nil {
			t.Errorf("who read it was told %+v", got)
		}
		a.session.Closed()
		b.session.Closed()
	})
}

// TestEphemeraOfTheSlow stalls a device. It kills ephemera without a bound,
// those told before what else there is to say, and presence that is not the
// newest.
func TestEphemeraOfTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTalkative(t)
		c := n.direct("u-a", "u-b")
		d := newDevice(t, "u-b").connect(n)
		rest(time.Second)
		resume := d.stall()
		n.post(c, "u-a", "m1") // its write waits; what follows is for later rounds
		synctest.Wait()
		for i := range 1000 {
			d.session.Whisper(parley.Whisper{Conversation: parley.ConversationID(fmt.Sprintf("g-%d", i)), Sender: "u-a", Kind: parley.Typing})
			d.session.Presence([]parley.Presence{{User: "u-a", Online: i%2 == 0}, {User: parley.UserID(fmt.Sprintf("u-%d", i))}}, false)
		}
		n.post(c, "u-a", "m2")
		rest(time.Second)
		resume()
		rest(time.Second)
		d.told(c, 3)
		if got := len(d.of(wire.FrameWhisper)); got != 64 {
			t.Errorf("%d whispers waited, want 64", got)
		}
		users := 0
		for _, f := range d.of(wire.FramePresence) {
			for _, it := range f.Items {
				if users++; it.User == "u-a" && it.Online {
					t.Error("told how it stood before")
				}
			}
		}
		if users != 1001 {
			t.Errorf("told of %d users, want 1,001", users)
		}
		d.mu.Lock()
		early := false
		for _, f := range d.frames {
			aside := f.T == wire.FrameWhisper || f.T == wire.FramePresence
			if early = early || aside; early && !aside {
				t.Errorf("ephemera were told before %s", f.T)
			}
		}
		d.mu.Unlock()
		d.session.Closed()
	})
}
