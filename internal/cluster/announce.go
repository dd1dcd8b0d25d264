package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// ownRow is this node's row in the node table. One goroutine at a time has it.
type ownRow struct {
	n       *Node
	version uint64 // of the record that the next write is to replace
	claimed bool   // a write of this incarnation is known to have happened
	doubt   mark   // when a write whose outcome is not known was asked for
}

// outlive makes w the row to replace, and this incarnation later than its.
func (o *ownRow) outlive(w row) {
	o.version, o.doubt = w.version, mark{}
	o.n.note(func(at time.Duration, b *belief) {
		b.change(at, func(m *Member) { m.Incarnation = max(m.Incarnation, w.Incarnation+1) })
	})
}

// write writes the row, within an announcement.
func (o *ownRow) write(ctx context.Context) error {
	n := o.n
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Announce)
	defer cancel()
	begun := n.since()
	n.mu.Lock()
	m, heard := n.belief.self, n.belief.heard()
	n.mu.Unlock()
	err := writeRow(ctx, n.cfg.Records, row{
		Protocol: protocol, ID: m.ID, Incarnation: m.Incarnation, URL: m.URL, Route: m.Route, Version: m.Version,
		At: n.cfg.Now().UTC().Format(time.RFC3339), Hears: heard, version: o.version,
	})
	if err != nil {
		o.doubt = mark{begun, true}
		return err
	}
	o.version, o.claimed = o.version+1, true
	n.note(func(at time.Duration, b *belief) { b.announced(begun, at) })
	return nil
}

// keep writes the row again and again until the node ends, or finds that the
// name is another's.
func (o *ownRow) keep() {
	n := o.n
	ticker := time.NewTicker(n.cfg.Announce)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-n.ctx.Done():
			return
		}
		if write, remove := o.due(); !write {
			if remove && o.claimed {
				o.remove()
			}
			continue
		}
		if o.doubt.set || !o.claimed {
			if err := o.resolve(n.ctx); taken(err) {
				n.fail(err)
				return
			} else if err != nil {
				continue // the node table does not say
			}
		}
		_ = o.write(n.ctx) // a doubt is resolved next time
	}
}

// due is what is to become of the row: it may be written, or must go.
func (o *ownRow) due() (write, remove bool) {
	at := o.n.since()
	o.n.mu.Lock()
	defer o.n.mu.Unlock()
	return o.n.belief.mayWrite(at), o.n.belief.out == unheard
}

// remove takes the row out of the node table: the others go on at once. A row
// that stays is stale soon.
func (o *ownRow) remove() {
	if err := o.n.withdraw(o.n.ctx); err == nil {
		o.version, o.claimed, o.doubt = 0, false, mark{}
	}
}

func taken(err error) bool { return errors.Is(err, &parley.Error{Code: parley.Conflict}) }

// resolve finds out where the row stands after a write that may or may not
// have happened.
func (o *ownRow) resolve(ctx context.Context) error {
	n := o.n
	w, err := n.readOwn(ctx)
	if err != nil {
		return err
	}
	n.mu.Lock()
	incarnation := n.belief.self.Incarnation
	n.mu.Unlock()
	switch {
	case w.version != 0 && w.Incarnation != incarnation && o.claimed:
		return errTaken(n.cfg.ID)
	case w.version != 0 && w.Incarnation != incarnation:
		if w, err = n.probation(ctx, w); err == nil {
			o.outlive(w)
		}
		return err
	case w.version == o.version+1 && o.doubt.set: // it happened
		n.note(func(at time.Duration, b *belief) { b.announced(o.doubt.at, at) })
		o.claimed = true
	case w.version != o.version || w.version == 0: // forgotten: others may be settled without us
		n.note(func(at time.Duration, b *belief) { b.unannounced(at) })
	}
	o.version, o.doubt = w.version, mark{}
	return nil
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
		if err != nil {
			n.note(func(_ time.Duration, b *belief) { b.unread() })
		} else {
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
func (n *Node) withdraw(ctx context.Context) error {
	w, err := n.readOwn(ctx)
	n.mu.Lock()
	incarnation := n.belief.self.Incarnation
	n.mu.Unlock()
	if err == nil && w.version != 0 && w.Incarnation == incarnation {
		err = n.cfg.Records.CommitRecords(ctx, Partition, []store.Change{{Key: string(n.cfg.ID), Version: w.version, Remove: true}})
	}
	if err != nil {
		return fmt.Errorf("cluster: remove the row of a node: %w", err)
	}
	return nil
}
