package peer

import (
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
)

const (
	// leaseFor is how long a node is told of users it asked for once: six
	// looks.
	leaseFor = 6 * lookEvery
	// maxNews bounds the nudges that wait for one node. Past it they are
	// dropped: the node's next look finds the same.
	maxNews = 8192
)

// registered is the nodes that hold sessions of users whose inboxes live
// here.
type registered struct {
	p *Peers

	mu    sync.Mutex
	seats map[parley.UserID]map[cluster.NodeID]*seat
	news  map[cluster.NodeID]*pouch
}

// seat is one node's interest in one user. It implements fanout.Watcher,
// fanout.Receiver and fanout.Hearer.
type seat struct {
	r     *registered
	user  parley.UserID
	node  cluster.NodeID
	stop  func()
	until time.Time // guarded by registered.mu
}

// news is one nudge between nodes; without a conversation it says that rows
// changed.
type news struct {
	User         parley.UserID         `json:"user"`
	Conversation parley.ConversationID `json:"conversation,omitzero"`
	Head         parley.Seq            `json:"head,omitzero"`
}

// pouch is the nudges that wait for one node.
type pouch struct {
	news []news
	busy bool
}

func newRegistered(p *Peers) *registered {
	return &registered{p: p, seats: make(map[parley.UserID]map[cluster.NodeID]*seat), news: make(map[cluster.NodeID]*pouch)}
}

// add has node told of users for a while.
func (r *registered) add(node cluster.NodeID, users []parley.UserID) {
	until := time.Now().Add(leaseFor)
	for _, user := range users {
		r.mu.Lock()
		s := r.seats[user][node]
		if s != nil {
			s.until = until
		} else {
			s = &seat{r: r, user: user, node: node, until: until}
			if r.seats[user] == nil {
				r.seats[user] = make(map[cluster.NodeID]*seat)
			}
			r.seats[user][node] = s
			s.stop = r.p.cfg.Fanout.WatchAway(user, s)
		}
		r.mu.Unlock()
	}
}

// remove ends it.
func (r *registered) remove(node cluster.NodeID, users []parley.UserID) {
	for _, user := range users {
		r.mu.Lock()
		r.dropLocked(r.seats[user][node])
		r.mu.Unlock()
	}
}

func (r *registered) dropLocked(s *seat) {
	if s == nil {
		return
	}
	s.stop()
	delete(r.seats[s.user], s.node)
	if len(r.seats[s.user]) == 0 {
		delete(r.seats, s.user)
	}
}

// expire drops the seats of nodes that did not ask again, or are gone.
func (r *registered) expire(view *cluster.View) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, nodes := range r.seats {
		for _, s := range nodes {
			if _, member := view.Member(s.node); !member || now.After(s.until) {
				r.dropLocked(s)
			}
		}
	}
}

// Nudge implements fanout.Watcher.
func (s *seat) Nudge(c parley.ConversationID, head parley.Seq) {
	s.r.tell(s.node, news{s.user, c, head})
}

// Changed implements fanout.Watcher.
func (s *seat) Changed() { s.r.tell(s.node, news{User: s.user}) }

// Revoked implements fanout.Watcher. Every node is told by the one where it
// happened.
func (s *seat) Revoked(parley.DeviceID) {}

// Keep implements fanout.Watcher. Every node looks itself.
func (s *seat) Keep([]parley.DeviceID) {}

// Lead implements fanout.Watcher. Every node leads its own.
func (s *seat) Lead(string) {}

// tell queues a nudge for a node.
func (r *registered) tell(node cluster.NodeID, n news) {
	r.mu.Lock()
	p := r.news[node]
	if p == nil {
		p = &pouch{}
		r.news[node] = p
	}
	begin := false
	if len(p.news) < maxNews {
		p.news = append(p.news, n)
		begin, p.busy = !p.busy, true
	}
	r.mu.Unlock()
	if begin {
		r.p.start(func() { r.send(node, p) })
	}
}

// send empties a pouch.
func (r *registered) send(node cluster.NodeID, p *pouch) {
	for {
		r.mu.Lock()
		all := p.news
		p.news = nil
		p.busy = len(all) > 0
		r.mu.Unlock()
		if len(all) == 0 {
			return
		}
		r.p.tell(node, request{Op: opNudge, News: all})
	}
}
