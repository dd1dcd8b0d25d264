package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
)

// ear is a watcher that hears whispers.
type ear struct {
	watcher

	mu    sync.Mutex
	heard []parley.Whisper
}

func (e *ear) Whisper(w parley.Whisper) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, w)
}

// take returns what was heard since it was last asked.
func (e *ear) take() []parley.Whisper {
	e.mu.Lock()
	defer e.mu.Unlock()
	heard := e.heard
	e.heard = nil
	return heard
}

// lobby is a switchboard with whispers.
type lobby struct {
	*fanout.Fanout
	whispers *fanout.Whispers
	roll     *roll
}

// whisper runs f in a bubble with a lobby of one conversation.
func whisper(t *testing.T, c *parley.Conversation, f func(t *testing.T, l *lobby), change ...func(*fanout.WhispersConfig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &lobby{Fanout: newFanout(&desk{}, &log{}, 0), roll: &roll{of: map[parley.ConversationID]*parley.Conversation{c.ID: c}}}
		cfg := fanout.WhispersConfig{Fanout: l.Fanout, Conversations: l.roll, MaxMembers: 4, Logger: slog.New(slog.DiscardHandler)}
		for _, ch := range change {
			ch(&cfg)
		}
		l.whispers = fanout.NewWhispers(cfg)
		defer l.whispers.Close()
		f(t, l)
	})
}

func (l *lobby) listen(u parley.UserID) *ear {
	e := &ear{}
	l.Watch(u, e)
	return e
}

func typing(u parley.UserID) parley.Whisper {
	return parley.Whisper{Conversation: g, Sender: u, Kind: parley.Typing}
}

// TestWhispersAreForMembers kills a whisper to its sender, to somebody who
// left or never came, one of somebody who left or never came, one of a kind
// nobody knows, and one that breaks on a watcher who hears none.
func TestWhispersAreForMembers(t *testing.T) {
	c := conversation("u-a", "u-b", "u-c", "u-left")
	c.Members[3].Until = 4
	whisper(t, c, func(t *testing.T, l *lobby) {
		a, b, twin, left, stranger := l.listen("u-a"), l.listen("u-b"), l.listen("u-b"), l.listen("u-left"), l.listen("u-x")
		l.Watch("u-b", (&desk{}).watcher("u-b"))
		odd := typing("u-c")
		odd.Kind = "sneezing"
		for _, w := range []parley.Whisper{odd, typing("u-a"), typing("u-left"), typing("u-x")} {
			l.whispers.Say(w)
		}
		synctest.Wait()
		for name, e := range map[string]*ear{"another member": b, "another device": twin} {
			if got := e.take(); !slices.Equal(got, []parley.Whisper{typing("u-a")}) {
				t.Errorf("%s heard %+v", name, got)
			}
		}
		for name, e := range map[string]*ear{"the sender": a, "who left": left, "a stranger": stranger} {
			if got := e.take(); got != nil {
				t.Errorf("%s heard %+v", name, got)
			}
		}
	})
}

// TestWhispersOfTheFew: the bound counts those who belong now, and holds
// exactly.
func TestWhispersOfTheFew(t *testing.T) {
	c := conversation("u-a", "u-b", "u-c", "u-d", "u-e")
	whisper(t, c, func(t *testing.T, l *lobby) {
		b := l.listen("u-b")
		l.whispers.Say(typing("u-a"))
		<-time.After(3 * time.Second)
		synctest.Wait()
		if got := b.take(); got != nil {
			t.Errorf("of five members, one more than may, one heard %+v", got)
		}
		l.roll.mu.Lock()
		c.Members[4].Until = 1
		l.roll.mu.Unlock()
		l.whispers.Say(typing("u-a"))
		synctest.Wait()
		if got := b.take(); len(got) != 1 {
			t.Errorf("of four members one heard %+v", got)
		}
	})
}

// TestWhispersPace whispers at every key of ten seconds. It kills a whisper
// for each, one that is kept and told late, and a member who silences another.
func TestWhispersPace(t *testing.T) {
	whisper(t, conversation("u-a", "u-b", "u-c"), func(t *testing.T, l *lobby) {
		b := l.listen("u-b")
		for range 100 {
			l.whispers.Say(typing("u-a"))
			<-time.After(100 * time.Millisecond)
		}
		if n := len(b.take()); n != 5 {
			t.Errorf("ten seconds of typing were told %d times, want every two seconds", n)
		}
		l.whispers.Say(typing("u-a"))
		l.whispers.Say(typing("u-c"))
		l.whispers.Say(typing("u-a"))
		<-time.After(time.Minute)
		if got := b.take(); !slices.Equal(got, []parley.Whisper{typing("u-a"), typing("u-c")}) {
			t.Errorf("heard %+v", got)
		}
	})
}

// feuds is who blocked whom.
type feuds struct {
	by  map[parley.UserID]parley.UserID
	err error
}

func (f feuds) Blockers(_ context.Context, sender parley.UserID, among []parley.UserID) (all []parley.UserID, err error) {
	for _, u := range among {
		if f.by[u] == sender {
			all = append(all, u)
		}
	}
	return all, f.err
}

// TestWhispersAndBlocks kills a whisper to who blocked the sender, to whom the
// sender blocked where they are two, and one that is told because it could not
// be found out.
func TestWhispersAndBlocks(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    parley.ConversationKind
		blocker parley.UserID
		blocked parley.UserID
		err     error
		hears   bool
	}{
		{"blocked", parley.Direct, "u-b", "u-a", nil, false},
		{"blocker", parley.Direct, "u-a", "u-b", nil, false},
		{"nobody", parley.Direct, "u-x", "u-a", nil, true},
		{"unknown", parley.Direct, "u-x", "u-a", errors.New("away"), false},
		{"blocked in a group", parley.Group, "u-b", "u-a", nil, false},
		{"blocker in a group", parley.Group, "u-a", "u-b", nil, true},
	} {
		conv := conversation("u-a", "u-b")
		conv.Kind = c.kind
		whisper(t, conv, func(t *testing.T, l *lobby) {
			b := l.listen("u-b")
			l.whispers.Say(typing("u-a"))
			synctest.Wait()
			if got := b.take(); (len(got) == 1) != c.hears {
				t.Errorf("%s: heard %+v", c.name, got)
			}
		}, func(cfg *fanout.WhispersConfig) {
			cfg.Blocks = feuds{map[parley.UserID]parley.UserID{c.blocker: c.blocked}, c.err}
		})
	}
}

// TestWhispersOfTheHidden kills a whisper of who shows nobody what they do, and
// one to who shows nobody.
func TestWhispersOfTheHidden(t *testing.T) {
	whisper(t, conversation("u-a", "u-b", "u-shy"), func(t *testing.T, l *lobby) {
		b, shy := l.listen("u-b"), l.listen("u-shy")
		l.whispers.Say(typing("u-shy"))
		l.whispers.Say(typing("u-a"))
		synctest.Wait()
		if got := b.take(); !slices.Equal(got, []parley.Whisper{typing("u-a")}) {
			t.Errorf("heard %+v", got)
		}
		if got := shy.take(); got != nil {
			t.Errorf("who hides heard %+v", got)
		}
	}, func(cfg *fanout.WhispersConfig) {
		cfg.Hidden = func(context.Context, []parley.UserID) ([]parley.UserID, error) { return []parley.UserID{"u-shy"}, nil }
	})
}

// TestWhispersUnderPressure has the owner of conversations stall. It kills a
// Say that waits, queues without a bound, one user who takes all the room, and
// whispers that are told when they are long over.
func TestWhispersUnderPressure(t *testing.T) {
	whisper(t, conversation("u-a", "u-b"), func(t *testing.T, l *lobby) {
		b := l.listen("u-b")
		stall := make(chan struct{})
		l.roll.stall = stall
		begun := time.Now()
		for i := range 20_000 {
			w := typing("u-flood")
			w.Conversation = parley.ConversationID(fmt.Sprintf("g-%d", i))
			l.whispers.Say(w)
		}
		l.whispers.Say(typing("u-a"))
		for i := range 20_000 {
			l.whispers.Say(typing(parley.UserID(fmt.Sprintf("u-%d", i))))
		}
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("typing waited %v", waited)
		}
		synctest.Wait()
		l.roll.mu.Lock()
		l.roll.stall = nil
		l.roll.mu.Unlock()
		close(stall)
		synctest.Wait()
		if n := l.roll.times(); n > 257 {
			t.Errorf("%d whispers waited", n)
		}
		if got := b.take(); len(got) != 1 {
			t.Errorf("behind a flood of one: heard %+v", got)
		}
	})
}

// TestWhispersEnd: Close does not wait for an owner that stalls, and what is
// said later does nothing.
func TestWhispersEnd(t *testing.T) {
	whisper(t, conversation("u-a", "u-b"), func(t *testing.T, l *lobby) {
		l.roll.stall = make(chan struct{})
		l.whispers.Say(typing("u-a"))
		synctest.Wait()
		begun := time.Now()
		l.whispers.Close()
		l.whispers.Say(typing("u-b"))
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("Close took %v", waited)
		}
	})
}

// whisperNodes is where other nodes begin, as whispers see it.
type whisperNodes struct{ nodes }

func (n *whisperNodes) WhisperToConversation(w parley.Whisper) bool {
	return n.ToConversation(parley.Receipt{User: w.Sender})
}

func (n *whisperNodes) WhisperToInboxes(users []parley.UserID, w parley.Whisper) []parley.UserID {
	return n.ToInboxes(users, parley.Receipt{User: w.Sender})
}

// TestWhispersElsewhere kills a whisper that is spread by who does not know the
// members, one that a node sends on although it was told that the conversation
// lives here, and one that goes back to the node it came from.
func TestWhispersElsewhere(t *testing.T) {
	n := &whisperNodes{nodes{conversation: true, inboxes: []parley.UserID{"u-c"}}}
	whisper(t, conversation("u-a", "u-b", "u-c"), func(t *testing.T, l *lobby) {
		here, away, there := l.listen("u-b"), &ear{}, l.listen("u-c")
		l.WatchAway("u-b", away)
		l.whispers.Say(typing("u-a"))
		synctest.Wait()
		if l.roll.times() != 0 || here.take() != nil {
			t.Error("a whisper was spread by a node that does not own the conversation")
		}
		<-time.After(3 * time.Second)
		l.whispers.Heard(typing("u-a"))
		synctest.Wait()
		if h, a := here.take(), away.take(); len(h) != 1 || len(a) != 1 {
			t.Errorf("heard here %+v and away %+v", h, a)
		}
		want := []string{"to the conversation: u-a 0", "to the inbox of u-c: u-a 0"}
		if !slices.Equal(n.did, want) || there.take() != nil {
			t.Errorf("did %q, want %q", n.did, want)
		}
		l.whispers.Show([]parley.UserID{"u-b"}, typing("u-a"))
		if h, a := here.take(), away.take(); len(h) != 1 || a != nil {
			t.Errorf("what another node said was heard here %+v and away %+v", h, a)
		}
	}, func(c *fanout.WhispersConfig) { c.Nodes = n })
}
