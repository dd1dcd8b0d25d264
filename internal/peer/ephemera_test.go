package peer_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/fanout"
)

// TestWhispers has the sender, the conversation, the others' inboxes and the
// others' sessions on every node in turn. It kills a whisper that stays at one
// of them, that comes twice or to one of the two others alone, and that a
// stranger or the sender hears.
func TestWhispers(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		for i, owner := range everybody {
			for j, at := range everybody {
				me, you, stranger := w.userAt("a", i), w.userAt(everybody[(i+j)%3], 10+i), w.userAt("b", 20+i)
				third := w.userAt(everybody[(i+j)%3], 30+i) // at home where you are
				g := w.group(owner, me, you, third)
				var sessions, wrong []*watcher
				var stops []func()
				for _, node := range everybody {
					yours, thirds, mine, none := &watcher{}, &watcher{}, &watcher{}, &watcher{}
					sessions, wrong = append(sessions, yours, thirds), append(wrong, mine, none)
					p := w.nodes[node].peers
					stops = append(stops, p.Watch(you, yours), p.Watch(third, thirds), p.Watch(me, mine), p.Watch(stranger, none))
				}
				<-time.After(10 * time.Millisecond) // until the owners know of them
				what := parley.Whisper{Conversation: g, Sender: me, Kind: parley.Typing}
				w.nodes[at].whispers.Say(what)
				w.nodes[at].whispers.Say(parley.Whisper{Conversation: g, Sender: stranger, Kind: parley.Typing})
				<-time.After(20 * time.Millisecond)
				for k, s := range sessions {
					if got := s.whispers(); !slices.Equal(got, []parley.Whisper{what}) {
						t.Errorf("said at %s, owned by %s: a session at %s heard %+v", at, owner, everybody[k/2], got)
					}
					if got := s.receipts(); got != nil {
						t.Errorf("a whisper made the receipts %+v", got)
					}
				}
				for _, s := range wrong {
					if got := s.whispers(); got != nil {
						t.Errorf("the sender or a stranger heard %+v", got)
					}
				}
				for _, stop := range stops {
					stop()
				}
			}
		}
	})
}

// TestWhispersMakeRoom stops what nodes tell each other, and whispers far more
// than may wait. It kills whispers without a bound, and whispers that take the
// place of receipts.
func TestWhispersMakeRoom(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("a", 0), w.userAt("b", 0)
		session := &watcher{}
		defer w.nodes["c"].peers.Watch(you, session)()
		<-time.After(time.Second)
		b := w.nodes["b"]
		release := w.holds()
		b.receipts.Tell([]parley.UserID{you}, parley.Receipt{Conversation: "g", User: me, Read: 1}) // is on its way, and waits
		synctest.Wait()
		for i := range 8192 {
			b.whispers.Tell([]parley.UserID{you}, parley.Whisper{Conversation: parley.ConversationID(fmt.Sprintf("g-%d", i)), Sender: me, Kind: parley.Typing})
		}
		for i := range 4096 {
			b.receipts.Tell([]parley.UserID{you}, parley.Receipt{Conversation: parley.ConversationID(fmt.Sprintf("g-%d", i)), User: me, Read: 1})
		}
		release()
		<-time.After(time.Second)
		if n := len(session.whispers()); n != 256 {
			t.Errorf("%d whispers waited, want 256", n)
		}
		if n := len(session.receipts()); n != 4097 {
			t.Errorf("%d receipts came, want 4,097", n)
		}
	})
}

// told is who is online, as a session is told.
type told struct {
	mu     sync.Mutex
	online map[parley.UserID]bool
}

// Presence implements presence.Watcher.
func (s *told) Presence(items []parley.Presence, _ bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range items {
		s.online[it.User] = it.Online
	}
}

func (s *told) is(u parley.UserID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.online[u]
}

// TestPresence has users of every node connected at every node, watched at
// every node. It kills a note that is not understood, or goes to a node that
// does not own the user, and owners that do not follow the view.
func TestPresence(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		var users []parley.UserID
		for _, owner := range everybody {
			for i, at := range everybody {
				u := w.userAt(owner, i)
				users = append(users, u)
				w.nodes[at].presence.Arrived(u)
			}
		}
		sessions := map[cluster.NodeID]*told{}
		for _, at := range everybody {
			s := &told{online: map[parley.UserID]bool{}}
			sessions[at] = s
			w.nodes[at].presence.Interest("u-s", s).Watch(users)
		}
		heard := func(when string, want bool, at cluster.NodeID) {
			t.Helper()
			for _, u := range users {
				if sessions[at].is(u) != want {
					t.Errorf("%s: %s is told at %s as online=%v", when, u, at, !want)
				}
			}
		}
		all := func(when string, want bool, at ...cluster.NodeID) {
			t.Helper()
			for _, at := range at {
				heard(when, want, at)
				items, err := w.nodes[at].presence.Of(t.Context(), "u-s", users)
				if err != nil || len(items) != len(users) {
					t.Errorf("%s: asked at %s and got %d of %d, %v", when, at, len(items), len(users), err)
				}
				for _, it := range items {
					if it.Online != want {
						t.Errorf("%s: asked at %s, %s is online=%v", when, at, it.User, it.Online)
					}
				}
			}
		}
		<-time.After(10 * time.Second)
		all("once they came", true, everybody...)
		// c is gone, as a and b believe; what was connected there came back at a.
		w.settle("a", "b")
		for i := range everybody {
			w.nodes["a"].presence.Arrived(users[3*i+2])
		}
		w.loses(func(from, to cluster.NodeID) bool { return from == "c" || to == "c" })
		for range 60 {
			<-time.After(time.Second)
			heard("while a node is gone", true, "a")
		}
		all("a minute later", true, "a", "b")
		for i := range everybody {
			w.nodes["a"].presence.Left(users[3*i])
			w.nodes["b"].presence.Left(users[3*i+1])
			w.nodes["a"].presence.Left(users[3*i+2])
		}
		<-time.After(10 * time.Second)
		all("once they left", false, "a", "b")
	})
}

var _ fanout.Hearer = (*watcher)(nil)
