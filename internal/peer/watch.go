package peer

import (
	"slices"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/fanout"
)

const (
	// lookEvery is how often a node compares where its sessions' inboxes stand
	// with what it heard: a lost nudge costs that long at most.
	lookEvery = 5 * time.Second
	// usersAtOnce bounds the users of one message.
	usersAtOnce = 1000
	// renewPause spreads the reading that a new term asks for: 2,000 inboxes a
	// second.
	renewPause = 500 * time.Microsecond
)

// watched is the users whose sessions and polls this node holds. It has the
// owners of their inboxes know.
type watched struct {
	p    *Peers
	anew chan struct{} // capacity one: look at the inboxes kept here

	mu    sync.Mutex
	users map[parley.UserID]*watching
}

type watching struct {
	watchers int
	owner    cluster.NodeID // who was told
	pos      parley.Pos     // the greatest position heard of
}

func newWatched(p *Peers) *watched {
	return &watched{p: p, anew: make(chan struct{}, 1), users: make(map[parley.UserID]*watching)}
}

// Watch has w told of what concerns user, wherever the inbox lives, until
// stop is called. It is fanout.Fanout's Watch for a cluster.
func (p *Peers) Watch(user parley.UserID, w fanout.Watcher) (stop func()) {
	unwatch := p.cfg.Fanout.Watch(user, w)
	p.watch.add(user)
	return sync.OnceFunc(func() {
		unwatch()
		p.watch.remove(user)
	})
}

func (w *watched) add(user parley.UserID) {
	owner := w.p.owner(parley.ShardOfUser(user))
	w.mu.Lock()
	u := w.users[user]
	if u == nil {
		u = &watching{owner: owner}
		w.users[user] = u
	}
	u.watchers++
	tell := u.watchers == 1
	w.mu.Unlock()
	if tell && owner != w.p.self() {
		// The owner hears it before it hears of any question about the inbox
		// that follows: messages between two nodes keep their order.
		w.p.tell(owner, request{Op: opWatch, Users: []parley.UserID{user}})
	}
}

func (w *watched) remove(user parley.UserID) {
	w.mu.Lock()
	u := w.users[user]
	u.watchers--
	gone := u.watchers == 0
	if gone {
		delete(w.users, user)
	}
	w.mu.Unlock()
	if gone && u.owner != w.p.self() {
		w.p.tell(u.owner, request{Op: opUnwatch, Users: []parley.UserID{user}})
	}
}

// saw takes note of where an inbox stands, as a session was told.
func (w *watched) saw(user parley.UserID, pos parley.Pos) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if u := w.users[user]; u != nil {
		u.pos = max(u.pos, pos)
	}
}

// renew has the inboxes that live here read again, where memory is in doubt,
// and those who watch them told.
func (w *watched) renew() {
	select {
	case w.anew <- struct{}{}:
	default: // it is about to
	}
}

// run keeps the owners knowing until the node ends.
func (w *watched) run() {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		turn := w.p.turn()
		select {
		case <-turn:
			w.move()
		case <-t.C:
			w.p.remote.expire(w.p.cfg.Cluster.View())
			w.look()
		case <-w.anew:
			w.reread()
		case <-w.p.ctx.Done():
			return
		}
	}
}

// move tells new owners, and has sessions look whether they missed something.
func (w *watched) move() {
	at := make(map[cluster.NodeID][]parley.UserID)
	w.mu.Lock()
	for user, u := range w.users {
		if owner := w.p.owner(parley.ShardOfUser(user)); owner != u.owner {
			u.owner = owner
			at[owner] = append(at[owner], user)
		}
	}
	w.mu.Unlock()
	for owner, users := range at {
		for chunk := range slices.Chunk(users, usersAtOnce) {
			if owner != w.p.self() {
				w.p.tell(owner, request{Op: opWatch, Users: chunk})
			}
		}
		for _, user := range users {
			w.p.cfg.Fanout.Stir(user)
		}
	}
}

// look asks the owners where the inboxes stand, which also renews the leases
// there.
func (w *watched) look() {
	at := make(map[cluster.NodeID][]parley.UserID)
	w.mu.Lock()
	for user, u := range w.users {
		if u.owner != w.p.self() {
			at[u.owner] = append(at[u.owner], user)
		}
	}
	w.mu.Unlock()
	for owner, users := range at {
		for chunk := range slices.Chunk(users, usersAtOnce) {
			r, err := w.p.ask(w.p.ctx, owner, request{Op: opCheck, Users: chunk})
			if err != nil || len(r.Positions) != len(chunk) {
				continue // the next look, or the next owner
			}
			for i, user := range chunk {
				if w.behind(user, r.Positions[i]) {
					w.p.cfg.Fanout.Stir(user)
				}
			}
		}
	}
}

// behind reports whether an inbox stands further than anybody here heard.
func (w *watched) behind(user parley.UserID, pos parley.Pos) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.users[user]
	return u != nil && pos > u.pos
}

// reread is renew's work.
func (w *watched) reread() {
	w.mu.Lock()
	var users []parley.UserID
	for user, u := range w.users {
		if u.owner == w.p.self() {
			users = append(users, user)
		}
	}
	w.mu.Unlock()
	t := time.NewTicker(renewPause)
	defer t.Stop()
	for _, user := range users {
		select {
		case <-t.C:
		case <-w.p.ctx.Done():
			return
		}
		if err := w.p.cfg.Keeper.Refresh(w.p.ctx, user); err == nil {
			w.p.cfg.Fanout.Stir(user)
		}
	}
}
