// Package presence knows who is online: who has a device connected, on any
// node, and when the others last had. All of it is in memory and may be lost;
// nothing of it is on the path of a message.
//
// # Leases
//
// The owner of a user's shard keeps one lease for each node that has devices
// of the user connected ([Note.Here]), which that node renews every
// renewEvery and which runs out after Lease. So a clean disconnect is known at
// once, and a node that dies without a word leaves no ghost: its leases run
// out. A change of owner costs nothing but a report: what is connected is
// known where it is connected.
//
// "Online" is told once a lease stood for stay, "offline" once there was none
// for grace, so that a reconnect is no flap. A lease that ran out is told at
// once: it had its grace.
//
// # Interest
//
// A session says whom it watches ([Interest]); its node subscribes with the
// owners, once for each user however many sessions watch, and with a lease as
// well. Whether the asker may see a user is asked when a session begins to
// watch and again whenever there is something to tell it: who may not any more
// is told that the user is offline, once, and hears nothing of them after that.
//
// # Bounds
//
// Nothing here is sent at the moment of a change: nodes tell each other how
// things stand once in each tick, one session is told at most once in each
// pace, and what changed in between is one change. So whatever devices do,
//
//   - a node tells another at most two notes each tick (what it has connected
//     and wants, and what it owns), and one more of each for every further
//     thousand users of whom there is something new;
//   - a user becomes online and offline again at most once in stay + grace;
//   - a session gets at most one presence frame in each pace, with at most
//     MaxWatched + maxLearned users.
//
// With a tick of half a second that is four notes a second from one node to
// another while a thousand devices flap, and one frame a second to a session.
// A change is told within half a second to report it, stay or grace, half a
// second to decide, and the rest of the session's pace, rounded up to a tick:
// seven and a half seconds at the most.
package presence

import (
	"context"
	"log/slog"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
)

const (
	tick       = 500 * time.Millisecond // between two reports
	stay       = 3 * time.Second        // from a first connection to "online"
	grace      = 5 * time.Second        // from the last one's end to "offline"
	pace       = time.Second            // between two frames to one session
	renewEvery = 15 * time.Second       // leases and subscriptions of other nodes
	leaseFor   = 40 * time.Second       // default of Config.Lease
	sweepEvery = 5 * time.Second        // what ran out is found that late
	// settle is how long a new owner waits for reports before it says that
	// somebody is offline.
	settle = grace
)

// MaxWatched bounds the users one session watches.
const MaxWatched = 200

// Visible says who may see whom.
type Visible interface {
	// Visible returns those of targets whom asker may see: both know each
	// other, neither blocks the other, and neither hides.
	Visible(ctx context.Context, asker parley.UserID, targets []parley.UserID) ([]parley.UserID, error)
}

// Config is what a Presence works with; what has no default is required.
type Config struct {
	Nodes   Nodes // nil: everything lives here
	Visible Visible
	// Other returns the other member of a direct conversation of user's; ""
	// when there is none. nil: nobody learns by sending.
	Other func(ctx context.Context, user parley.UserID, c parley.ConversationID) (parley.UserID, error)
	// LastSeen returns when a device of user was last seen, roughly, where
	// memory does not say; zero: never. nil: nobody knows.
	LastSeen func(ctx context.Context, user parley.UserID) (time.Time, error)
	Lease    time.Duration // how long a node is believed that says nothing; 40 s
	Now      func() time.Time
	Logger   *slog.Logger
}

// moment is a time since the start of this Presence.
type moment = time.Duration

// Presence is one node's part: the devices connected here, what the sessions
// here want to know, and the leases of the users whose shards live here.
type Presence struct {
	// static after New
	cfg    Config
	self   Node
	begun  time.Time
	ctx    context.Context
	cancel context.CancelFunc
	ledger *ledger

	running sync.WaitGroup

	// owned by run
	renewed, swept moment

	mu        sync.Mutex
	closed    bool
	here      map[parley.UserID]present  // who has sessions here
	touched   map[parley.UserID]struct{} // of whom the owner is to hear
	watched   map[parley.UserID]*watched // whom sessions here watch
	wishes    map[parley.UserID]struct{} // of these the owner is to hear, too
	rechecked map[parley.UserID]struct{} // and of these
	ready     []*Interest                // served next
	resting   []*Interest                // served once their pace is over
	learners  map[*Interest]struct{}     // those who learned something that will run out
	workers   int
}

// present is a user with sessions on this node.
type present struct {
	sessions int32
	since    moment // without a break
}

// New begins to work; Close or Kill ends it.
func New(cfg Config) *Presence {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Lease == 0 {
		cfg.Lease = leaseFor
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Presence{
		cfg: cfg, begun: cfg.Now(), ctx: ctx, cancel: cancel,
		here: make(map[parley.UserID]present), touched: make(map[parley.UserID]struct{}),
		watched: make(map[parley.UserID]*watched), wishes: make(map[parley.UserID]struct{}),
		rechecked: make(map[parley.UserID]struct{}), learners: make(map[*Interest]struct{}),
	}
	p.ledger = newLedger(p)
	if cfg.Nodes != nil {
		p.self = cfg.Nodes.Self()
		p.ledger.settled = settle
	}
	p.start(p.run)
	return p
}

// Close tells the owners who is connected here no more, and returns when
// nothing runs.
func (p *Presence) Close() {
	p.report(p.now())
	p.Kill()
}

// Kill is Close without a word.
func (p *Presence) Kill() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.running.Wait()
}

// start runs work on a goroutine that Kill waits for.
func (p *Presence) start(work func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.startLocked(work)
}

func (p *Presence) startLocked(work func()) bool {
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

func (p *Presence) now() moment { return p.cfg.Now().Sub(p.begun) }

// owner returns who owns a user's shard.
func (p *Presence) owner(user parley.UserID) Node {
	if p.cfg.Nodes == nil {
		return p.self
	}
	return p.cfg.Nodes.Owner(user)
}

// run ticks until the server ends.
func (p *Presence) run() {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-p.ctx.Done():
			return
		}
		now := p.now()
		if p.cfg.Nodes != nil && now-p.renewed >= renewEvery {
			p.renewed = now
			p.renew()
		}
		p.report(now)
		if now-p.swept >= sweepEvery {
			p.swept = now
			p.ledger.expire(now)
			p.forgetLearned(now)
		}
		p.deliver(p.ledger.turn(now))
		p.rested(now)
	}
}

// Turned takes note that the owners of shards changed: the new ones hear what
// there is to know.
func (p *Presence) Turned() {
	p.ledger.turned(p.now())
	p.renew()
}

// renew has the owners hear everything once more.
func (p *Presence) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for u := range p.here {
		p.touched[u] = struct{}{}
	}
	for u := range p.watched {
		p.wishes[u] = struct{}{}
	}
}

// report tells the owners what changed here.
func (p *Presence) report(now moment) {
	out := make(letters)
	p.mu.Lock()
	for u := range p.touched {
		n := out.to(p.owner(u))
		if h, ok := p.here[u]; ok {
			n.Here = append(n.Here, Here{u, (now - h.since).Milliseconds()})
		} else {
			n.Gone = append(n.Gone, u)
		}
	}
	for u := range p.wishes {
		n := out.to(p.owner(u))
		switch w := p.watched[u]; {
		case w == nil:
			n.Unwatch = append(n.Unwatch, u)
		case w.known:
			n.Watch = append(n.Watch, Wish{u, w.state.known()})
		default:
			n.Watch = append(n.Watch, Wish{User: u})
		}
	}
	for u := range p.rechecked {
		n := out.to(p.owner(u))
		n.Recheck = append(n.Recheck, u)
	}
	p.touched, p.wishes, p.rechecked = emptied(p.touched), emptied(p.wishes), emptied(p.rechecked)
	p.mu.Unlock()
	p.deliver(out)
}

// emptied returns a set with nothing in it: a new one where much was, so that
// a rush leaves no room behind.
func emptied(set map[parley.UserID]struct{}) map[parley.UserID]struct{} {
	if len(set) > maxNote {
		return make(map[parley.UserID]struct{})
	}
	clear(set)
	return set
}

// deliver takes notes where they belong.
func (p *Presence) deliver(out letters) {
	for node, notes := range out {
		for _, n := range notes {
			if node == p.self {
				p.Told(node, *n)
			} else {
				p.cfg.Nodes.Tell(node, *n)
			}
		}
	}
}

// Told takes a note of a node. It does not block.
func (p *Presence) Told(from Node, n Note) {
	p.ledger.take(from, &n, p.now())
	p.hear(from, n.States)
}

// States returns what is known of those of users whose shards live here.
func (p *Presence) States(users []parley.UserID) []State { return p.ledger.states(users, p.now()) }

// Arrived takes note of one more session of user on this node.
func (p *Presence) Arrived(user parley.UserID) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.here[user]
	if !ok {
		h.since = now
		p.touched[user] = struct{}{}
	}
	h.sessions++
	p.here[user] = h
}

// Left takes note of one session less.
func (p *Presence) Left(user parley.UserID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.here[user]
	if h.sessions--; h.sessions > 0 {
		p.here[user] = h
		return
	}
	delete(p.here, user)
	p.touched[user] = struct{}{}
}

// Recheck takes note that others may see user now who might not before, or
// may not any more.
func (p *Presence) Recheck(user parley.UserID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rechecked[user] = struct{}{}
}
