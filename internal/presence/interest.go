package presence

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
)

const (
	// learnFor is how long a session hears of whom it wrote to.
	learnFor = 5 * time.Minute
	// maxLearned bounds the conversations that is remembered of; the oldest
	// one makes room.
	maxLearned = 32
	// maxWorkers bounds the interests that are served at the same time.
	maxWorkers = 16
	// serveWithin bounds serving one, and askWithin asking the owners.
	serveWithin = 3 * time.Second
	askWithin   = time.Second
)

// Watcher is who is told: a session.
type Watcher interface {
	// Presence tells how users stand, those of whom there is something new.
	// An answer to a watch may be empty. It takes note and returns.
	Presence(items []parley.Presence, answer bool)
}

// Interest is whom one session wants to know of. A session that watches
// nobody has none.
type Interest struct {
	// static after Interest
	p    *Presence
	user parley.UserID
	w    Watcher

	// guarded by p.mu
	closed  bool
	queued  bool   // stands in ready or resting, or is served
	rest    moment // it is not told anything before
	asked   bool   // wanted is to be watched from now on
	wanted  []parley.UserID
	spoke   []parley.ConversationID // somebody there may be learned of
	watches map[parley.UserID]struct{}
	learned []learned
	fresh   map[parley.UserID]struct{} // of whom there is something to tell
}

// learned is the other member of a conversation that the user wrote to.
type learned struct {
	conversation parley.ConversationID
	user         parley.UserID // empty: there is none, or the user may not see them
	until        moment
}

// watched is a user whom sessions here watch.
type watched struct {
	by    []*Interest // each once
	state State
	known bool
}

// Interest returns the interest of a session of user, in nobody.
func (p *Presence) Interest(user parley.UserID, w Watcher) *Interest {
	return &Interest{p: p, user: user, w: w}
}

// Watch replaces whom the session watches, MaxWatched at most; an answer
// follows. Of two watches that come faster than answers, the later counts.
func (i *Interest) Watch(users []parley.UserID) {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	if i.closed {
		return
	}
	i.asked, i.wanted = true, slices.Clone(users[:min(len(users), MaxWatched)])
	i.p.enqueue(i)
}

// Spoke takes note that the user wrote to c: if it is a direct conversation,
// the session learns of the other for a while.
func (i *Interest) Spoke(c parley.ConversationID) {
	now := i.p.now()
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	for n := range i.learned {
		if l := &i.learned[n]; l.conversation == c {
			if l.user != "" { // else it is looked at again once this is over
				l.until = now + learnFor
			}
			return
		}
	}
	if i.closed || i.p.cfg.Other == nil || len(i.spoke) >= maxLearned || slices.Contains(i.spoke, c) {
		return
	}
	i.spoke = append(i.spoke, c)
	i.p.enqueue(i)
}

// Close ends it. Nothing is told afterwards, but for what is being told.
func (i *Interest) Close() {
	p := i.p
	p.mu.Lock()
	defer p.mu.Unlock()
	i.closed = true
	for u := range i.watches {
		p.unref(i, u)
	}
	for _, l := range i.learned {
		p.unref(i, l.user)
	}
	i.asked, i.wanted, i.spoke, i.watches, i.learned, i.fresh = false, nil, nil, nil, nil, nil
	delete(p.learners, i)
}

// enqueue has i served, when its pace lets it. p.mu is held.
func (p *Presence) enqueue(i *Interest) {
	if i.queued || i.closed {
		return
	}
	i.queued = true
	if p.now() < i.rest {
		p.resting = append(p.resting, i)
		return
	}
	p.ready = append(p.ready, i)
	p.hire()
}

// rested has those served whose pace is over.
func (p *Presence) rested(now moment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resting = slices.DeleteFunc(p.resting, func(i *Interest) bool {
		if now < i.rest {
			return false
		}
		p.ready = append(p.ready, i)
		return true
	})
	p.hire()
}

// hire has as many workers as there is work for. p.mu is held.
func (p *Presence) hire() {
	for n := len(p.ready); n > 0 && p.workers < maxWorkers; n-- {
		if !p.startLocked(p.work) {
			return
		}
		p.workers++
	}
}

// work serves until nobody is ready.
func (p *Presence) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.ready) > 0 && !p.closed {
		i := p.ready[0]
		p.ready = p.ready[1:]
		p.mu.Unlock()
		p.serve(i)
		p.mu.Lock()
		i.queued, i.rest = false, p.now()+pace
		if i.asked || len(i.spoke)+len(i.fresh) > 0 {
			p.enqueue(i)
		}
	}
	p.workers--
}

// serve does what an interest waits for, and tells its session.
func (p *Presence) serve(i *Interest) {
	ctx, cancel := context.WithTimeout(p.ctx, serveWithin)
	defer cancel()
	p.mu.Lock()
	answer, wanted, spoke := i.asked, i.wanted, i.spoke
	i.asked, i.wanted, i.spoke = false, nil, nil
	p.mu.Unlock()
	var seen []parley.UserID // was asked just now
	if answer {
		var err error
		if seen, err = p.visible(ctx, i.user, wanted); err != nil {
			p.retry(i, wanted)
			return
		}
		p.replace(i, seen)
	}
	for _, c := range spoke {
		p.learn(ctx, i, c)
	}
	p.find(ctx, i)
	items := p.news(ctx, i, seen)
	if answer || len(items) > 0 {
		i.w.Presence(items, answer)
	}
}

// retry has a watch tried once more, unless there is a later one.
func (p *Presence) retry(i *Interest, wanted []parley.UserID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !i.asked && !i.closed {
		i.asked, i.wanted = true, wanted
	}
}

// visible returns those of users whom asker may see, each once.
func (p *Presence) visible(ctx context.Context, asker parley.UserID, users []parley.UserID) ([]parley.UserID, error) {
	users = slices.Compact(slices.Sorted(slices.Values(users)))
	if len(users) == 0 {
		return nil, nil
	}
	seen, err := p.cfg.Visible.Visible(ctx, asker, users)
	if err != nil && p.ctx.Err() == nil {
		p.cfg.Logger.Debug("who may be seen is not known", slog.Any("err", err))
	}
	return seen, err
}

// replace has i watch users and nobody else.
func (p *Presence) replace(i *Interest, users []parley.UserID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i.closed {
		return
	}
	old := i.watches
	i.watches = nil
	if len(users) > 0 {
		i.watches = make(map[parley.UserID]struct{}, len(users))
	}
	for _, u := range users {
		i.watches[u] = struct{}{}
		p.ref(i, u)
	}
	for u := range old {
		p.unref(i, u)
	}
}

// learn has i hear of the other member of c, if there is one to be seen.
func (p *Presence) learn(ctx context.Context, i *Interest, c parley.ConversationID) {
	other, err := p.cfg.Other(ctx, i.user, c)
	if err != nil {
		return // the next message tries again
	}
	if other != "" {
		seen, err := p.visible(ctx, i.user, []parley.UserID{other})
		if err != nil {
			return
		}
		if len(seen) == 0 {
			other = ""
		}
	}
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if i.closed {
		return
	}
	if len(i.learned) >= maxLearned {
		old := i.learned[0]
		i.learned = slices.Delete(i.learned, 0, 1)
		p.unref(i, old.user)
	}
	i.learned = append(i.learned, learned{c, other, now + learnFor})
	p.learners[i] = struct{}{}
	if other != "" {
		p.ref(i, other)
		i.mark(other)
	}
}

// forgetLearned ends what was learned too long ago.
func (p *Presence) forgetLearned(now moment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.learners {
		var gone []parley.UserID
		i.learned = slices.DeleteFunc(i.learned, func(l learned) bool {
			if now < l.until {
				return false
			}
			gone = append(gone, l.user)
			return true
		})
		for _, u := range gone {
			p.unref(i, u)
		}
		if len(i.learned) == 0 {
			i.learned = nil
			delete(p.learners, i)
		}
	}
}

// mark has i told of u. p.mu is held.
func (i *Interest) mark(u parley.UserID) {
	if i.fresh == nil {
		i.fresh = make(map[parley.UserID]struct{})
	}
	i.fresh[u] = struct{}{}
}

// wants reports whether i is to hear of u. p.mu is held.
func (i *Interest) wants(u parley.UserID) bool {
	_, ok := i.watches[u]
	return ok || slices.ContainsFunc(i.learned, func(l learned) bool { return l.user == u })
}

// ref has i among those who watch u. p.mu is held.
func (p *Presence) ref(i *Interest, u parley.UserID) {
	w := p.watched[u]
	if w == nil {
		w = &watched{}
		p.watched[u] = w
		p.wishes[u] = struct{}{}
	}
	if !slices.Contains(w.by, i) {
		w.by = append(w.by, i)
	}
}

// unref ends that, unless i still wants to hear of u. p.mu is held.
func (p *Presence) unref(i *Interest, u parley.UserID) {
	w := p.watched[u]
	if w == nil || !i.closed && i.wants(u) {
		return
	}
	delete(i.fresh, u)
	if w.by = slices.DeleteFunc(w.by, func(x *Interest) bool { return x == i }); len(w.by) == 0 {
		delete(p.watched, u)
		p.wishes[u] = struct{}{}
	}
}

// find asks the owners of those whom i watches and nobody here knows of.
func (p *Presence) find(ctx context.Context, i *Interest) {
	p.mu.Lock()
	var unknown []parley.UserID
	want := func(u parley.UserID) {
		if w := p.watched[u]; w != nil && !w.known {
			unknown = append(unknown, u)
		}
	}
	for u := range i.watches {
		want(u)
	}
	for _, l := range i.learned {
		want(l.user)
	}
	p.mu.Unlock()
	for node, states := range p.ask(ctx, unknown) {
		p.hear(node, states)
	}
}

// ask asks the owners of users, as far as they answer in time.
func (p *Presence) ask(ctx context.Context, users []parley.UserID) map[Node][]State {
	at := make(map[Node][]parley.UserID)
	for _, u := range users {
		to := p.owner(u)
		at[to] = append(at[to], u)
	}
	all := make(map[Node][]State)
	if mine := at[p.self]; mine != nil {
		all[p.self] = p.States(mine)
		delete(at, p.self)
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for to, of := range at {
		asking.Go(func() {
			// An error leaves them unknown, as they were.
			states, _ := p.cfg.Nodes.Ask(ctx, to, of)
			mu.Lock()
			all[to] = states
			mu.Unlock()
		})
	}
	asking.Wait()
	return all
}

// hear takes what an owner says.
func (p *Presence) hear(from Node, states []State) {
	if len(states) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range states {
		w := p.watched[s.User]
		if w == nil || p.owner(s.User) != from {
			continue // nobody asks, or it is not the owner's word
		}
		same := w.known && w.state.Online == s.Online && !s.Again
		s.Again = false
		w.state, w.known = s, true
		if same {
			continue
		}
		for _, i := range w.by {
			i.mark(s.User)
			p.enqueue(i)
		}
	}
}

// news takes what i is to be told: of all whom it sees since just now, and of
// those of whom there is something new. Who may not be seen any more is told
// offline, once.
func (p *Presence) news(ctx context.Context, i *Interest, seen []parley.UserID) (items []parley.Presence) {
	var ask []parley.UserID
	p.mu.Lock()
	for _, u := range seen {
		i.mark(u) // told with the rest
	}
	for u := range i.fresh {
		if !slices.Contains(seen, u) {
			ask = append(ask, u)
		}
	}
	p.mu.Unlock()
	still, err := p.visible(ctx, i.user, ask)
	if err != nil {
		ask = nil // they stay fresh
	}
	seen = append(seen, still...)
	var lost []parley.Presence
	p.mu.Lock()
	for u := range i.fresh {
		w := p.watched[u]
		switch {
		case slices.Contains(ask, u) && !slices.Contains(seen, u):
			lost = append(lost, parley.Presence{User: u})
			i.lose(u)
			p.unref(i, u)
		case !slices.Contains(seen, u):
			continue // came in between
		case w != nil && w.known:
			items = append(items, w.state.presence())
		}
		delete(i.fresh, u)
	}
	p.mu.Unlock()
	p.date(ctx, items)
	return append(items, lost...)
}

// lose has i not want u any more. p.mu is held.
func (i *Interest) lose(u parley.UserID) {
	delete(i.watches, u)
	for n := range i.learned {
		if i.learned[n].user == u {
			i.learned[n].user = ""
		}
	}
}

// date fills in roughly when those were last seen of whom memory does not say.
func (p *Presence) date(ctx context.Context, items []parley.Presence) {
	if p.cfg.LastSeen == nil {
		return
	}
	for n := range items {
		if it := &items[n]; !it.Online && it.LastSeen.IsZero() {
			if at, err := p.cfg.LastSeen(ctx, it.User); err == nil {
				it.LastSeen = at
			}
		}
	}
}

// Of returns what is known of those of users whom asker may see.
func (p *Presence) Of(ctx context.Context, asker parley.UserID, users []parley.UserID) ([]parley.Presence, error) {
	seen, err := p.visible(ctx, asker, users)
	if err != nil || len(seen) == 0 {
		return nil, err
	}
	var items []parley.Presence
	for _, states := range p.ask(ctx, seen) {
		for n := range states {
			items = append(items, states[n].presence())
		}
	}
	p.date(ctx, items)
	return items, nil
}
