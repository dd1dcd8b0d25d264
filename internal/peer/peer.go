// Package peer is what the nodes of a cluster say to each other: posts on
// their way to the conversation's owner, news on its way to the inboxes of
// the members, questions about an inbox, nudges and receipts back to the node
// that holds the session, and the ephemera of who is online and who types.
//
// It stands between the parts that know nothing of nodes (convo, inbox,
// fanout, session) and the cluster, which knows nothing of them. A node alone
// does not need it.
//
// # What is believed, and when
//
// The store is right at any time, whoever asks: two owners of a conversation
// cost a conflict, two writers of an inbox as well. What a node holds in
// memory is right only while no other node may write, and only that makes
// reading cheap and acknowledging fast. Three rules keep "sent" honest:
//
//  1. A node believes its memory of a shard only in a settled term, in which
//     all live nodes agree who they are ([cluster.View]).
//  2. "Sent" leaves when the inbox of the sender is known to show the message:
//     noted by its owner in a settled term, else durable in the store, and
//     then only if this node itself is not left out of anybody's settled view
//     ([cluster.Node.Announced]).
//  3. A node that gains a shard answers questions about its inboxes only after
//     every member has handed over what it had noted ([gate]).
//
// Everything else here is a hint: a message between nodes that is lost costs
// time, because the dirty mark, the next look and the next post find out.
package peer

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/presence"
)

// Cluster is the membership and the bus, as a *cluster.Node has them.
type Cluster interface {
	Self() cluster.NodeID
	View() *cluster.View
	// Term is not 0 while this node owns the shard in a settled view.
	Term(shard int) uint64
	// Announced reports that no other node can be in a settled view without
	// this one.
	Announced() bool
	// Undisputed reports that, moreover, no other node can be settled in a
	// view that differs from this node's.
	Undisputed() bool
	Bus
}

// Bus carries bytes; see cluster.Bus.
type Bus interface {
	Tell(to cluster.NodeID, msg []byte) error
	Ask(ctx context.Context, to cluster.NodeID, msg []byte) ([]byte, error)
}

// Conversations is the owner of conversations on this node: convo.Owner has
// the contract.
type Conversations interface {
	Post(p parley.Post, done func(parley.Ack, error))
	Create(ctx context.Context, by parley.UserID, kind parley.ConversationKind, title string, members []parley.UserID) (c parley.Conversation, created bool, err error)
	Get(ctx context.Context, reader parley.UserID, id parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error)
	Find(ctx context.Context, reader parley.UserID, id parley.ConversationID, message parley.MessageID) (parley.Seq, error)
	Moved(id parley.ConversationID, head parley.Seq)
}

// Keeper is the keeper of inboxes on this node: inbox.Keeper has the contract.
type Keeper interface {
	Notes
	Markers
	After(ctx context.Context, user parley.UserID, pos parley.Pos, limit int) ([]parley.Row, parley.Pos, error)
	Written(ctx context.Context, user parley.UserID, pos parley.Pos, limit int) ([]parley.Row, parley.Pos, error)
	HeadFor(ctx context.Context, user parley.UserID, c parley.ConversationID, at parley.Cursor) (had parley.Seq, m parley.Member, ok bool)
	List(ctx context.Context, user parley.UserID, before parley.Pos, limit int) ([]parley.Row, error)
	Refresh(ctx context.Context, user parley.UserID) error
}

// Markers is how far users have got, and what they wish.
type Markers interface {
	Row(ctx context.Context, user parley.UserID, c parley.ConversationID) (parley.Row, error)
	Mark(ctx context.Context, user parley.UserID, c parley.ConversationID, delivered, read parley.Seq) (parley.Row, error)
	MarkSoon(user parley.UserID, c parley.ConversationID, delivered, read parley.Seq)
	Receipts(ctx context.Context, c parley.ConversationID, users []parley.UserID) []parley.Receipt
	Personal(ctx context.Context, user parley.UserID, c parley.ConversationID, change parley.PersonalChange) (parley.Row, error)
}

// Notes is what is noted of inboxes and not yet durable.
type Notes interface {
	Advance(user parley.UserID, a parley.Advance)
	Flush(ctx context.Context) error
	WhenDurable(user parley.UserID, done func(error))
}

// Fanout is the switchboard of this node.
type Fanout interface {
	Watch(user parley.UserID, w fanout.Watcher) (stop func())
	WatchAway(user parley.UserID, w fanout.Watcher) (stop func())
	Deliver(c *parley.Conversation, entries []parley.Entry, lazy bool)
	Moved(c parley.ConversationID)
	Nudge(user parley.UserID, c parley.ConversationID, head parley.Seq)
	Stir(user parley.UserID)
	Revoke(user parley.UserID, device parley.DeviceID)
	ContactsChanged(user parley.UserID)
}

// Receipts is the receipts on this node: fanout.Receipts has the contract.
type Receipts interface {
	Heard(r parley.Receipt)
	Tell(users []parley.UserID, r parley.Receipt)
	Show(users []parley.UserID, r parley.Receipt)
}

// Whispers is the whispers on this node: fanout.Whispers has the contract.
type Whispers interface {
	Heard(w parley.Whisper)
	Tell(users []parley.UserID, w parley.Whisper)
	Show(users []parley.UserID, w parley.Whisper)
}

// Presence is who is online, as this node knows it: presence.Presence has the
// contract.
type Presence interface {
	Told(from presence.Node, n presence.Note)
	States(users []parley.UserID) []presence.State
	Turned()
}

// Config is what Peers works with; all of it is required.
type Config struct {
	Cluster       Cluster
	Conversations Conversations
	Keeper        Keeper
	Fanout        Fanout
	Receipts      Receipts
	Whispers      Whispers
	Presence      Presence
	// Inherit does what the former owners of conversations in those shards
	// left undone, and notes again everywhere what this node published since
	// it was last settled; all of it is durable when it returns.
	Inherit func(ctx context.Context, gained func(shard int) bool) error
	// SignedOut forgets what is in memory of a device that another node
	// signed out.
	SignedOut func(parley.UserID, parley.DeviceID)
	// Recheck closes the sessions of devices that were signed out while this
	// node may not have heard of it.
	Recheck func(ctx context.Context)
	Logger  *slog.Logger
}

// Peers is this node among its peers.
type Peers struct {
	// static after New
	cfg      Config
	ctx      context.Context
	cancel   context.CancelFunc
	gate     *gate
	watch    *watched
	remote   *registered
	satchels *satchels
	crowd    int64 // how many questions may wait before the gate

	forwarded atomic.Int64 // bytes of posts on their way to other nodes
	waiting   atomic.Int64 // questions before the gate

	mu      sync.Mutex
	links   map[cluster.NodeID]*link
	closed  bool
	asks    map[*asking]struct{} // under way
	running sync.WaitGroup
	turned  chan struct{} // closed and replaced when the view changes
	members uint64        // the digest of the view before
}

// Deadlines of what one node asks another. A caller who waits longer than
// failWithin gets an error that says to try again.
const (
	askWithin  = 2 * time.Second        // a lost message is asked again after that
	noteWithin = 500 * time.Millisecond // for what is answered without waiting
	failWithin = 6 * time.Second
	askPause   = 50 * time.Millisecond
)

// New returns peers that hear and say nothing before Start.
func New(cfg Config) *Peers {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Peers{
		cfg: cfg, ctx: ctx, cancel: cancel, crowd: maxWaiting,
		links: make(map[cluster.NodeID]*link), asks: make(map[*asking]struct{}), turned: make(chan struct{}),
	}
	p.gate = newGate(p)
	p.watch = newWatched(p)
	p.remote = newRegistered(p)
	p.satchels = newSatchels(p)
	return p
}

// Start begins to work.
func (p *Peers) Start() {
	p.start(p.gate.run)
	p.start(p.watch.run)
}

// Close ends what is under way and returns when no goroutine is left.
func (p *Peers) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.running.Wait()
}

// asking is something to give up when a node is gone, or when the view
// changes at all.
type asking struct {
	of     cluster.NodeID // "": any change
	giveUp func()
}

// Changed takes note that the view did. It does not block.
func (p *Peers) Changed(view *cluster.View) {
	p.mu.Lock()
	close(p.turned)
	p.turned = make(chan struct{})
	moved := p.members != view.Digest
	p.members = view.Digest
	var over []func()
	for a := range p.asks {
		if _, member := view.Member(a.of); !member {
			over = append(over, a.giveUp)
		}
	}
	p.mu.Unlock()
	for _, giveUp := range over {
		giveUp()
	}
	p.remote.expire(view)
	if moved {
		p.cfg.Presence.Turned()
	}
}

// whenGone calls f when a node is no longer a member, until stop is called.
func (p *Peers) whenGone(node cluster.NodeID, f func()) (stop func()) {
	a := &asking{node, f}
	p.mu.Lock()
	p.asks[a] = struct{}{}
	p.mu.Unlock()
	if _, member := p.cfg.Cluster.View().Member(node); !member && node != "" {
		f()
	}
	return func() {
		p.mu.Lock()
		delete(p.asks, a)
		p.mu.Unlock()
	}
}

// whenTurned calls f when the view changes, until stop is called.
func (p *Peers) whenTurned(f func()) (stop func()) { return p.whenGone("", f) }

// turn returns what is closed when the view changes next.
func (p *Peers) turn() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.turned
}

// start runs work on a goroutine that Close waits for; false after Close.
func (p *Peers) start(work func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.running.Add(1)
	go func() {
		defer p.running.Done()
		work()
	}()
	return true
}

// pause waits a moment, less when the view changes; false when ctx or the
// node ends.
func (p *Peers) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.turn():
	case <-ctx.Done():
		return false
	case <-p.ctx.Done():
		return false
	}
	return true
}

// owner returns who owns a shard as this node sees it.
func (p *Peers) owner(shard int) cluster.NodeID {
	if o := p.cfg.Cluster.View().Owners(shard); len(o) > 0 {
		return o[0]
	}
	return p.cfg.Cluster.Self()
}

func (p *Peers) self() cluster.NodeID { return p.cfg.Cluster.Self() }

// unreachable is what a caller is told after failWithin.
func unreachable(op string, err error) error {
	return &parley.Error{Code: parley.Overloaded, Op: op, Err: err, After: time.Second, Detail: "the node of the cluster that knows did not answer in time; try again, with the same id if you sent something"}
}
