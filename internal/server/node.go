package server

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/edge"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/peer"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/router"
	"github.com/parley-im/parley/internal/session"
)

// node is this server's place in its cluster. A nil node is a server alone;
// every method says what that means.
type node struct {
	id     cluster.NodeID
	joined atomic.Pointer[cluster.Node] // nil: not yet

	// static after compose
	peers  *peer.Peers
	spread *peer.Spread
}

func newNode(s *Server) *node { return &node{id: s.cfg.Cluster.ID} }

// compose makes what a cluster adds to the parts there are.
func (n *node) compose(s *Server) {
	if n == nil {
		return
	}
	n.peers = peer.New(peer.Config{
		Cluster: membership{n}, Conversations: s.owner, Keeper: s.inboxes, Fanout: s.fanout, Receipts: s.receipts,
		Whispers: s.whispers, Presence: s.presence,
		Inherit: func(ctx context.Context, gained func(int) bool) error {
			if err := s.sweep(ctx, gained); err != nil {
				return err
			}
			return s.fanout.Redo(ctx, marks{s.cfg.Store})
		},
		SignedOut: func(_ parley.UserID, d parley.DeviceID) { s.accounts.Forget(d) },
		Recheck:   s.recheck, Logger: s.cfg.Logger,
	})
	n.spread = n.peers.Spread()
}

// openWithin is how long a start waits until this node may answer syncs. It
// serves after that in any case: what cannot be answered yet waits by itself.
const openWithin = 10 * time.Second

// join makes the server a member of its cluster.
func (s *Server) join(ctx context.Context) error {
	c, n := s.cfg.Cluster, s.node
	joined, err := cluster.Join(ctx, cluster.Config{
		ID: c.ID, URL: c.URL, Version: s.cfg.Version, Weight: c.Weight, Shards: parley.Shards,
		Bus: c.Bus, Records: s.cfg.Store, Peers: n.peers,
		Changed: n.peers.Changed, Now: s.cfg.Now, Logger: s.cfg.Logger,
	})
	if err != nil {
		return err
	}
	n.joined.Store(joined)
	n.peers.Changed(joined.View())
	n.peers.Start()
	s.run(s.lead)
	s.run(func() { s.yield(joined) })
	n.peers.Open(ctx, openWithin)
	s.run(func() {
		select {
		case err := <-joined.Failed():
			s.fail(err)
		case <-s.ctx.Done():
		}
	})
	return nil
}

// outEvery is how often a node looks whether it has stepped out.
const outEvery = 500 * time.Millisecond

// yield has clients go to other nodes while this one has stepped out.
func (s *Server) yield(joined *cluster.Node) {
	t := time.NewTicker(outEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.edge.TurnAway(joined.Out(), s.spread())
		case <-s.ctx.Done():
			return
		}
	}
}

// drain takes the node out of the ring: others take over what it owns, while
// it still answers.
func (n *node) drain() {
	if n == nil {
		return
	}
	if joined := n.joined.Load(); joined != nil {
		joined.Drain()
	}
}

// leave says goodbye, once nothing is left to hand over.
func (n *node) leave(ctx context.Context) {
	if n == nil {
		return
	}
	if joined := n.joined.Load(); joined != nil {
		joined.Leave(ctx)
	}
	n.peers.Close()
}

// kill ends the node without a word.
func (n *node) kill() {
	if n == nil || n.peers == nil {
		return
	}
	if joined := n.joined.Load(); joined != nil {
		joined.Kill()
	}
	n.peers.Close()
}

// term is how long a conversation in memory may be believed; nil: for ever.
func (n *node) term() func(parley.ConversationID) uint64 {
	if n == nil {
		return nil
	}
	return func(c parley.ConversationID) uint64 { return membership{n}.Term(parley.ShardOf(c)) }
}

// termOfUser is term for inboxes.
func (n *node) termOfUser() func(parley.UserID) uint64 {
	if n == nil {
		return nil
	}
	return func(u parley.UserID) uint64 { return n.peers.Term(parley.ShardOfUser(u)) }
}

// everywhere begins a batch for the inboxes of all users; nil: they all live
// here.
func (n *node) everywhere() func() fanout.Inboxes {
	if n == nil {
		return nil
	}
	return func() fanout.Inboxes { return n.peers.Batch() }
}

// publisher is where commits go.
func (s *Server) publisher() convo.Publisher {
	if s.node == nil {
		return s.fanout
	}
	return spreading{s.node}
}

// spreading is a node's spread, which is made after those who use it.
type spreading struct{ n *node }

func (p spreading) Publish(c *parley.Conversation, entries []parley.Entry, told func(error)) {
	p.n.spread.Publish(c, entries, told)
}

func (p spreading) Confirm(c *parley.Conversation, e *parley.Entry, told func(error)) {
	p.n.spread.Confirm(c, e, told)
}

// others is the way of receipts to other nodes; nil: there are none.
func (n *node) others() fanout.Nodes {
	if n == nil {
		return nil
	}
	return receiving{n}
}

// receiving is a node's peers, who are made after those who use them.
type receiving struct{ n *node }

func (w receiving) ToConversation(r parley.Receipt) bool { return w.n.peers.ToConversation(r) }

func (w receiving) ToInboxes(users []parley.UserID, r parley.Receipt) []parley.UserID {
	return w.n.peers.ToInboxes(users, r)
}

// whisperers is the way of whispers to other nodes; nil: there are none.
func (n *node) whisperers() fanout.WhisperNodes {
	if n == nil {
		return nil
	}
	return receiving{n}
}

func (w receiving) WhisperToConversation(s parley.Whisper) bool {
	return w.n.peers.WhisperToConversation(s)
}

func (w receiving) WhisperToInboxes(users []parley.UserID, s parley.Whisper) []parley.UserID {
	return w.n.peers.WhisperToInboxes(users, s)
}

// presences is the other nodes as presence sees them; nil: there are none.
func (n *node) presences() presence.Nodes {
	if n == nil {
		return nil
	}
	return presences{n}
}

// presences is a node's peers, who are made after presence, and hear of
// nothing before they joined.
type presences struct{ n *node }

func (p presences) Self() presence.Node                    { return presence.Node(p.n.id) }
func (p presences) Owner(u parley.UserID) presence.Node    { return p.n.peers.Presences().Owner(u) }
func (p presences) Tell(to presence.Node, n presence.Note) { p.n.peers.Presences().Tell(to, n) }
func (p presences) Ask(ctx context.Context, to presence.Node, users []parley.UserID) ([]presence.State, error) {
	return p.n.peers.Presences().Ask(ctx, to, users)
}

// table says where conversations live.
func (s *Server) table() router.Table {
	if s.node == nil {
		return router.Alone(s.owner)
	}
	return func(shard int) router.Node {
		if s.node.peers.Here(shard) {
			return s.owner
		}
		return s.node.peers.Elsewhere(shard)
	}
}

// inboxes is what sessions and calls ask of inboxes.
type inboxes interface {
	session.Inboxes
	edge.Inboxes
}

// allInboxes is all users' inboxes, wherever they live.
func (s *Server) allInboxes() inboxes {
	if s.node == nil {
		return s.inboxes
	}
	return s.node.peers.Inboxes()
}

// switchboard tells sessions of all inboxes, wherever they live.
func (s *Server) switchboard() session.Fanout {
	if s.node == nil {
		return s.fanout
	}
	return board{s.fanout, s.node.peers}
}

type board struct {
	*fanout.Fanout
	peers *peer.Peers
}

// Watch implements session.Fanout.
func (b board) Watch(user parley.UserID, w fanout.Watcher) (stop func()) {
	return b.peers.Watch(user, w)
}

// revoked is told of devices that were signed out here.
func (s *Server) revoked(user parley.UserID, device parley.DeviceID) {
	if s.node == nil {
		s.fanout.Revoke(user, device)
		return
	}
	s.node.peers.Revoke(user, device)
}

// contactsChanged is told of users whose lists of contacts changed here.
func (s *Server) contactsChanged(user parley.UserID) {
	s.presence.Recheck(user)
	if s.node == nil {
		s.fanout.ContactsChanged(user)
		return
	}
	s.node.peers.ContactsChanged(user)
}

// nearest says which node holds a user's inbox.
func (n *node) nearest() func(parley.UserID) (id, url string) {
	if n == nil {
		return nil
	}
	return func(u parley.UserID) (id, url string) {
		view := membership{n}.View()
		for _, id := range view.Owners(parley.ShardOfUser(u)) {
			if m, ok := view.Member(id); ok {
				return string(m.ID), m.URL
			}
		}
		return "", ""
	}
}

// status describes the cluster as this node sees it.
func (n *node) status() func() any {
	if n == nil {
		return nil
	}
	return func() any {
		if joined := n.joined.Load(); joined != nil {
			return joined.Status()
		}
		return cluster.Status{}
	}
}

const (
	// leadEvery is how often sessions are led to the nodes of their inboxes.
	leadEvery = 10 * time.Second
	// leadPerSecond bounds how many of them move.
	leadPerSecond = 200
)

// lead says how many devices are connected here, and sends those whose inboxes
// other nodes hold there, a few at a time, while the cluster is settled.
func (s *Server) lead() {
	t := time.NewTicker(leadEvery)
	defer t.Stop()
	nearest := s.node.nearest()
	for {
		select {
		case <-t.C:
		case <-s.ctx.Done():
			return
		}
		if joined := s.node.joined.Load(); joined != nil {
			joined.SetLoad(float64(s.edge.Connections()))
		}
		led := 0
		for _, user := range s.fanout.Watching() {
			id, url := nearest(user)
			if id == string(s.node.id) || url == "" || (membership{s.node}).View().Term == 0 {
				continue
			}
			s.fanout.Lead(user, url)
			if led++; led == leadPerSecond*int(leadEvery/time.Second) {
				break
			}
		}
	}
}

// recheck closes the sessions of devices that were signed out while this node
// may have been out of reach.
func (s *Server) recheck(ctx context.Context) {
	for _, user := range s.fanout.Watching() {
		devices, err := s.accounts.Devices(ctx, user)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.cfg.Logger.Warn("sessions of a user not checked", slog.Any("err", err))
			continue
		}
		ids := make([]parley.DeviceID, len(devices))
		for i := range devices {
			ids[i] = devices[i].ID
		}
		s.fanout.Keep(user, ids)
	}
}

// sweep does what a crash left undone in the conversations of some shards.
func (s *Server) sweep(ctx context.Context, of func(shard int) bool) error {
	begun := s.cfg.Now()
	swept, err := s.fanout.Sweep(ctx, unfinished{marks{s.cfg.Store}, s.owner}, of)
	if swept > 0 {
		s.cfg.Logger.Info("conversations swept", slog.Int("conversations", swept), slog.Duration("took", s.cfg.Now().Sub(begun)))
	}
	return err
}

// membership is the cluster as peers see it. A node that has not joined is in
// no view and owns nothing.
type membership struct{ n *node }

// nowhere is the view of a node that has not joined.
var nowhere = new(cluster.View)

func (m membership) Self() cluster.NodeID { return m.n.id }

func (m membership) View() *cluster.View {
	if joined := m.n.joined.Load(); joined != nil {
		return joined.View()
	}
	return nowhere
}

func (m membership) Term(shard int) uint64 {
	if joined := m.n.joined.Load(); joined != nil {
		return joined.Term(shard)
	}
	return 0
}

func (m membership) Announced() bool {
	joined := m.n.joined.Load()
	return joined != nil && joined.Announced()
}

func (m membership) Undisputed() bool {
	joined := m.n.joined.Load()
	return joined != nil && joined.Undisputed()
}

func (m membership) Tell(to cluster.NodeID, msg []byte) error {
	if joined := m.n.joined.Load(); joined != nil {
		return joined.Tell(to, msg)
	}
	return cluster.ErrUnreachable
}

func (m membership) Ask(ctx context.Context, to cluster.NodeID, msg []byte) ([]byte, error) {
	if joined := m.n.joined.Load(); joined != nil {
		return joined.Ask(ctx, to, msg)
	}
	return nil, cluster.ErrUnreachable
}
