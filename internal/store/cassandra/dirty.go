package cassandra

import (
	"context"
	"errors"
	"sync"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// The marks of a slice of shards are one partition, so that looking at all of
// them is few reads.
const (
	sliceCount     = 256
	shardsPerSlice = parley.Shards / sliceCount
)

// The statements of dirty. Times are values: a mark made before entry n has
// 2n, and what settles a log at n has 2n and, when it removes, 2n+1. So a
// mark for a later entry outlives a removal, in whatever order they arrive.
const (
	insertMark = `INSERT INTO dirty (slice, shard, conversation, mark) VALUES (?, ?, ?, ?) USING TIMESTAMP ?`
	raiseMark  = `UPDATE dirty USING TIMESTAMP ? SET fanned = ? WHERE slice = ? AND shard = ? AND conversation = ?`
	removeMark = `DELETE FROM dirty USING TIMESTAMP ? WHERE slice = ? AND shard = ? AND conversation = ?`
	pageMarks  = `SELECT shard, conversation, mark, fanned FROM dirty WHERE slice = ? AND (shard, conversation) > (?, ?) LIMIT ?`
)

// marks knows which conversations this engine has marked, so that it marks
// once and not with every append.
//
// A mark may be removed by the engine that appended the head it settles, and
// by no other: any other engine's next append then has a base that it did not
// itself append, and marks anew. Everybody else only raises fanned, under
// which a mark still stands for what comes later. So a mark that one engine
// relies on is never gone, whoever else believes to own the conversation; and
// no clock is asked.
type marks struct {
	mu       sync.Mutex
	standing map[parley.ConversationID]*standing // guarded by mu; gone when settled
}

type standing struct {
	head parley.Seq // this engine's latest append; 0: unknown
	busy int        // appends under way
}

func newMarks() *marks { return &marks{standing: map[parley.ConversationID]*standing{}} }

// begin notes an append under way and reports whether a mark must come first.
func (m *marks) begin(a *store.Append) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.standing[a.Conversation]
	if s == nil {
		s = &standing{}
		m.standing[a.Conversation] = s
	}
	needed := s.busy > 0 || s.head == 0 || s.head != a.Base
	s.head = 0
	s.busy++
	return needed
}

func (m *marks) end(a *store.Append, stands bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.standing[a.Conversation]
	if s == nil {
		return
	}
	s.busy--
	if stands && s.busy == 0 {
		s.head = a.Entries[len(a.Entries)-1].Seq
	}
}

// settle forgets the mark of c and reports true if it may be removed.
func (m *marks) settle(c parley.ConversationID, head parley.Seq) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.standing[c]
	if s == nil || s.busy > 0 {
		return false
	}
	if s.head == head || s.head == 0 {
		delete(m.standing, c)
	}
	return s.head == head
}

func place(c parley.ConversationID) (slice, shard int) {
	shard = parley.ShardOf(c)
	return shard / shardsPerSlice, shard
}

// mark says that the entries of c from seq on may be on no inbox.
func (s *Store) mark(ctx context.Context, c parley.ConversationID, seq parley.Seq) error {
	slice, shard := place(c)
	return s.session.Query(insertMark, slice, shard, string(c), int64(seq), 2*int64(seq)).ExecContext(ctx)
}

func seqOf(n *int64) parley.Seq {
	if n == nil {
		return 0
	}
	return parley.Seq(*n)
}

// Settle implements store.Dirty.
func (s *Store) Settle(ctx context.Context, c parley.ConversationID, head parley.Seq) error {
	return s.call(ctx, func(ctx context.Context) error {
		if head == 0 || head >= maxSeq {
			return nil
		}
		slice, shard := place(c)
		own := s.marks.settle(c, head)
		return s.persist(ctx, func(ctx context.Context) error {
			if own {
				return s.session.Query(removeMark, 2*int64(head)+1, slice, shard, string(c)).ExecContext(ctx)
			}
			t, err := s.tail(ctx, c)
			if err != nil || t.head != head {
				return err
			}
			return s.session.Query(raiseMark, 2*int64(head), int64(head), slice, shard, string(c)).ExecContext(ctx)
		})
	})
}

// sweepAtOnce is how many slices, and how many heads in each, are read at the
// same time.
const sweepAtOnce = 16

// DirtyAfter implements store.Dirty. The order is by shard, then by id.
func (s *Store) DirtyAfter(ctx context.Context, of func(shard int) bool, c parley.ConversationID, limit int) (out []parley.ConversationID, err error) {
	if of == nil {
		of = func(int) bool { return true }
	}
	err = s.call(ctx, func(ctx context.Context) error {
		at := cursor{shard: -1}
		if c != "" {
			at = cursor{parley.ShardOf(c), c}
		}
		for next := max(at.shard, 0) / shardsPerSlice; next < sliceCount && len(out) < limit; next += sweepAtOnce {
			some, err := s.dirtyIn(ctx, next, min(next+sweepAtOnce, sliceCount), of, at, limit-len(out))
			if err != nil {
				return err
			}
			out = append(out, some...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// cursor is a place in the order of marks.
type cursor struct {
	shard int
	c     parley.ConversationID
}

// dirtyIn reads the slices low..high-1 at the same time.
func (s *Store) dirtyIn(ctx context.Context, low, high int, of func(int) bool, at cursor, limit int) ([]parley.ConversationID, error) {
	found, errs := make([][]parley.ConversationID, high-low), make([]error, high-low)
	var wg sync.WaitGroup
	for i := range found {
		if slice := low + i; anyOf(slice, of) {
			wg.Go(func() { found[i], errs[i] = s.dirtySlice(ctx, slice, of, at, limit) })
		}
	}
	wg.Wait()
	var out []parley.ConversationID
	for _, part := range found {
		out = append(out, part...)
	}
	return out[:min(limit, len(out))], errors.Join(errs...)
}

func anyOf(slice int, of func(int) bool) bool {
	for shard := range shardsPerSlice {
		if of(slice*shardsPerSlice + shard) {
			return true
		}
	}
	return false
}

// marksPage is how many marks are read at once.
const marksPage = 512

func (s *Store) dirtySlice(ctx context.Context, slice int, of func(int) bool, at cursor, limit int) (out []parley.ConversationID, err error) {
	for {
		var page []marked
		err := s.persist(ctx, func(ctx context.Context) (err error) {
			page, err = s.marksAfter(ctx, slice, at)
			return err
		})
		if err != nil {
			return nil, err
		}
		for i := 0; i < len(page) && len(out) < limit; i += sweepAtOnce {
			some, err := s.stillDirty(ctx, page[i:min(i+sweepAtOnce, len(page))], of)
			if err != nil {
				return nil, err
			}
			out = append(out, some...)
		}
		if len(page) < marksPage || len(out) >= limit {
			return out, nil
		}
		at = page[len(page)-1].cursor
	}
}

// marked is one row of dirty.
type marked struct {
	cursor
	mark   *int64 // nil: it was removed, and a late settlement came after
	fanned parley.Seq
}

func (s *Store) marksAfter(ctx context.Context, slice int, at cursor) (out []marked, err error) {
	rows := s.session.Query(pageMarks, slice, at.shard, string(at.c), marksPage).IterContext(ctx).Scanner()
	for rows.Next() {
		var m marked
		var fanned *int64
		if err := rows.Scan(&m.shard, (*string)(&m.c), &m.mark, &fanned); err != nil {
			return nil, errors.Join(err, rows.Err())
		}
		m.fanned = seqOf(fanned)
		out = append(out, m)
	}
	return out, rows.Err()
}

// stillDirty returns which of the marks stand for entries that exist.
func (s *Store) stillDirty(ctx context.Context, page []marked, of func(int) bool) (out []parley.ConversationID, err error) {
	heads, errs := make([]parley.Seq, len(page)), make([]error, len(page))
	var wg sync.WaitGroup
	for i := range page {
		if page[i].mark == nil || !of(page[i].shard) {
			continue
		}
		wg.Go(func() {
			errs[i] = s.persist(ctx, func(ctx context.Context) error {
				t, err := s.tail(ctx, page[i].c)
				heads[i] = t.head
				return err
			})
		})
	}
	wg.Wait()
	for i := range page {
		if heads[i] > page[i].fanned {
			out = append(out, page[i].c)
		}
	}
	return out, errors.Join(errs...)
}
