package peer

import (
	"errors"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
)

const (
	// maxLinked bounds the bytes that wait for one node. Past it items are
	// dropped: who waits is told to try again, and the dirty mark stands for
	// the rest.
	maxLinked = 32 << 20
	// maxBatch and maxBatchBytes bound one message.
	maxBatch      = 512
	maxBatchBytes = 1 << 20
)

// link is what this node has to tell another, in order, one batch at a time:
// what comes while a batch is under way is the next.
type link struct {
	p  *Peers
	to cluster.NodeID

	mu    sync.Mutex
	queue []*item
	bytes int64
	busy  bool
}

// link returns the link to a node.
func (p *Peers) link(to cluster.NodeID) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.links[to]
	if l == nil {
		l = &link{p: p, to: to}
		p.links[to] = l
	}
	return l
}

// push queues an item.
func (l *link) push(it *item) {
	l.mu.Lock()
	full := l.bytes+it.size() > maxLinked
	begin := false
	if !full {
		l.queue = append(l.queue, it)
		l.bytes += it.size()
		begin, l.busy = !l.busy, true
	}
	l.mu.Unlock()
	if full || begin && !l.p.start(l.run) {
		it.answer(unreachable("peer.link", errors.New("too much waits for a node")))
	}
}

func (it *item) answer(err error) {
	if it.told != nil {
		it.told(err)
	}
}

// run sends until the queue is empty.
func (l *link) run() {
	for {
		batch := l.take()
		if batch == nil {
			return
		}
		l.send(batch)
	}
}

func (l *link) take() []*item {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, bytes := 0, int64(0)
	for n < len(l.queue) && n < maxBatch && bytes < maxBatchBytes {
		bytes += l.queue[n].size()
		n++
	}
	if n == 0 {
		l.busy, l.queue = false, nil
		return nil
	}
	batch := l.queue[:n:n]
	l.queue = l.queue[n:]
	l.bytes -= bytes
	return batch
}

// send has a batch noted, by whoever owns the inboxes when it succeeds.
func (l *link) send(batch []*item) {
	p := l.p
	q := request{Op: opNote, Items: make([]item, len(batch))}
	for i, it := range batch {
		q.Items[i] = *it
	}
	for {
		r, err := p.ask(p.ctx, l.to, q)
		if err == nil {
			l.noted(batch, r)
			return
		}
		_, member := p.cfg.Cluster.View().Member(l.to)
		if !isSilence(err) || !member {
			l.reroute(batch, err)
			return
		}
		if !p.pause(p.ctx, askPause) || time.Now().After(batch[0].until) {
			l.reroute(batch, err)
			return
		}
	}
}

// reroute takes items that this node did not take to whoever owns the inboxes
// now.
func (l *link) reroute(items []*item, why error) {
	for _, it := range items {
		if l.p.ctx.Err() != nil || time.Now().After(it.until) {
			it.answer(unreachable("peer.link", why))
			continue
		}
		l.p.route(*it)
	}
}

// noted answers for a batch that was noted.
func (l *link) noted(batch []*item, r response) {
	uncertain := make(map[int]bool, len(r.Uncertain))
	for _, i := range r.Uncertain {
		uncertain[i] = true
	}
	notMine := make(map[int]bool, len(r.NotMine))
	var again, durable []*item
	for _, i := range r.NotMine {
		if i >= 0 && i < len(batch) {
			notMine[i] = true
			again = append(again, batch[i])
		}
	}
	for i, it := range batch {
		switch {
		case notMine[i]:
		case uncertain[i]:
			durable = append(durable, it)
		default:
			l.p.confirm(it)
		}
	}
	if len(durable) > 0 && !l.p.start(func() { l.durable(durable) }) {
		for _, it := range durable {
			it.answer(errDraining("peer.link"))
		}
	}
	if len(again) > 0 {
		l.p.pause(l.p.ctx, askPause) // until the views agree
		l.reroute(again, errNotMine)
	}
}

// durable waits until the senders' rows of items are, at the node that noted
// them.
func (l *link) durable(items []*item) {
	var users []parley.UserID
	for _, it := range items {
		users = append(users, it.Senders...)
	}
	if _, err := l.p.ask(l.p.ctx, l.to, request{Op: opDurable, Users: users}); err != nil {
		l.p.pause(l.p.ctx, askPause)
		l.reroute(items, err)
		return
	}
	for _, it := range items {
		l.p.confirmDurable(it, l.to)
	}
}
