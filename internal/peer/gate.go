package peer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
)

// gate is which inboxes this node may answer for.
//
// What a node noted in its memory and told "noted" is not yet in the store.
// When its shards go to another node, that one must not answer a sync before
// the former owner wrote what it had, or before the nodes that published it
// noted it anew. So a shard that is gained stays shut until, in one settled
// view, every member has said that it handed over: swept the conversations it
// gained, noted again what it published and had not settled, and written all
// its rows.
//
// A shard held in the settled view before, by a node that nobody left out in
// between, was never gained and stays open.
type gate struct {
	p *Peers

	mu      sync.Mutex
	open    [parley.Shards]bool
	changed chan struct{} // closed and replaced when a shard opens
	handed  uint64        // the view in which this node handed over; 0: none
	settled uint64        // the settled view that open is of
	tenure  uint64        // of the node in it
}

func newGate(p *Peers) *gate { return &gate{p: p, changed: make(chan struct{})} }

// enter waits until this node may answer for a shard. It is errNotMine when
// the shard is another's.
func (g *gate) enter(ctx context.Context, shard int) error {
	for {
		if !g.p.Here(shard) {
			return errNotMine
		}
		g.mu.Lock()
		open, changed := g.open[shard], g.changed
		g.mu.Unlock()
		if open {
			return nil
		}
		select {
		case <-changed:
		case <-g.p.turn():
		case <-ctx.Done():
			return unreachable("peer.gate", ctx.Err())
		case <-g.p.ctx.Done():
			return errDraining("peer.gate")
		}
	}
}

// isOpen reports whether this node may answer for a shard now.
func (g *gate) isOpen(shard int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open[shard]
}

// Open returns when this node may answer for all that it owns, or when ctx or
// the time is over.
func (p *Peers) Open(ctx context.Context, within time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		p.gate.mu.Lock()
		open, changed := p.gate.settled != 0, p.gate.changed
		p.gate.mu.Unlock()
		if open {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// hasHanded reports whether this node handed over in a view.
func (g *gate) hasHanded(view uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.handed == view
}

// run follows the settled views until the node ends.
func (g *gate) run() {
	for g.p.ctx.Err() == nil {
		turn := g.p.turn()
		view := g.p.cfg.Cluster.View()
		if view.Term != 0 && g.isNew(view) {
			ctx, cancel := context.WithCancel(g.p.ctx)
			stop := g.p.whenTurned(cancel)
			err := g.inherit(ctx, view)
			stop()
			cancel()
			if err != nil && g.p.ctx.Err() == nil {
				g.p.cfg.Logger.Warn("shards gained are not open yet; trying again", slog.Any("err", err))
				g.p.pause(g.p.ctx, 5*askPause)
				continue
			}
		}
		select {
		case <-turn:
		case <-g.p.ctx.Done():
		}
	}
}

func (g *gate) isNew(view *cluster.View) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.settled != view.Digest || g.tenure != view.Tenure || g.handed != view.Digest
}

// inherit makes this node the owner of what a settled view gives it, and
// opens it.
func (g *gate) inherit(ctx context.Context, view *cluster.View) error {
	begun := time.Now()
	self := g.p.self()
	g.mu.Lock()
	var mine, gained [parley.Shards]bool
	n := 0
	for s := range mine {
		mine[s] = view.Owners(s)[0] == self
		gained[s] = mine[s] && !(g.open[s] && g.tenure == view.Tenure)
		g.open[s] = mine[s] && !gained[s]
		if gained[s] {
			n++
		}
	}
	g.handed = 0
	g.mu.Unlock()

	if err := g.p.cfg.Inherit(ctx, func(s int) bool { return gained[s] }); err != nil {
		return err
	}
	if err := g.p.cfg.Keeper.Flush(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	g.handed = view.Digest
	g.mu.Unlock()
	if err := g.everybody(ctx, view); err != nil {
		return err
	}

	g.mu.Lock()
	g.open, g.settled, g.tenure = mine, view.Digest, view.Tenure
	close(g.changed)
	g.changed = make(chan struct{})
	g.mu.Unlock()
	if n > 0 {
		g.p.cfg.Logger.Info("shards gained", slog.Int("shards", n), slog.Int("nodes", len(view.Members)), slog.Duration("took", time.Since(begun)))
	}
	g.p.cfg.Recheck(ctx)
	g.p.watch.renew()
	return nil
}

// everybody returns when every member of the view handed over in it.
func (g *gate) everybody(ctx context.Context, view *cluster.View) error {
	for _, m := range view.Members {
		for m.ID != g.p.self() {
			r, err := g.p.ask(ctx, m.ID, request{Op: opCaughtUp, View: view.Digest})
			if err == nil && r.Yes {
				break
			}
			if !g.p.pause(ctx, askPause) {
				return ctx.Err()
			}
		}
	}
	return nil
}
