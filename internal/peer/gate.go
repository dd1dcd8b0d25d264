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
// A shard that this node has held ever since, in each of its views and in the
// node table ([cluster.View.Held]), was never gained and stays open, also
// while the view is not settled. Any other is shut at once, and not only in
// the next settled view: a node that was frozen, or saw the shard go and come
// back, reads a store that lacks what another noted meanwhile.
type gate struct {
	p *Peers

	mu      sync.Mutex
	open    [parley.Shards]uint64 // as what the shard was opened; see cluster.View.Held
	changed chan struct{}         // closed and replaced when a shard opens
	handed  uint64                // the view in which this node handed over; 0: none
	stint   uint64                // of this node when it did
	opened  bool                  // at least once
}

func newGate(p *Peers) *gate { return &gate{p: p, changed: make(chan struct{})} }

// enter waits until this node may answer for a shard. It is errNotMine when
// the shard is another's.
func (g *gate) enter(ctx context.Context, shard int) error {
	for {
		turn := g.p.turn()
		g.mu.Lock()
		changed := g.changed
		g.mu.Unlock()
		switch {
		case g.isOpen(shard):
			return nil
		case !g.p.Here(shard):
			return errNotMine
		}
		select {
		case <-changed:
		case <-turn:
		case <-ctx.Done():
			return unreachable("peer.gate", ctx.Err())
		case <-g.p.ctx.Done():
			return errDraining("peer.gate")
		}
	}
}

// isOpen reports whether this node may answer for a shard now. The node table
// comes first: what the view then says has been so since a moment at which
// nobody can have left this node out.
func (g *gate) isOpen(shard int) bool {
	announced := g.p.cfg.Cluster.Announced()
	held := g.p.cfg.Cluster.View().Held(shard)
	g.mu.Lock()
	defer g.mu.Unlock()
	return announced && held != 0 && g.open[shard] == held
}

// Term is how long this node may believe its memory of the inboxes of a shard:
// 0 is not now. It begins when the shard is open: what the former owner wrote
// while it handed over was not in the store when the term began.
func (p *Peers) Term(shard int) uint64 {
	term := p.cfg.Cluster.Term(shard)
	if !p.gate.isOpen(shard) {
		return 0
	}
	return term
}

// Open returns when this node may answer for all that it owns, or when ctx or
// the time is over.
func (p *Peers) Open(ctx context.Context, within time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		p.gate.mu.Lock()
		open, changed := p.gate.opened, p.gate.changed
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

// hasHanded reports whether this node handed over in a view, and was settled
// in no other since.
func (g *gate) hasHanded(view uint64) bool {
	stint := g.p.cfg.Cluster.View().Stint
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.handed == view && g.stint == stint
}

// run follows the settled views until the node ends.
func (g *gate) run() {
	for g.p.ctx.Err() == nil {
		turn := g.p.turn()
		view := g.p.cfg.Cluster.View()
		if view.Term != 0 && g.isNew(view) {
			ctx, cancel := context.WithCancel(g.p.ctx)
			stop := g.p.whenTurned(func() {
				// A view that comes again unchanged leaves what was done true.
				if now := g.p.cfg.Cluster.View(); now.Digest != view.Digest || now.Tenure != view.Tenure {
					cancel()
				}
			})
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
	if g.stint != view.Stint || g.handed != view.Digest {
		return true
	}
	for s := range g.open {
		if g.open[s] != view.Held(s) {
			return true
		}
	}
	return false
}

// inherit makes this node the owner of what a settled view gives it, and
// opens it.
func (g *gate) inherit(ctx context.Context, view *cluster.View) error {
	begun := time.Now()
	g.mu.Lock()
	var gained [parley.Shards]bool
	n := 0
	for s := range gained {
		held := view.Held(s)
		if gained[s] = held != 0 && g.open[s] != held; gained[s] {
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
	g.handed, g.stint = view.Digest, view.Stint
	g.mu.Unlock()
	if err := g.everybody(ctx, view); err != nil {
		return err
	}

	g.mu.Lock()
	for s := range g.open {
		g.open[s] = view.Held(s)
	}
	g.opened = true
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
