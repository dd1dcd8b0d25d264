package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Join makes this process a node. It first makes sure that no other node runs
// under its name: when the node table has a row of that name, that takes three
// and a half announcements, in which a living node shows itself. A node table
// that cannot be read or written does not stop it; the node has no terms
// until it can. Errors are coded: the configuration is wrong, or the name is
// taken (Conflict).
//
// ctx bounds the joining alone. The bus belongs to the node once Join returned
// without an error; [Node.Leave] and [Node.Kill] close it.
func Join(ctx context.Context, cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, born: cfg.Now(), failed: make(chan error, 1), changed: make(chan struct{}, 1)}
	n.watch = newWatch()
	n.scale = newScale(cfg.Weight)
	incarnation, err := newIncarnation(&cfg)
	if err != nil {
		return nil, err
	}
	n.belief = newBelief(&n.cfg, Member{
		ID: cfg.ID, Incarnation: incarnation, URL: cfg.URL, Route: cfg.Bus.Address(),
		Version: cfg.Version, Weight: cfg.Weight,
	})
	n.public.Store(&standing{view: n.belief.view})
	n.ctx, n.cancel = context.WithCancel(context.Background())
	cfg.Bus.Listen(hearing{n})
	row := &ownRow{n: n}
	if err := row.claim(ctx); err != nil {
		n.end()
		return nil, err
	}
	n.running.Go(n.tellChanges)
	n.running.Go(n.tick)
	n.running.Go(row.keep)
	n.running.Go(n.survey)
	return n, nil
}

// newIncarnation names this start: by the clock, so that a later one is
// greater, and by chance, so that no two are alike.
func newIncarnation(cfg *Config) (uint64, error) {
	var chance [4]byte
	if _, err := io.ReadFull(cfg.Rand, chance[:]); err != nil {
		return 0, fmt.Errorf("cluster: no randomness: %w", err)
	}
	return uint64(max(cfg.Now().UnixMilli(), 1))<<20 | uint64(binary.BigEndian.Uint32(chance[:])>>12), nil
}

// errTaken is what the second node of a name is told.
func errTaken(id NodeID) error {
	return parley.E(parley.Conflict, "cluster.join", "another node runs as %q; give each node a cluster.id of its own, or stop the other", id)
}

// claim makes the name this incarnation's: it waits until a row that is there
// has not moved for long enough, or a node of the name was heard, and writes
// the first row over it.
func (o *ownRow) claim(ctx context.Context) error {
	n := o.n
	for {
		w, err := n.readOwn(ctx)
		if err == nil && w.version != 0 {
			w, err = n.probation(ctx, w)
		}
		if err == nil {
			o.outlive(w)
			err = o.write(ctx)
		}
		switch e := new(parley.Error); {
		case err == nil:
			return nil
		case errors.Is(err, store.ErrConflict):
			// Somebody else claims it, and will be seen to live.
		case errors.As(err, &e):
			return err
		case ctx.Err() != nil:
			return &parley.Error{Code: parley.Overloaded, Op: "cluster.join", Detail: "the node table was not reached in time; try again", Err: ctx.Err()}
		default:
			n.cfg.Logger.Warn("the node table cannot be reached; this node works without trusting its memory until it can", slog.Any("err", err))
			return nil
		}
	}
}

// probation returns the row of our name once it has not moved for three and a
// half announcements. It is errTaken if a node of that name shows itself: by a
// heartbeat, or by two writes (one may have been under way when it died).
func (n *Node) probation(ctx context.Context, w row) (row, error) {
	n.mu.Lock()
	n.watch.rival = false
	n.mu.Unlock()
	over := time.NewTimer(3*n.cfg.Announce + n.cfg.Announce/2)
	defer over.Stop()
	look := time.NewTicker(n.cfg.Announce / 4)
	defer look.Stop()
	for moves := 0; ; {
		select {
		case <-over.C:
			return w, nil
		case <-ctx.Done():
			return w, ctx.Err()
		case <-look.C:
		}
		n.mu.Lock()
		rival := n.watch.rival
		n.mu.Unlock()
		if rival {
			return w, errTaken(n.cfg.ID)
		}
		now, err := n.readOwn(ctx)
		if err != nil {
			return w, err
		}
		if now.version != w.version || now.Incarnation != w.Incarnation {
			moves++
		}
		if w = now; moves == 2 {
			return w, errTaken(n.cfg.ID)
		}
	}
}

// readOwn reads the row of our name, within an announcement.
func (n *Node) readOwn(ctx context.Context) (row, error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Announce)
	defer cancel()
	return readRow(ctx, n.cfg.Records, n.cfg.ID)
}
