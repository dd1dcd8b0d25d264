package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// LoadInbox implements store.Inboxes.
func (s *Store) LoadInbox(ctx context.Context, u parley.UserID) (in store.Inbox, err error) {
	err = s.read(ctx, func(v *view) (err error) {
		in = store.Inbox{}
		if in.Pos, err = v.pos(u); err != nil || in.Pos == 0 {
			return err
		}
		prefix := rowPrefix(nil, u)
		return v.scan("inbox", prefix, upperBound(prefix), func(k, value []byte) (bool, error) {
			_, c, err := takeRowKey(k)
			if err != nil {
				return false, err
			}
			row, err := decodeRow(value, c)
			in.Rows = append(in.Rows, row)
			return true, err
		})
	})
	slices.SortFunc(in.Rows, func(a, b parley.Row) int {
		if a.Pos < b.Pos {
			return -1
		}
		return 1
	})
	return in, err
}

func checkInboxWrite(w *store.InboxWrite) (last parley.Pos, err error) {
	if len(w.Rows) == 0 {
		return 0, errors.New("pebblestore: an inbox write without rows")
	}
	last = w.Base
	for i := range w.Rows {
		p := w.Rows[i].Pos
		if p <= w.Base {
			return 0, fmt.Errorf("pebblestore: a row at position %d, not above base %d", p, w.Base)
		}
		if p <= last { // rows mostly come in order: look back only when they do not
			for j := range i {
				if w.Rows[j].Pos == p {
					return 0, fmt.Errorf("pebblestore: two rows at position %d", p)
				}
			}
		}
		last = max(last, p)
		if err := checkIDs(string(w.Rows[i].Conversation)); err != nil {
			return 0, err
		}
	}
	return last, checkIDs(string(w.User))
}

// WriteInboxes implements store.Inboxes.
func (s *Store) WriteInboxes(ctx context.Context, writes []*store.InboxWrite) error {
	r := newRequest()
	for _, w := range writes {
		w.Err = nil
		last, err := checkInboxWrite(w)
		if err != nil {
			r.recycle()
			return err
		}
		lo := len(r.buf)
		for i := range w.Rows {
			row := &w.Rows[i]
			r.op(opSet, func(b []byte) []byte { return rowKey(b, w.User, row.Conversation) },
				func(b []byte) []byte { return appendRow(b, row) })
		}
		r.op(opSet, func(b []byte) []byte { return posKey(b, w.User) },
			func(b []byte) []byte { return append(b, uvarintValue(uint64(last))...) })
		r.parts = append(r.parts, part{kind: kindInbox, u: w.User, base: uint64(w.Base), next: uint64(last),
			lo: lo, hi: len(r.buf)})
	}
	err, mine := s.submit(ctx, r)
	if mine {
		for i := range r.parts {
			if err == nil {
				writes[i].Err = r.parts[i].err
			}
		}
		r.recycle()
	}
	return err
}

// GetRecord implements store.Records.
func (s *Store) GetRecord(ctx context.Context, partition, key string) (r store.Record, err error) {
	err = s.read(ctx, func(v *view) (err error) {
		r = store.Record{Key: key}
		r.Version, r.Value, err = v.record(recordKey(nil, partition, key))
		return err
	})
	return r, err
}

// ListRecords implements store.Records.
func (s *Store) ListRecords(ctx context.Context, partition, prefix, after string, limit int) (out []store.Record, err error) {
	err = s.read(ctx, func(v *view) error {
		out = nil
		lower := recordKey(nil, partition, prefix)
		upper := upperBound(lower)
		if after >= prefix {
			lower = append(recordKey(nil, partition, after), 0)
		}
		if string(lower) >= string(upper) && upper != nil {
			return nil
		}
		return v.scan("records", lower, upper, func(k, value []byte) (bool, error) {
			if len(out) >= limit {
				return false, nil
			}
			_, key, err := takeRecordKey(k)
			if err != nil {
				return false, err
			}
			if !strings.HasPrefix(key, prefix) {
				return false, nil
			}
			version, val, err := decodeRecord(value)
			out = append(out, store.Record{Key: key, Version: version, Value: append([]byte(nil), val...)})
			return true, err
		})
	})
	return out, err
}

// CommitRecords implements store.Records.
func (s *Store) CommitRecords(ctx context.Context, partition string, changes []store.Change) error {
	if len(changes) == 0 {
		return errors.New("pebblestore: a commit without changes")
	}
	r := newRequest()
	conds := make([]cond, len(changes))
	for i := range changes {
		c := &changes[i]
		if len(partition)+len(c.Key) > math.MaxInt16 || len(c.Value) > maxOp {
			r.recycle()
			return errors.New("pebblestore: a record too large to keep")
		}
		kind, becomes := byte(opSet), c.Version+1
		value := func(b []byte) []byte { return appendRecord(b, becomes, c.Value) }
		if c.Remove {
			kind, becomes, value = opDelete, 0, nil
		}
		lo := len(r.buf) + opHeader
		r.op(kind, func(b []byte) []byte { return recordKey(b, partition, c.Key) }, value)
		hi := lo + len(recordKey(nil, partition, c.Key))
		conds[i] = cond{lo: lo, hi: hi, version: c.Version, becomes: becomes}
	}
	r.parts = append(r.parts, part{kind: kindRecords, conds: conds, hi: len(r.buf)})
	return s.commitOne(ctx, r)
}
