package presence_test

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
	"github.com/parley-im/parley/internal/presence"
)

// world is nodes that tell each other notes, which take a millisecond. It
// counts them.
type world struct {
	t *testing.T

	mu     sync.Mutex
	nodes  map[presence.Node]*node
	lose   func(from, to presence.Node) bool // nil: nothing is lost
	notes  map[string]int                    // by the pair and the second
	hidden map[parley.UserID]bool            // seen by nobody
	broken bool                              // nobody knows who may see whom
	model  map[parley.UserID]*truth
}

// node is one node; views differ where a test says so.
type node struct {
	*presence.Presence
	w    *world
	id   presence.Node
	dead bool
	view []presence.Node
}

// truth is how a user really stands: the lease model.
type truth struct {
	sessions int
	since    time.Time // so
	died     bool      // the last session ended with its node
}

func (n *node) Self() presence.Node { return n.id }

func (n *node) Owner(u parley.UserID) presence.Node {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	return n.view[parley.ShardOfUser(u)%len(n.view)]
}

func (n *node) carry(to presence.Node) *node {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	other := n.w.nodes[to]
	if n.dead || other == nil || other.dead || n.w.lose != nil && n.w.lose(n.id, to) {
		return nil
	}
	n.w.notes[fmt.Sprintf("%s to %s in %d", n.id, to, time.Now().Unix())]++
	return other
}

func (n *node) Tell(to presence.Node, note presence.Note) {
	if size := len(note.Here) + len(note.Gone) + len(note.Watch) + len(note.Unwatch) + len(note.States); size > 1000 {
		n.w.t.Errorf("a note about %d users", size)
	}
	if other := n.carry(to); other != nil {
		time.AfterFunc(time.Millisecond, func() { other.Told(n.id, note) })
	}
}

func (n *node) Ask(ctx context.Context, to presence.Node, users []parley.UserID) ([]presence.State, error) {
	other := n.carry(to)
	if other == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	<-time.After(2 * time.Millisecond)
	return other.States(users), nil
}

// Visible implements presence.Visible.
func (w *world) Visible(_ context.Context, asker parley.UserID, targets []parley.UserID) (seen []parley.UserID, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return nil, errors.New("the store is away")
	}
	for _, u := range targets {
		if !w.hidden[u] && !w.hidden[asker] {
			seen = append(seen, u)
		}
	}
	return seen, nil
}

// other implements presence.Config.Other: d-X is the direct conversation with X.
func other(_ context.Context, _ parley.UserID, c parley.ConversationID) (parley.UserID, error) {
	if c[:2] == "d-" {
		return parley.UserID(c[2:]), nil
	}
	return "", nil
}

// play runs f in a world of some nodes.
func play(t *testing.T, nodes int, f func(t *testing.T, w *world), change ...func(*presence.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, nodes: map[presence.Node]*node{}, notes: map[string]int{},
			hidden: map[parley.UserID]bool{}, model: map[parley.UserID]*truth{},
		}
		var all []presence.Node
		for i := range nodes {
			all = append(all, presence.Node('a'+rune(i)))
		}
		for _, id := range all {
			n := &node{w: w, id: id, view: all}
			cfg := presence.Config{Visible: w, Other: other, Logger: slog.New(slog.DiscardHandler)}
			if nodes > 1 {
				cfg.Nodes = n
			}
			for _, c := range change {
				c(&cfg)
			}
			n.Presence = presence.New(cfg)
			w.mu.Lock()
			w.nodes[id] = n
			w.mu.Unlock()
		}
		defer func() {
			for _, n := range w.nodes {
				n.Kill()
			}
		}()
		rest(10 * time.Second) // until every node knows what it owns
		f(t, w)
	})
}

// rest lets time pass, and everything come to rest.
func rest(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// counted returns how many notes there were since it was last asked.
func (w *world) counted() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	notes := w.notes
	w.notes = map[string]int{}
	return notes
}

// loses has notes lost from now on; nil: none.
func (w *world) loses(f func(from, to presence.Node) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = f
}

// kill ends a node without a word, and with it what is connected there.
func (w *world) kill(id presence.Node, users ...parley.UserID) {
	w.mu.Lock()
	w.nodes[id].dead = true
	for _, u := range users {
		w.model[u].end(true)
	}
	w.mu.Unlock()
	w.nodes[id].Kill()
}

// see has the living nodes believe that these are all.
func (w *world) see(ids ...presence.Node) {
	for _, n := range w.nodes {
		w.mu.Lock()
		n.view = ids
		dead := n.dead
		w.mu.Unlock()
		if !dead {
			n.Turned()
		}
	}
}

func (x *truth) end(died bool) {
	if x.sessions--; x.sessions == 0 {
		x.since, x.died = time.Now(), died
	}
}

// arrive connects a device of u, and leave ends that.
func (n *node) arrive(u parley.UserID) {
	n.Arrived(u)
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	x := n.w.model[u]
	if x == nil {
		x = &truth{}
		n.w.model[u] = x
	}
	if x.sessions++; x.sessions == 1 {
		x.since = time.Now()
	}
}

func (n *node) leave(u parley.UserID) {
	n.Left(u)
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.w.model[u].end(false)
}

// session is who watches: it keeps what it is told, as the protocol asks.
type session struct {
	*presence.Interest
	mu      sync.Mutex
	told    map[parley.UserID]parley.Presence
	frames  int
	answers int
	changes []parley.Presence // since last asked, in order
	last    time.Time
	fast    bool // two frames came within a pace
}

func (n *node) session(u parley.UserID) *session {
	s := &session{told: map[parley.UserID]parley.Presence{}}
	s.Interest = n.Interest(u, s)
	return s
}

// Presence implements presence.Watcher.
func (s *session) Presence(items []parley.Presence, answer bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.frames > 0 && now.Sub(s.last) < presence.Pace {
		s.fast = true
	}
	s.last = time.Now()
	s.frames++
	if answer {
		s.answers++
	}
	for _, it := range items {
		s.told[it.User] = it
		s.changes = append(s.changes, it)
	}
}

func (s *session) take() []parley.Presence {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := s.changes
	s.changes = nil
	return changes
}

func (s *session) online(u parley.UserID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told[u].Online
}

// check is C7: what sessions were told equals the lease model. A change is
// told within 10 s; the end of a node within 60 s.
func (w *world) check(sessions ...*session) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for u, x := range w.model {
		within := 10 * time.Second
		if x.died {
			within = 60 * time.Second
		}
		if time.Since(x.since) < within {
			continue // it may be either
		}
		for i, s := range sessions {
			if s.online(u) != (x.sessions > 0) {
				return fmt.Errorf("session %d holds %s for online=%v, and the truth is %v for %v", i, u, s.online(u), x.sessions > 0, time.Since(x.since))
			}
		}
	}
	return nil
}

func users(n int) (all []parley.UserID) {
	for i := range n {
		all = append(all, parley.UserID(fmt.Sprintf("u-%04d", i)))
	}
	return all
}

// ownedBy returns a user whom a node owns.
func (w *world) ownedBy(id presence.Node) parley.UserID {
	all := users(1000)
	i := slices.IndexFunc(all, func(u parley.UserID) bool { return w.nodes[id].Owner(u) == id })
	return all[i]
}
