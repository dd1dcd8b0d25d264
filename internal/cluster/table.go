package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Partition is where the node table stands among the records: one record per
// node, by its id.
const Partition = "cluster/nodes"

// page is how many rows of the node table are read at a time.
const page = 256

// row is one node's record. Fields are only ever added.
type row struct {
	Protocol    int    `json:"protocol"`
	ID          NodeID `json:"id"`
	Incarnation uint64 `json:"incarnation"`
	URL         string `json:"url,omitempty"`
	Route       string `json:"route,omitempty"`
	Version     string `json:"version,omitempty"`
	At          string `json:"at"` // the node's clock; for people

	// Hears names the nodes it hears, members or not; nil: its release does
	// not say.
	Hears []NodeID `json:"hears"`

	version uint64 // of the record
}

// table is what this node knows of the node table, and of its own row in it.
type table struct {
	cfg *Config

	read  mark // when the last successful reading was asked for
	alive map[NodeID]uint64
	hears map[NodeID][]NodeID // what the rows say that changed lately
	seen  map[NodeID]sighting

	// tenure counts the unbroken stretches in which our row was alive for
	// everybody. In the present one the first write was durable at began, and
	// the last one was asked for at wrote.
	tenure       uint64
	began, wrote mark
}

// sighting is when a row was first seen as it is.
type sighting struct {
	incarnation, version uint64
	at                   time.Duration
}

func newTable(cfg *Config) table {
	return table{cfg: cfg, tenure: 1, seen: make(map[NodeID]sighting)}
}

// surveyed takes a reading of all rows, asked for at begun and complete at at.
func (t *table) surveyed(begun, at time.Duration, rows []row) {
	seen, alive, hears := make(map[NodeID]sighting, len(rows)), make(map[NodeID]uint64, len(rows)), make(map[NodeID][]NodeID, len(rows))
	for _, r := range rows {
		s, known := t.seen[r.ID]
		if !known || s.incarnation != r.Incarnation || s.version != r.version {
			// Seen no earlier than it was written: at the end of the reading.
			s = sighting{r.Incarnation, r.version, at}
		}
		seen[r.ID] = s
		if begun-s.at < t.cfg.lasting() {
			alive[r.ID] = r.Incarnation
		}
		if begun-s.at < t.cfg.lately() {
			hears[r.ID] = r.Hears
		}
	}
	t.seen, t.alive, t.hears, t.read = seen, alive, hears, mark{begun, true}
}

// announced notes a durable write of our row. It prolongs the present stretch
// if nobody can have seen the row unchanged for too long in between.
func (t *table) announced(begun, at time.Duration) {
	if t.wrote.set && at-t.wrote.at >= t.cfg.lasting() {
		t.unannounced()
	}
	if !t.began.set {
		t.began = mark{at, true}
	}
	t.wrote = mark{begun, true}
}

// unannounced ends the present stretch.
func (t *table) unannounced() {
	if t.began.set {
		t.tenure++
	}
	t.began, t.wrote = mark{}, mark{}
}

func (t *table) lapse(at time.Duration) {
	if t.wrote.set && at-t.wrote.at >= t.cfg.lasting() {
		t.unannounced()
	}
}

// writes reports whether our row is alive, as far as we know. A node that has
// never written it counts from when it joined.
func (t *table) writes(at time.Duration) bool { return at-t.wrote.at < t.cfg.lasting() }

// reached reports whether this node reads and writes the node table.
func (t *table) reached(at time.Duration) bool {
	return t.wrote.set && t.writes(at) && t.read.set && at-t.read.at < t.cfg.fresh()
}

// others reports whether other nodes were alive when the table was last read.
func (t *table) others(self NodeID) bool {
	for id := range t.alive {
		if id != self {
			return true
		}
	}
	return false
}

// shown reports whether our row was alive in every reading that a settled
// view of another node can rest on, and until when it is.
func (t *table) shown(at time.Duration) proof {
	switch {
	case !t.wrote.set || at-t.wrote.at >= t.cfg.lasting():
		return proof{why: "this node cannot write to the node table"}
	case at-t.began.at < t.cfg.fresh() && !t.cfg.seeded.noAnnounced:
		return proof{why: "this node has not been in the node table for long enough"}
	}
	return proof{until: t.wrote.at + t.cfg.lasting()}
}

// proves reports whether the rows alive are exactly the members.
func (t *table) proves(at time.Duration, members []Member, self Member) proof {
	shown := t.shown(at)
	switch {
	case t.cfg.seeded.noTable:
		return proof{until: never}
	case !t.read.set || at-t.read.at >= t.cfg.fresh():
		return proof{why: "this node cannot read the node table"}
	case shown.why != "":
		return shown
	}
	for _, m := range members {
		if incarnation, ok := t.alive[m.ID]; !ok {
			return proof{why: fmt.Sprintf("node %q is heard, but is not alive in the node table", m.ID)}
		} else if incarnation != m.Incarnation {
			return proof{why: fmt.Sprintf("node %q is another start of it in the node table", m.ID)}
		}
	}
	if len(t.alive) != len(members) {
		for id := range t.alive {
			if id != self.ID && !holds(members, id) {
				return proof{why: fmt.Sprintf("node %q is alive in the node table, but is not heard", id)}
			}
		}
	}
	return proof{until: min(shown.until, t.read.at+t.cfg.fresh())}
}

func holds(members []Member, id NodeID) bool {
	for _, m := range members {
		if m.ID == id {
			return true
		}
	}
	return false
}

// readTable returns all rows. A row that this release cannot read stands for
// a node nevertheless: it is returned with its name and version.
func readTable(ctx context.Context, records store.Records) ([]row, error) {
	var rows []row
	for after := ""; ; {
		found, err := records.ListRecords(ctx, Partition, "", after, page)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			rows = append(rows, decodeRow(r))
		}
		if len(found) < page {
			return rows, nil
		}
		after = found[len(found)-1].Key
	}
}

func decodeRow(r store.Record) row {
	var w row
	if err := json.Unmarshal(r.Value, &w); err != nil {
		w = row{}
	}
	w.ID, w.version = NodeID(r.Key), r.Version
	return w
}

// readRow returns one node's row; version 0 when there is none.
func readRow(ctx context.Context, records store.Records, id NodeID) (row, error) {
	r, err := records.GetRecord(ctx, Partition, string(id))
	if err != nil || r.Version == 0 {
		return row{ID: id}, err
	}
	return decodeRow(r), nil
}

// writeRow writes w over the version it has.
func writeRow(ctx context.Context, records store.Records, w row) error {
	value, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return records.CommitRecords(ctx, Partition, []store.Change{{Key: string(w.ID), Version: w.version, Value: value}})
}

// Forget removes the row of a node that is dead for good. A node that lives
// after all announces itself again within a second.
func Forget(ctx context.Context, records store.Records, id NodeID) error {
	const op = "cluster.forget"
	if !id.valid() {
		return badID(op, id)
	}
	w, err := readRow(ctx, records, id)
	if err != nil {
		return &parley.Error{Code: parley.Overloaded, Op: op, Detail: "the node table cannot be read; try again", Err: err}
	}
	if w.version == 0 {
		return parley.E(parley.NotFound, op, "there is no node %q in the node table", id)
	}
	err = records.CommitRecords(ctx, Partition, []store.Change{{Key: string(id), Version: w.version, Remove: true}})
	if err != nil {
		return &parley.Error{Code: parley.Overloaded, Op: op, Detail: "the row was not removed, perhaps because the node lives; try again", Err: err}
	}
	return nil
}
