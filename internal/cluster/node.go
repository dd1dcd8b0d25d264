package cluster

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Node is this process in its cluster.
type Node struct {
	// static after Join
	cfg    Config
	born   time.Time // what belief counts from
	ctx    context.Context
	cancel context.CancelFunc
	failed chan error // capacity one
	ended  atomic.Bool

	running sync.WaitGroup
	public  atomic.Pointer[standing]

	mu      sync.Mutex // guards what follows; held for no I/O
	belief  *belief
	watch   watch
	scale   scale
	changes []*View       // to be told
	changed chan struct{} // capacity one: changes is not empty
}

// standing is what hot paths read: a view, and until when it is settled.
type standing struct {
	view  *View
	until time.Duration // meaningless in a view without a term
}

// maxChanges bounds the views that wait to be told. Past it the oldest go:
// the last one is what counts.
const maxChanges = 64

// Self returns this node's name.
func (n *Node) Self() NodeID { return n.cfg.ID }

func (n *Node) since() time.Duration { return n.cfg.Now().Sub(n.born) }

// View returns who is alive, as this node believes now.
func (n *Node) View() *View {
	s := n.public.Load()
	if s.view.Term == 0 || n.since() < s.until {
		return s.view
	}
	n.note(func(at time.Duration, b *belief) { b.lapse(at) })
	return n.public.Load().view
}

// Term returns the settled term if this node owns the shard and may believe
// at this very moment that nobody else does; otherwise 0. A greater term than
// before says that others may have owned the shard in between.
func (n *Node) Term(shard int) uint64 {
	s := n.public.Load()
	if s.view.Term == 0 || n.since() >= s.until && !n.cfg.seeded.noClock {
		return 0
	}
	if s.view.Owners(shard)[0] != n.cfg.ID {
		return 0
	}
	return s.view.Term
}

// Announced reports that at this moment no other node can be in a settled
// view without this one: its row in the node table was alive for everybody
// whose reading still counts.
func (n *Node) Announced() bool {
	at := n.since()
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.ended.Load() && n.belief.table.shown(at).why == ""
}

// Undisputed reports that this node is announced, and that at this moment no
// other node can be settled in a view that differs from this node's.
func (n *Node) Undisputed() bool {
	at := n.since()
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.ended.Load() && n.belief.undisputed(at)
}

// Out reports that this node has stepped out, and not just for a moment: its
// clients are better off with another one.
func (n *Node) Out() bool {
	at := n.since()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.belief.isAway(at)
}

// Failed delivers why this node must stop, if it must: its name is another's.
// It has no terms from then on.
func (n *Node) Failed() <-chan error { return n.failed }

// Tell tells another node's peers; see [Bus].
func (n *Node) Tell(to NodeID, msg []byte) error { return n.cfg.Bus.Tell(to, forPeer(msg)) }

// Ask asks another node's peers; see [Bus].
func (n *Node) Ask(ctx context.Context, to NodeID, msg []byte) ([]byte, error) {
	return n.cfg.Bus.Ask(ctx, to, forPeer(msg))
}

func forPeer(msg []byte) []byte {
	return append(append(make([]byte, 0, len(msg)+1), forPeers), msg...)
}

// Drain takes this node out of the ring: others own what it owned. It still
// hears and answers.
func (n *Node) Drain() {
	n.note(func(at time.Duration, b *belief) { b.change(at, func(m *Member) { m.Draining = true }) })
	n.beat()
}

// Leave says goodbye, so that others need not wait for silence, removes this
// node from the node table if ctx allows, and ends the node and its bus.
func (n *Node) Leave(ctx context.Context) {
	if !n.end() {
		return
	}
	h := n.lastBeat()
	n.running.Wait()
	_ = n.cfg.Bus.TellAll(h) // who does not hear it finds out by silence
	if err := n.withdraw(ctx); err != nil {
		n.cfg.Logger.Warn("this node left, but still stands in the node table; others wait until it is stale", slog.Any("err", err))
	}
	n.cfg.Bus.Close()
}

// Kill ends the node and its bus without a word, as a crash does.
func (n *Node) Kill() {
	if !n.end() {
		return
	}
	n.running.Wait()
	n.cfg.Bus.Close()
}

// end takes the terms away for good and stops the goroutines; false if that
// was done before.
func (n *Node) end() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended.Swap(true) {
		return false
	}
	n.belief.unsettle("this node is leaving")
	n.public.Store(&standing{view: n.belief.view})
	n.cancel()
	return true
}

func (n *Node) lastBeat() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.belief.tick(n.since(), n.cfg.Now())
	h.Leaving = true
	return h.encode()
}

// fail gives up the name for good.
func (n *Node) fail(err error) {
	n.mu.Lock()
	already := n.ended.Load()
	n.belief.unsettle("this node's name is another's")
	n.belief.unannounced(n.since())
	n.belief.lost = true
	n.publish()
	n.mu.Unlock()
	if already {
		return
	}
	select {
	case n.failed <- err:
	default: // one reason is enough
	}
}

// note applies an event to what this node believes, and publishes what came
// of it.
func (n *Node) note(event func(at time.Duration, b *belief)) {
	n.mu.Lock()
	if n.ended.Load() {
		n.mu.Unlock()
		return
	}
	event(n.since(), n.belief)
	n.publish()
	say := n.watch.say
	n.watch.say = nil
	n.mu.Unlock()
	for _, log := range say {
		log()
	}
}

// publish makes the belief what others read. n.mu is held.
func (n *Node) publish() {
	b := n.belief
	before := n.public.Load()
	n.public.Store(&standing{view: b.view, until: b.until})
	if before != nil && before.view == b.view {
		return
	}
	if len(n.changes) == maxChanges {
		n.changes = n.changes[1:]
	}
	n.changes = append(n.changes, b.view)
	select {
	case n.changed <- struct{}{}:
	default: // it was said already
	}
}

// tellChanges calls Changed for every view, until the node ends.
func (n *Node) tellChanges() {
	last := n.View()
	for {
		select {
		case <-n.changed:
		case <-n.ctx.Done():
			return
		}
		n.mu.Lock()
		changes := n.changes
		n.changes = nil
		n.mu.Unlock()
		for _, v := range changes {
			logChange(n.cfg.Logger, last, v)
			n.cfg.Changed(v)
			last = v
		}
	}
}

// tick sends heartbeats until the node ends.
func (n *Node) tick() {
	ticker := time.NewTicker(n.cfg.Heartbeat)
	defer ticker.Stop()
	for {
		n.beat()
		select {
		case <-ticker.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// beat sends one heartbeat.
func (n *Node) beat() {
	var msg []byte
	n.note(func(at time.Duration, b *belief) {
		if b.lost {
			return
		}
		n.rebalance(at, b)
		msg = b.tick(at, n.cfg.Now()).encode()
		n.watch.stepped(n.cfg.Logger, b)
		n.watch.clocks(n.cfg.Logger, b)
	})
	if msg != nil {
		_ = n.cfg.Bus.TellAll(msg) // the next one follows at once
	}
}

// hearing is the node as its bus knows it.
type hearing struct{ n *Node }

// Told implements Listener.
func (l hearing) Told(from NodeID, msg []byte) {
	if len(msg) == 0 || from == l.n.cfg.ID && msg[0] != forCluster {
		return
	}
	switch msg[0] {
	case forPeers:
		l.n.cfg.Peers.Told(from, msg[1:])
	case forCluster:
		l.n.heard(from, msg[1:])
	}
}

// Asked implements Listener.
func (l hearing) Asked(from NodeID, msg []byte, answer func([]byte)) {
	if len(msg) > 0 && msg[0] == forPeers {
		l.n.cfg.Peers.Asked(from, msg[1:], answer)
	}
}

// heard takes a heartbeat.
func (n *Node) heard(from NodeID, raw []byte) {
	h, err := decodeBeat(raw)
	if err != nil || h.ID != from {
		n.note(func(time.Duration, *belief) { n.watch.broken(n.cfg.Logger, from) })
		return
	}
	n.note(func(at time.Duration, b *belief) {
		switch {
		case h.ID == n.cfg.ID:
			if h.Incarnation != b.self.Incarnation && !h.Leaving {
				n.watch.rival = true
			}
		case h.Protocol != protocol:
			n.watch.stranger(n.cfg.Logger, h)
		default:
			b.hear(at, n.cfg.Now(), h)
		}
	})
}
