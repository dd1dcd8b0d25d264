package peer_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/inbox"
	"github.com/parley-im/parley/internal/peer"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/router"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// world is nodes over one store, whose views the test says. Messages between
// them take a millisecond.
type world struct {
	t     *testing.T
	store *memstore.Store
	nodes map[cluster.NodeID]*node

	unswept bool // the control: what a dead node left undone stays undone

	mu   sync.Mutex
	lose func(from, to cluster.NodeID) bool // nil: nothing is lost
	hold chan struct{}                      // non-nil: what is told waits for it
	next uint64
}

// node is one node, made of the real parts.
type node struct {
	w         *world
	id        cluster.NodeID
	peers     *peer.Peers
	spread    *peer.Spread
	keeper    *inbox.Keeper
	fanout    *fanout.Fanout
	receipts  *fanout.Receipts
	whispers  *fanout.Whispers
	presence  *presence.Presence
	owner     *convo.Owner
	router    *router.Router
	announced bool
	disputed  bool // another node may be settled in another view
	certain   bool // Term answers

	mu     sync.Mutex
	view   *cluster.View
	tenure uint64
}

// everybody is three nodes.
var everybody = []cluster.NodeID{"a", "b", "c"}

// play runs f in a world of three settled nodes.
func play(t *testing.T, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, store: memstore.New(), nodes: map[cluster.NodeID]*node{}}
		for _, id := range everybody {
			w.nodes[id] = w.join(id)
		}
		w.settle(everybody...)
		for _, n := range w.nodes {
			n.peers.Start()
		}
		defer func() {
			for _, n := range w.nodes {
				n.owner.Close(ended())
				n.receipts.Close()
				n.whispers.Close()
				n.presence.Kill()
				_ = n.keeper.Close(ended())
				n.peers.Close()
			}
		}()
		<-time.After(time.Second)
		f(t, w)
	})
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// slow is a keeper's pause between writes, long enough to be seen.
const slow = 10 * time.Second

func (w *world) join(id cluster.NodeID) *node {
	n := &node{w: w, id: id, announced: true, certain: true, view: new(cluster.View)}
	log := slog.New(slog.DiscardHandler)
	n.keeper = inbox.New(inbox.Config{
		Store: w.store, Log: w.store, Logger: log, Coalesce: slow,
		Changed: func(u parley.UserID) { n.fanout.Changed(u) },
		Marked:  func(r parley.Receipt) { n.receipts.Note(r) },
		Term:    func(u parley.UserID) uint64 { return n.peers.Term(parley.ShardOfUser(u)) },
	})
	n.fanout = fanout.New(fanout.Config{Inboxes: n.keeper, Everywhere: later{n}.batch, Log: w.store, Logger: log})
	n.owner = convo.New(convo.Config{
		Log: w.store, Acts: w.store, Publisher: later{n}, Now: time.Now, Rand: rand.Reader, Logger: log,
		Term: func(c parley.ConversationID) uint64 { return n.Term(parley.ShardOf(c)) },
	})
	n.receipts = fanout.NewReceipts(fanout.ReceiptsConfig{
		Fanout: n.fanout, Conversations: n.owner, Nodes: later{n}, MaxMembers: 64, Logger: log,
	})
	n.whispers = fanout.NewWhispers(fanout.WhispersConfig{
		Fanout: n.fanout, Conversations: n.owner, Nodes: later{n}, MaxMembers: 64, Logger: log,
	})
	n.presence = presence.New(presence.Config{Nodes: others{n}, Visible: everybodySees{}, Logger: log})
	n.peers = peer.New(peer.Config{
		Cluster: n, Conversations: n.owner, Keeper: n.keeper, Fanout: n.fanout, Receipts: n.receipts, Logger: log,
		Whispers: n.whispers, Presence: n.presence,
		Inherit: func(ctx context.Context, gained func(int) bool) error {
			if w.unswept {
				return nil
			}
			if _, err := n.fanout.Sweep(ctx, marks{w.store}, gained); err != nil {
				return err
			}
			return n.fanout.Redo(ctx, marks{w.store})
		},
		Recheck: func(context.Context) {}, SignedOut: func(parley.UserID, parley.DeviceID) {},
	})
	n.spread = n.peers.Spread()
	n.router = router.New(n.owner, func(shard int) router.Node {
		if n.peers.Here(shard) {
			return n.owner
		}
		return n.peers.Elsewhere(shard)
	})
	return n
}

// settle has the named nodes agree that they are alone.
func (w *world) settle(ids ...cluster.NodeID) {
	w.next++
	for _, id := range ids {
		w.nodes[id].see(w.next, ids...)
	}
}

// see has a node believe in a view; term 0: not settled.
func (n *node) see(term uint64, ids ...cluster.NodeID) {
	var members []cluster.Member
	for _, id := range ids {
		members = append(members, cluster.Member{ID: id, Weight: 8})
	}
	n.sees(term, members)
}

// sees is see with members as they are.
func (n *node) sees(term uint64, members []cluster.Member) {
	n.mu.Lock()
	v := cluster.NewView(term, n.tenure, members, parley.Shards).Follow(n.id, n.view)
	n.view = v
	n.mu.Unlock()
	n.peers.Changed(v)
}

// set changes what the node believes of itself.
func (n *node) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

func (n *node) Self() cluster.NodeID { return n.id }
func (n *node) Announced() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.announced
}

func (n *node) Undisputed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.announced && !n.disputed
}

func (n *node) View() *cluster.View {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.view
}

func (n *node) Term(shard int) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if o := n.view.Owners(shard); !n.certain || len(o) == 0 || o[0] != n.id {
		return 0
	}
	return n.view.Term
}

// carry takes a message to a node, unless it is lost.
func (n *node) carry(to cluster.NodeID, take func(*node)) {
	n.w.mu.Lock()
	lost := n.w.lose != nil && n.w.lose(n.id, to)
	n.w.mu.Unlock()
	if !lost {
		time.AfterFunc(time.Millisecond, func() { take(n.w.nodes[to]) })
	}
}

func (n *node) Tell(to cluster.NodeID, msg []byte) error {
	n.w.mu.Lock()
	hold := n.w.hold
	n.w.mu.Unlock()
	if hold != nil {
		<-hold
	}
	n.carry(to, func(m *node) { m.peers.Told(n.id, msg) })
	return nil
}

func (n *node) Ask(ctx context.Context, to cluster.NodeID, msg []byte) ([]byte, error) {
	answer := make(chan []byte, 1)
	n.carry(to, func(m *node) {
		m.peers.Asked(n.id, msg, func(b []byte) { m.carry(n.id, func(*node) { answer <- b }) })
	})
	select {
	case b := <-answer:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// loses has messages lost from now on; nil: none.
func (w *world) loses(f func(from, to cluster.NodeID) bool) {
	w.mu.Lock()
	w.lose = f
	w.mu.Unlock()
}

// holds has what nodes tell each other wait until release is called.
func (w *world) holds() (release func()) {
	hold := make(chan struct{})
	set := func(h chan struct{}) {
		w.mu.Lock()
		w.hold = h
		w.mu.Unlock()
	}
	set(hold)
	return func() {
		set(nil)
		close(hold)
	}
}

// later is a node's spread, and its way to others, before they are made.
type later struct{ n *node }

func (l later) ToConversation(r parley.Receipt) bool { return l.n.peers.ToConversation(r) }
func (l later) ToInboxes(users []parley.UserID, r parley.Receipt) []parley.UserID {
	return l.n.peers.ToInboxes(users, r)
}

func (l later) WhisperToConversation(w parley.Whisper) bool {
	return l.n.peers.WhisperToConversation(w)
}
func (l later) WhisperToInboxes(users []parley.UserID, w parley.Whisper) []parley.UserID {
	return l.n.peers.WhisperToInboxes(users, w)
}

// others is the other nodes as presence sees them, before there are peers.
type others struct{ n *node }

func (o others) Self() presence.Node                    { return presence.Node(o.n.id) }
func (o others) Owner(u parley.UserID) presence.Node    { return o.n.peers.Presences().Owner(u) }
func (o others) Tell(to presence.Node, n presence.Note) { o.n.peers.Presences().Tell(to, n) }
func (o others) Ask(ctx context.Context, to presence.Node, us []parley.UserID) ([]presence.State, error) {
	return o.n.peers.Presences().Ask(ctx, to, us)
}

// everybodySees implements presence.Visible.
type everybodySees struct{}

func (everybodySees) Visible(_ context.Context, _ parley.UserID, targets []parley.UserID) ([]parley.UserID, error) {
	return targets, nil
}

func (l later) Publish(c *parley.Conversation, e []parley.Entry, told func(error)) {
	l.n.spread.Publish(c, e, told)
}
func (l later) Confirm(c *parley.Conversation, e *parley.Entry, told func(error)) {
	l.n.spread.Confirm(c, e, told)
}
func (l later) batch() fanout.Inboxes { return l.n.peers.Batch() }

type marks struct{ store.Store }

func (m marks) Where(ctx context.Context, c parley.ConversationID) (*parley.Conversation, parley.Seq, uint64, error) {
	h, err := m.Load(ctx, c)
	return h.State, h.Seq, h.Count, err
}

// userAt returns the nth user whose inbox a node owns while all three live.
func (w *world) userAt(owner cluster.NodeID, n int) parley.UserID {
	for i := range 10_000 {
		u := parley.UserID(fmt.Sprintf("u%d", i))
		if w.nodes["a"].View().Owners(parley.ShardOfUser(u))[0] == owner {
			if n--; n < 0 {
				return u
			}
		}
	}
	w.t.Fatal("no such user")
	return ""
}

// group makes a conversation of members that a node owns.
func (w *world) group(owner cluster.NodeID, members ...parley.UserID) parley.ConversationID {
	w.t.Helper()
	for range 100 {
		c, _, err := w.nodes[owner].owner.Create(w.t.Context(), members[0], parley.Group, "g", members[1:])
		if err != nil {
			w.t.Fatal(err)
		}
		if w.nodes[owner].View().Owners(parley.ShardOf(c.ID))[0] == owner {
			return c.ID
		}
	}
	w.t.Fatal("no such conversation")
	return ""
}

// post says something at a node and returns where the answer arrives.
func (n *node) post(c parley.ConversationID, sender parley.UserID, id string) <-chan answer {
	got := make(chan answer, 1)
	n.router.Post(parley.Post{
		Conversation: c, ID: parley.MessageID(id), Sender: sender, Device: "d",
		Body: parley.Body{Type: parley.TextPlain, Data: []byte("hello")},
	}, func(ack parley.Ack, err error) { got <- answer{ack, err} })
	return got
}

type answer struct {
	ack parley.Ack
	err error
}

// said posts and waits for the ack.
func (n *node) said(c parley.ConversationID, sender parley.UserID, id string) parley.Ack {
	n.w.t.Helper()
	a := <-n.post(c, sender, id)
	if a.err != nil {
		n.w.t.Fatalf("post: %v", a.err)
	}
	return a.ack
}

// head is how far a sync at the node says that c goes.
func (n *node) head(u parley.UserID, c parley.ConversationID) parley.Seq {
	n.w.t.Helper()
	rows, _, err := n.peers.Inboxes().After(n.w.t.Context(), u, 0, 100)
	if err != nil {
		n.w.t.Fatalf("sync at %s: %v", n.id, err)
	}
	i := slices.IndexFunc(rows, func(r parley.Row) bool { return r.Conversation == c })
	if i < 0 {
		return 0
	}
	return rows[i].Head
}

// watcher takes note of what it is told.
type watcher struct {
	mu      sync.Mutex
	nudged  parley.Seq
	changed int
	heard   []parley.Receipt
	said    []parley.Whisper
}

func (w *watcher) Whisper(s parley.Whisper) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, s)
}

// whispers returns what was whispered since it was last asked.
func (w *watcher) whispers() []parley.Whisper {
	w.mu.Lock()
	defer w.mu.Unlock()
	said := w.said
	w.said = nil
	return said
}

func (w *watcher) Receipt(r parley.Receipt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, r)
}

// receipts returns what was heard since it was last asked.
func (w *watcher) receipts() []parley.Receipt {
	w.mu.Lock()
	defer w.mu.Unlock()
	heard := w.heard
	w.heard = nil
	return heard
}

func (w *watcher) Nudge(_ parley.ConversationID, head parley.Seq) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nudged = max(w.nudged, head)
}

func (w *watcher) Changed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed++
}

func (w *watcher) told() (parley.Seq, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nudged, w.changed
}

func (w *watcher) Revoked(parley.DeviceID) { w.Changed() }
func (w *watcher) Keep([]parley.DeviceID)  {}
func (w *watcher) Lead(string)             {}
