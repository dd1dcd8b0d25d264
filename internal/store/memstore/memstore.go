// Package memstore is the engine that forgets: everything in maps under one
// mutex. It is for tests and for reading; what it does is what the contract
// in package store says, and nothing more.
package memstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Store keeps everything in memory. Make one with New.
type Store struct {
	epoch parley.Epoch

	mu            sync.Mutex
	closed        bool
	conversations map[parley.ConversationID]*conversation
	inboxes       map[parley.UserID]*inbox
	records       map[string]map[string]store.Record
	before, after func(op string) error
}

var _ store.Store = (*Store)(nil)

type conversation struct {
	entries []parley.Entry
	seqs    map[parley.MessageID]parley.Seq
	state   *parley.Conversation
	dirty   bool
}

type inbox struct {
	pos  parley.Pos
	rows map[parley.ConversationID]parley.Row
}

// New returns an empty store with an epoch of its own.
func New() *Store {
	return &Store{
		epoch:         parley.Epoch(parley.NewID("", rand.Reader)),
		conversations: map[parley.ConversationID]*conversation{},
		inboxes:       map[parley.UserID]*inbox{},
		records:       map[string]map[string]store.Record{},
	}
}

// Fail installs a hook that is asked before each write, by the name of its
// method ("Append", "Erase", "Settle", "WriteInboxes", "CommitRecords"). When it
// returns an error, the write returns it and nothing is written. The hook
// runs without a lock of the store; nil removes it.
func (s *Store) Fail(hook func(op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = hook
}

// FailAfter installs a hook that is asked after each write that happened.
// When it returns an error, the caller gets that instead of success: the
// outcome is unknown to it, and the write stands.
func (s *Store) FailAfter(hook func(op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = hook
}

// write runs do under the mutex, between the hooks.
func (s *Store) write(ctx context.Context, op string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(op); err != nil {
			return err
		}
	}
	if err := s.locked(do); err != nil {
		return err
	}
	if after != nil {
		return after(op)
	}
	return nil
}

func (s *Store) locked(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	return do()
}

func (s *Store) read(ctx context.Context, do func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.locked(func() error { do(); return nil })
}

// Load implements store.Log.
func (s *Store) Load(ctx context.Context, c parley.ConversationID) (h store.Head, err error) {
	err = s.read(ctx, func() {
		conv := s.conversations[c]
		if conv == nil {
			return
		}
		h.Seq = parley.Seq(len(conv.entries))
		h.Count = conv.entries[len(conv.entries)-1].Count
		h.State = cloneState(conv.state)
	})
	return h, err
}

// Append implements store.Log.
func (s *Store) Append(ctx context.Context, a store.Append) error {
	if err := checkAppend(a); err != nil {
		return err
	}
	return s.write(ctx, "Append", func() error {
		conv := s.conversations[a.Conversation]
		if conv == nil {
			conv = &conversation{seqs: map[parley.MessageID]parley.Seq{}}
		}
		if parley.Seq(len(conv.entries)) != a.Base {
			return store.ErrConflict
		}
		s.conversations[a.Conversation] = conv
		for _, e := range a.Entries {
			e.Conversation = a.Conversation
			conv.entries = append(conv.entries, cloneEntry(e))
			if _, stands := conv.seqs[e.ID]; !stands {
				conv.seqs[e.ID] = e.Seq
			}
		}
		if a.State != nil {
			conv.state = cloneState(a.State)
		}
		conv.dirty = true
		return nil
	})
}

// Read implements store.Log.
func (s *Store) Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) (out []parley.Entry, err error) {
	err = s.read(ctx, func() {
		conv := s.conversations[c]
		if conv == nil || limit <= 0 || after >= parley.Seq(len(conv.entries)) {
			return
		}
		rest := conv.entries[after:]
		for _, e := range rest[:min(limit, len(rest))] {
			out = append(out, cloneEntry(e))
		}
	})
	return out, err
}

// Find implements store.Log.
func (s *Store) Find(ctx context.Context, c parley.ConversationID, id parley.MessageID, _ parley.Seq) (seq parley.Seq, err error) {
	err = s.read(ctx, func() {
		if conv := s.conversations[c]; conv != nil {
			seq = conv.seqs[id]
		}
	})
	return seq, err
}

// Acts implements store.Acts.
func (s *Store) Acts(ctx context.Context, c parley.ConversationID, from, to parley.Seq) (out []parley.Act, err error) {
	err = s.read(ctx, func() {
		conv := s.conversations[c]
		if conv == nil {
			return
		}
		for i := min(from, parley.Seq(len(conv.entries))); i < parley.Seq(len(conv.entries)); i++ { // from does not act on itself
			e := &conv.entries[i]
			if e.Kind.IsAct() && 0 < e.Ref && e.Ref < e.Seq && from <= e.Ref && e.Ref <= to {
				a := parley.ActOf(e)
				a.Withheld = slices.Clone(a.Withheld)
				out = append(out, a)
			}
		}
		slices.SortFunc(out, func(a, b parley.Act) int { return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Seq, b.Seq)) })
	})
	return out, err
}

// Erase implements store.Acts.
func (s *Store) Erase(ctx context.Context, c parley.ConversationID, seqs []parley.Seq) error {
	return s.write(ctx, "Erase", func() error {
		conv := s.conversations[c]
		for _, seq := range seqs {
			if conv != nil && seq > 0 && seq <= parley.Seq(len(conv.entries)) {
				conv.entries[seq-1].Body = parley.Body{}
			}
		}
		return nil
	})
}

// DirtyAfter implements store.Dirty.
func (s *Store) DirtyAfter(ctx context.Context, of func(shard int) bool, c parley.ConversationID, limit int) (out []parley.ConversationID, err error) {
	err = s.read(ctx, func() {
		for id, conv := range s.conversations {
			if conv.dirty && id > c && (of == nil || of(parley.ShardOf(id))) {
				out = append(out, id)
			}
		}
		slices.Sort(out)
		out = out[:min(max(limit, 0), len(out))]
	})
	return out, err
}

// Settle implements store.Dirty.
func (s *Store) Settle(ctx context.Context, c parley.ConversationID, head parley.Seq) error {
	return s.write(ctx, "Settle", func() error {
		if conv := s.conversations[c]; conv != nil && parley.Seq(len(conv.entries)) == head {
			conv.dirty = false
		}
		return nil
	})
}

// LoadInbox implements store.Inboxes.
func (s *Store) LoadInbox(ctx context.Context, u parley.UserID) (in store.Inbox, err error) {
	err = s.read(ctx, func() {
		box := s.inboxes[u]
		if box == nil {
			return
		}
		in.Pos = box.pos
		for _, r := range box.rows {
			in.Rows = append(in.Rows, cloneRow(r))
		}
		slices.SortFunc(in.Rows, func(a, b parley.Row) int {
			if a.Pos < b.Pos {
				return -1
			}
			return 1
		})
	})
	return in, err
}

// WriteInboxes implements store.Inboxes.
func (s *Store) WriteInboxes(ctx context.Context, writes []*store.InboxWrite) error {
	for _, w := range writes {
		w.Err = nil
		if err := checkInboxWrite(w); err != nil {
			return err
		}
	}
	return s.write(ctx, "WriteInboxes", func() error {
		for _, w := range writes {
			w.Err = s.writeInbox(w)
		}
		return nil
	})
}

func (s *Store) writeInbox(w *store.InboxWrite) error {
	box := s.inboxes[w.User]
	if box == nil {
		box = &inbox{rows: map[parley.ConversationID]parley.Row{}}
	}
	if box.pos != w.Base {
		return store.ErrConflict
	}
	s.inboxes[w.User] = box
	for _, r := range w.Rows {
		box.rows[r.Conversation] = cloneRow(r)
		box.pos = max(box.pos, r.Pos)
	}
	return nil
}

// GetRecord implements store.Records.
func (s *Store) GetRecord(ctx context.Context, partition, key string) (r store.Record, err error) {
	err = s.read(ctx, func() {
		r = cloneRecord(s.records[partition][key])
		r.Key = key
	})
	return r, err
}

// ListRecords implements store.Records.
func (s *Store) ListRecords(ctx context.Context, partition, prefix, after string, limit int) (out []store.Record, err error) {
	err = s.read(ctx, func() {
		for key, r := range s.records[partition] {
			if strings.HasPrefix(key, prefix) && key > after {
				out = append(out, cloneRecord(r))
			}
		}
		slices.SortFunc(out, func(a, b store.Record) int { return strings.Compare(a.Key, b.Key) })
		out = out[:min(max(limit, 0), len(out))]
	})
	return out, err
}

// CommitRecords implements store.Records.
func (s *Store) CommitRecords(ctx context.Context, partition string, changes []store.Change) error {
	if err := checkChanges(changes); err != nil {
		return err
	}
	return s.write(ctx, "CommitRecords", func() error {
		part := s.records[partition]
		for _, c := range changes {
			if part[c.Key].Version != c.Version {
				return store.ErrConflict
			}
		}
		if part == nil {
			part = map[string]store.Record{}
			s.records[partition] = part
		}
		for _, c := range changes {
			if c.Remove {
				delete(part, c.Key)
				continue
			}
			part[c.Key] = store.Record{Key: c.Key, Version: c.Version + 1, Value: bytes.Clone(c.Value)}
		}
		return nil
	})
}

// Epoch implements store.Life.
func (s *Store) Epoch() parley.Epoch { return s.epoch }

// Writable implements store.Life.
func (s *Store) Writable() error { return s.locked(func() error { return nil }) }

// Close implements store.Life.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func cloneEntry(e parley.Entry) parley.Entry {
	e.At = time.UnixMilli(e.At.UnixMilli()).UTC()
	e.Body.Data = bytes.Clone(e.Body.Data)
	e.Mentions, e.Withheld, e.Fold = slices.Clone(e.Mentions), slices.Clone(e.Withheld), nil
	return e
}

func cloneState(c *parley.Conversation) *parley.Conversation {
	if c == nil {
		return nil
	}
	out := *c
	out.Created = time.UnixMilli(c.Created.UnixMilli()).UTC()
	out.Members, out.Pins = slices.Clone(c.Members), slices.Clone(c.Pins)
	return &out
}

func cloneRow(r parley.Row) parley.Row {
	r.Own = slices.Clone(r.Own)
	r.Past = slices.Clone(r.Past)
	r.Mentioned, r.Personal.Hidden = slices.Clone(r.Mentioned), slices.Clone(r.Personal.Hidden)
	for _, t := range []*time.Time{&r.Personal.Muted, &r.Personal.Draft.At} {
		*t = time.UnixMilli(t.UnixMilli()).UTC()
	}
	return r
}

func cloneRecord(r store.Record) store.Record {
	r.Value = bytes.Clone(r.Value)
	return r
}
