package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// listen subscribes and collects "conversation number" of what is told, until
// the bubble's world is quiet. stop ends it.
func listen(c *Client, s Subscription) (told func() map[parley.ConversationID][]parley.Seq, stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	seqs := map[parley.ConversationID][]parley.Seq{}
	ended := make(chan error, 1)
	go func() {
		var last error
		for n, err := range c.Subscribe(ctx, s) {
			last = err
			for _, e := range n.Entries {
				seqs[e.Conversation] = append(seqs[e.Conversation], e.Seq)
			}
		}
		ended <- last
	}()
	synctest.Wait()
	return func() map[parley.ConversationID][]parley.Seq { synctest.Wait(); return seqs },
		func() error { cancel(); return <-ended }
}

// TestBacklog kills: history told that nobody asked for, and a new
// conversation whose first messages are taken for history.
func TestBacklog(t *testing.T) {
	for _, unasked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.unasked = unasked
			w.say("c1", 10)
			w.say("c2", 1)
			w.settle()
			place := &Place{}
			told, stop := listen(w.client(), Subscription{Store: place, Backlog: 2})
			w.say("c1", 1)
			w.say("c3", 3)
			w.deliver("deliver")
			got := told()
			if !slices.Equal(got["c1"], []parley.Seq{9, 10, 11}) || !slices.Equal(got["c2"], []parley.Seq{1}) || !slices.Equal(got["c3"], []parley.Seq{1, 2, 3}) {
				t.Errorf("unasked %v: told %v", unasked, got)
			}
			w.settle()
			w.deliver("deliver")
			told()
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			// What was told goes on from its place, kept as JSON, and what is new
			// meanwhile is no backlog.
			kept, err := json.Marshal(place)
			if err != nil {
				t.Fatal(err)
			}
			again := new(Place)
			if err := json.Unmarshal(kept, again); err != nil {
				t.Fatal(err)
			}
			w.say("c1", 4)
			w.say("c4", 5)
			w.settle()
			told, stop = listen(w.client(), Subscription{Store: again, Backlog: 2})
			got = told()
			if !slices.Equal(got["c1"], []parley.Seq{12, 13, 14, 15}) || !slices.Equal(got["c4"], []parley.Seq{1, 2, 3, 4, 5}) || len(got["c2"]) > 0 {
				t.Errorf("unasked %v: told %v after a restart", unasked, got)
			}
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// TestOnly kills: a subscription of one conversation that tells of another,
// or whose cursor stands still because of it.
func TestOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		place := &Place{}
		told, stop := listen(w.client(), Subscription{Store: place, Backlog: All, Only: "c1"})
		w.say("c2", 2)
		w.say("c1", 2)
		w.settle()
		w.deliver("deliver")
		if got := told(); !slices.Equal(got["c1"], []parley.Seq{1, 2}) || len(got) != 1 {
			t.Errorf("told %v", got)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if place.Inbox != "e0.2" || len(place.Heads) != 1 {
			t.Errorf("kept %+v", place)
		}
	})
}

// TestReceipts kills: a receipt that is told of what is not followed, one that
// is taken for news, and one that breaks a subscription which wants none.
func TestReceipts(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			var mu sync.Mutex
			var heard []parley.Receipt
			place := &Place{}
			s := Subscription{Store: place, Backlog: All, Only: "c1"}
			if wanted {
				s.Receipts = func(r parley.Receipt) {
					mu.Lock()
					defer mu.Unlock()
					heard = append(heard, r)
				}
			}
			told, stop := listen(w.client(), s)
			told()
			want := []parley.Receipt{{Conversation: "c1", User: "u2", Delivered: 2, Read: 1}}
			w.mu.Lock()
			for _, s := range w.sessions {
				s.arrived <- wire.AppendReceipts(nil, parley.Receipt{Conversation: "c2", User: "u2", Delivered: 9})
				s.arrived <- wire.AppendReceipts(nil, want[0])
			}
			w.mu.Unlock()
			w.say("c1", 2)
			w.settle()
			w.deliver("deliver")
			if got := told(); !slices.Equal(got["c1"], []parley.Seq{1, 2}) || len(got) != 1 {
				t.Errorf("told %v", got)
			}
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if wanted != slices.Equal(heard, want) || place.Inbox != "e0.1" {
				t.Errorf("wanted %v: heard %+v, and kept %+v", wanted, heard, place)
			}
		})
	}
}

// TestBackInTheGroup kills: a stream that waits for ever for what was said while
// the user was no member, or takes it for a fault of the server.
func TestBackInTheGroup(t *testing.T) {
	for _, how := range []string{"deliver", "drop", "last"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.say("c1", 3)
			w.settle()
			told, stop := listen(w.client(), Subscription{Store: &Place{}, Backlog: All})
			told()
			// Numbers 4 to 9 are said while the user is away; 10 takes them back.
			w.mu.Lock()
			for range 6 {
				w.commit("c1", fmt.Sprint("away", w.committed), "not for you")
			}
			w.since = map[string]uint64{"c1": 10}
			w.mu.Unlock()
			w.say("c1", 1)
			w.say("c1", 2)
			w.settle()
			w.deliver(how)
			if got := told(); !slices.Equal(got["c1"], []parley.Seq{1, 2, 3, 10, 11, 12}) {
				t.Errorf("%s: told %v", how, got)
			}
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// TestHints kills: a hint that never reaches who asked for it, and one that is
// taken for a step of the stream.
func TestHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var mu sync.Mutex
		var heard []string
		note := func(format string, a ...any) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, fmt.Sprintf(format, a...))
		}
		place := &Place{}
		_, stop := listen(w.client(), Subscription{
			Store: place, Backlog: All,
			Presence: func(items []wire.Presence) { note("%s online: %v", items[0].User, items[0].Online) },
			Whispers: func(w Whisper) { note("%s in %s: %s", w.Sender, w.Conversation, w.Kind) },
			Contacts: func(rev uint64) { note("contacts %d", rev) },
			Online:   func(w wire.ServerFrame) { note("online %s", w.Epoch) },
		})
		w.mu.Lock()
		w.sessions[0].arrived <- wire.AppendPresence(nil, []wire.Presence{{User: "u2", Online: true}})
		w.sessions[0].arrived <- wire.AppendWhisper(nil, "c1", "u2", Typing)
		w.sessions[0].arrived <- []byte(`{"t":"contacts","rev":7}`)
		w.mu.Unlock()
		synctest.Wait()
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		want := []string{"online e0", "u2 online: true", "u2 in c1: typing", "contacts 7"}
		if !slices.Equal(heard, want) || place.Inbox != "e0.0" {
			t.Errorf("heard %q, cursor %s", heard, place.Inbox)
		}
	})
}

// TestVoice kills: a watch that a lost connection forgets, one that is said
// again for nothing, and a whisper of before the connection that is said on it.
func TestVoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		v := new(Voice)
		v.Whisper("c1", Typing) // nobody is there
		v.Watch("u2", "u3")
		_, stop := listen(w.client(), Subscription{Store: &Place{}, Voice: v})
		v.Watch("u2", "u3")
		synctest.Wait()
		v.Whisper("c1", Typing)
		v.Whisper("c1", Typing) // the same, at once
		synctest.Wait()
		w.cut(nil)
		v.Whisper("c1", Typing)
		after(10 * time.Second)
		synctest.Wait()
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		watch, typing := `{"t":"watch","users":["u2","u3"]}`, `{"t":"whisper","conversation":"c1","kind":"typing"}`
		w.mu.Lock()
		defer w.mu.Unlock()
		got := slices.Compact(slices.Clone(w.heard))
		if n := len(w.heard); n < 3 || n > 4 || !slices.Equal(got, []string{watch, typing, watch}) {
			t.Errorf("the server heard %q", w.heard)
		}
	})
}

// TestGoaway kills: a client that comes back before the time it was told.
func TestGoaway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		told, stop := listen(w.client(), Subscription{Store: &Place{}})
		told()
		began := time.Now()
		w.cut(wire.AppendGoaway(nil, 20*time.Second, ""))
		for {
			synctest.Wait()
			w.mu.Lock()
			back := len(w.sessions) > 0
			w.mu.Unlock()
			if back {
				break
			}
			after(time.Millisecond)
		}
		if away := time.Since(began); away < 20*time.Second || away > 22*time.Second {
			t.Errorf("it came back after %v", away)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestGoawayElsewhere kills: a client that stays away from where it was sent,
// and one that does not find home when it cannot be reached.
func TestGoawayElsewhere(t *testing.T) {
	const home, other, gone = "http://server", "https://b.chat.example", "https://c.chat.example"
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.refuse = map[string]bool{gone: true}
		c := w.client()
		c.cred.URL = home
		told, stop := listen(c, Subscription{Store: &Place{}})
		told()
		for _, url := range []string{other, gone, ""} {
			w.cut(wire.AppendGoaway(nil, time.Second, url))
			after(10 * time.Second)
			synctest.Wait()
		}
		w.mu.Lock()
		dialled := slices.Clone(w.dialled)
		w.mu.Unlock()
		if want := []string{home, other, home, home}; !slices.Equal(dialled, want) {
			t.Errorf("it went to %v, want %v", dialled, want)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestEarlyStop kills: a connection or a goroutine that outlives the loop (the
// bubble does not end then).
func TestEarlyStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.say("c1", 3)
		w.settle()
		for range w.client().FollowAll(t.Context(), nil) {
			break
		}
		for _, err := range w.client().Subscribe(t.Context(), Subscription{Store: &Place{}}) {
			if err != nil {
				t.Error(err)
			}
			break
		}
	})
}

// brokenStore fails for good.
type brokenStore struct{ Place }

var errBroken = errors.New("the database is gone")

func (*brokenStore) Keep(context.Context, *News) error { return errBroken }

// TestStoreFails kills: a subscription that tells what could not be kept, or
// that reconnects for ever because of it.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.say("c1", 1)
		w.settle()
		for n, err := range w.client().Subscribe(t.Context(), Subscription{Store: &brokenStore{}, Backlog: All}) {
			if !errors.Is(err, errBroken) || len(n.Entries)+len(n.Rows) > 0 {
				t.Errorf("told %v, %v", n, err)
			}
		}
	})
}
