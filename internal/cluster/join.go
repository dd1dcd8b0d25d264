package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
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
	n.belief = newBelief(&n.cfg, Member{
		ID: cfg.ID, Incarnation: uint64(max(cfg.Now().UnixMilli(), 1)), URL: cfg.URL, Route: cfg.Bus.Address(),
		Version: cfg.Version, Weight: cfg.Weight,
	})
	n.public.Store(&standing{view: n.belief.view})
	n.ctx, n.cancel = context.WithCancel(context.Background())
	cfg.Bus.Listen(hearing{n})
	version, err := n.claim(ctx)
	if err != nil {
		n.end()
		return nil, err
	}
	n.running.Go(n.tellChanges)
	n.running.Go(n.tick)
	n.running.Go(func() { n.announce(version) })
	n.running.Go(n.survey)
	return n, nil
}

// errTaken is what the second node of a name is told.
func errTaken(id NodeID) error {
	return parley.E(parley.Conflict, "cluster.join", "another node runs as %q; give each node a cluster.id of its own, or stop the other", id)
}

// claim makes the name this incarnation's: it waits until a row that is there
// has not moved for long enough, or a node of the name was heard, and writes
// the first row over it. It returns the version of the row; 0 when it could
// not be written.
func (n *Node) claim(ctx context.Context) (version uint64, err error) {
	for {
		w, err := n.readOwn(ctx)
		if err != nil {
			return n.unclaimed(ctx, err)
		}
		if w.version != 0 {
			if w, err = n.probation(ctx, w); err != nil {
				return n.unclaimed(ctx, err)
			}
		}
		n.mu.Lock()
		n.belief.self.Incarnation = max(n.belief.self.Incarnation, w.Incarnation+1)
		n.belief.judge(n.since())
		n.publish()
		n.mu.Unlock()

		begun := n.since()
		err = n.write(ctx, w.version)
		switch {
		case err == nil:
			n.note(func(at time.Duration, b *belief) { b.announced(begun, at) })
			return w.version + 1, nil
		case errors.Is(err, store.ErrConflict):
			continue // somebody else claims it, and will be seen to live
		default:
			return n.unclaimed(ctx, err)
		}
	}
}

// unclaimed decides what an error of claim means.
func (n *Node) unclaimed(ctx context.Context, err error) (uint64, error) {
	if e := new(parley.Error); errors.As(err, &e) {
		return 0, err
	}
	if ctx.Err() != nil {
		return 0, &parley.Error{Code: parley.Overloaded, Op: "cluster.join", Detail: "the node table was not reached in time; try again", Err: ctx.Err()}
	}
	n.cfg.Logger.Warn("the node table cannot be reached; this node works without trusting its memory until it can", slog.Any("err", err))
	return 0, nil
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

// write writes our row over a version of it, within an announcement.
func (n *Node) write(ctx context.Context, version uint64) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Announce)
	defer cancel()
	n.mu.Lock()
	m := n.belief.self
	n.mu.Unlock()
	return writeRow(ctx, n.cfg.Records, row{
		Protocol: protocol, ID: m.ID, Incarnation: m.Incarnation, URL: m.URL, Route: m.Route, Version: m.Version,
		At: n.cfg.Now().UTC().Format(time.RFC3339), version: version,
	})
}

// announce writes our row again and again until the node ends, or finds that
// the name is another's.
func (n *Node) announce(version uint64) {
	ticker := time.NewTicker(n.cfg.Announce)
	defer ticker.Stop()
	doubt := mark{} // when a write whose outcome is not known was asked for
	if version == 0 {
		doubt.set = true
	}
	for {
		select {
		case <-ticker.C:
		case <-n.ctx.Done():
			return
		}
		begun := n.since()
		if doubt.set {
			found, err := n.resolve(&version, doubt.at)
			if err != nil {
				n.fail(err)
				return
			}
			if !found {
				continue
			}
			doubt = mark{}
		}
		switch err := n.write(n.ctx, version); {
		case err == nil:
			version++
			n.note(func(at time.Duration, b *belief) { b.announced(begun, at) })
		case n.ctx.Err() != nil:
			return
		default:
			doubt = mark{begun, true}
		}
	}
}

// resolve finds out where our row stands after a write that may or may not
// have happened, asked for at begun. It is false while the node table does not
// say, and an error when the row is another incarnation's.
func (n *Node) resolve(version *uint64, begun time.Duration) (bool, error) {
	w, err := n.readOwn(n.ctx)
	if err != nil {
		return false, nil
	}
	n.mu.Lock()
	incarnation := n.belief.self.Incarnation
	n.mu.Unlock()
	switch {
	case w.version == 0: // forgotten: others may be settled without us
		n.note(func(at time.Duration, b *belief) { b.unannounced(at) })
	case w.Incarnation != incarnation && *version == 0: // never claimed
		return n.reclaim(w, version)
	case w.Incarnation != incarnation:
		return false, errTaken(n.cfg.ID)
	case w.version == *version+1:
		n.note(func(at time.Duration, b *belief) { b.announced(begun, at) })
	case w.version != *version:
		n.note(func(at time.Duration, b *belief) { b.unannounced(at) })
	}
	*version = w.version
	return true, nil
}

// reclaim is claim for a node that joined while the table was out of reach.
func (n *Node) reclaim(w row, version *uint64) (bool, error) {
	w, err := n.probation(n.ctx, w)
	if err != nil {
		if e := new(parley.Error); errors.As(err, &e) {
			return false, err
		}
		return false, nil
	}
	n.note(func(at time.Duration, b *belief) {
		b.change(at, func(m *Member) { m.Incarnation = max(m.Incarnation, w.Incarnation+1) })
	})
	*version = w.version
	return true, nil
}

// survey reads the node table again and again until the node ends.
func (n *Node) survey() {
	ticker := time.NewTicker(n.cfg.Announce)
	defer ticker.Stop()
	var connected []string
	for {
		begun := n.since()
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.fresh())
		rows, err := readTable(ctx, n.cfg.Records)
		cancel()
		n.watch.tableRead(n, err)
		if err == nil {
			n.note(func(at time.Duration, b *belief) { b.surveyed(begun, at, rows) })
			if routes := n.routes(rows); !slices.Equal(routes, connected) {
				n.cfg.Bus.Connect(routes)
				connected = routes
			}
		}
		select {
		case <-ticker.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// remembered is how long the address of a dead node is kept connected.
const remembered = 10 * time.Minute

// routes returns the addresses of the other nodes that lived lately.
func (n *Node) routes(rows []row) []string {
	at := n.since()
	n.mu.Lock()
	defer n.mu.Unlock()
	var routes []string
	for _, r := range rows {
		if r.ID != n.cfg.ID && r.Route != "" && at-n.belief.table.seen[r.ID].at < remembered {
			routes = append(routes, r.Route)
		}
	}
	sort.Strings(routes)
	return slices.Compact(routes)
}

// withdraw removes our row, if it is ours.
func (n *Node) withdraw(ctx context.Context) {
	w, err := n.readOwn(ctx)
	if err == nil && w.version != 0 && w.Incarnation == n.belief.self.Incarnation {
		err = n.cfg.Records.CommitRecords(ctx, Partition, []store.Change{{Key: string(n.cfg.ID), Version: w.version, Remove: true}})
	}
	if err != nil {
		n.cfg.Logger.Warn("this node left, but still stands in the node table; others wait until it is stale", slog.Any("err", fmt.Errorf("cluster: %w", err)))
	}
}
