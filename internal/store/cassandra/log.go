package cassandra

import (
	"context"
	"errors"
	"fmt"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// maxAppend bounds the bytes of one append, which is one mutation: half of what
// Cassandra takes when its commit log has the usual segments of 32 MiB. Check
// looks that it does.
const maxAppend = 8 << 20

// entriesPage is how many entries are fetched at once, so that a page of the
// longest bodies stays small.
const entriesPage = 256

// The statements of log. Kind 0 is a slot, kind 1 an id; kind 2, an act, has
// its own in acts.go.
const (
	insertFirst = `INSERT INTO log (conversation, bucket, kind, seq, id, entry, try) VALUES (?, ?, 0, ?, '', ?, ?) IF NOT EXISTS`
	insertNext  = `INSERT INTO log (conversation, bucket, kind, seq, id, entry) VALUES (?, ?, 0, ?, '', ?)`
	insertID    = `INSERT INTO log (conversation, bucket, kind, seq, id, at) VALUES (?, ?, 1, 0, ?, ?)`
	selectTry   = `SELECT try FROM log WHERE conversation = ? AND bucket = ? AND kind = 0 AND seq = ? AND id = ''`
	selectSlots = `SELECT seq, entry FROM log WHERE conversation = ? AND bucket = ? AND kind = 0 AND seq > ? LIMIT ?`
	// The first slot of the bucket comes along because a row must be found for
	// the static head to be told.
	selectID = `SELECT kind, head, at FROM log WHERE conversation = ? AND bucket = ? AND (kind, seq, id) IN ((0, ?, ''), (1, 0, ?))`
)

// Load implements store.Log.
func (s *Store) Load(ctx context.Context, c parley.ConversationID) (out store.Head, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		return s.persist(ctx, func(ctx context.Context) error {
			out, err = s.load(ctx, c)
			return err
		})
	})
	return out, err
}

func (s *Store) load(ctx context.Context, c parley.ConversationID) (store.Head, error) {
	t, err := s.tail(ctx, c)
	if err != nil || t.head == 0 {
		return store.Head{}, err
	}
	out := store.Head{Seq: t.head, Count: t.count}
	if len(t.state) > 0 {
		if out.State, err = decodeState(t.state); err != nil {
			return store.Head{}, corrupt("state of a conversation", err)
		}
	}
	return out, nil
}

func checkAppend(a *store.Append) error {
	if len(a.Entries) == 0 || len(a.Entries) > store.Room(a.Base) {
		return fmt.Errorf("cassandra: an append of %d entries after %d, where 1 to %d fit", len(a.Entries), a.Base, store.Room(a.Base))
	}
	size := 0
	for i := range a.Entries {
		e := &a.Entries[i]
		if e.Seq != a.Base+parley.Seq(i)+1 {
			return fmt.Errorf("cassandra: the entry after %d is numbered %d", a.Base+parley.Seq(i), e.Seq)
		}
		if max(len(e.ID), len(e.Sender), len(e.Device)) > parley.MaxID {
			return errors.New("cassandra: an id is too long")
		}
		for _, users := range [...][]parley.UserID{e.Mentions, e.Withheld} {
			for _, u := range users {
				if size += len(u); len(u) > parley.MaxID {
					return errors.New("cassandra: an id is too long")
				}
			}
		}
		size += len(e.Body.Data)
	}
	if size > maxAppend {
		return fmt.Errorf("cassandra: an append of %d bytes; the most is %d", size, maxAppend)
	}
	return checkConversation(a.Conversation)
}

func checkConversation(c parley.ConversationID) error {
	if c == "" || len(c) > parley.MaxID {
		return fmt.Errorf("cassandra: a conversation id of %d bytes", len(c))
	}
	return nil
}

// Append implements store.Log.
func (s *Store) Append(ctx context.Context, a store.Append) error {
	if err := checkAppend(&a); err != nil {
		return err
	}
	return s.call(ctx, func(ctx context.Context) error {
		within, cancel := s.within(ctx)
		defer cancel()
		return s.append(within, &a)
	})
}

func (s *Store) append(ctx context.Context, a *store.Append) (err error) {
	needed := s.marks.begin(a)
	defer func() { s.marks.end(a, err == nil) }()
	// The mark comes first: an append that stands is always marked.
	if needed {
		if err := s.persist(ctx, func(ctx context.Context) error { return s.mark(ctx, a.Conversation, a.Base+1) }); err != nil {
			return err
		}
	}
	w := appending{s: s, a: a, bucket: bucketOf(a.Base + 1)}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	if err := s.commit(ctx, w.batch, w.look); err != nil {
		return err
	}
	s.tails.reached(a.Conversation, w.bucket)
	if w.bucket > 0 && a.Base == w.bucket.first()-1 {
		s.hint(ctx, a.Conversation, w.bucket)
	}
	return nil
}

// appending is one append on its way.
type appending struct {
	s      *Store
	a      *store.Append
	bucket bucket
	try    []byte
	state  []byte // to be written; nil: leave what is there
	slots  [][]byte
}

// prepare encodes what will be written. The first append of a bucket makes
// sure that the bucket before is full, carries over what it ends with, and puts
// its acts where they are found from then on.
func (w *appending) prepare(ctx context.Context) (err error) {
	if w.try, err = w.s.nonce(); err != nil {
		return err
	}
	for i := range w.a.Entries {
		w.slots = append(w.slots, encodeEntry(&w.a.Entries[i]))
	}
	if w.bucket > 0 && w.a.Base == w.bucket.first()-1 {
		err = w.s.persist(ctx, func(ctx context.Context) error {
			before, err := w.s.serialTail(ctx, w.a.Conversation, w.bucket-1)
			if err == nil && before.head != w.a.Base {
				err = store.ErrConflict
			}
			w.state = before.state
			return err
		})
		if err == nil {
			err = w.s.leave(ctx, w.a.Conversation, w.bucket-1)
		}
	}
	if w.a.State != nil {
		w.state = encodeState(w.a.State)
	}
	return err
}

func (w *appending) batch() *gocql.Batch {
	b := w.s.session.Batch(gocql.UnloggedBatch)
	c, k := string(w.a.Conversation), int64(w.bucket)
	last := &w.a.Entries[len(w.a.Entries)-1]
	set, values := `UPDATE log SET head = ?, count = ?`, []any{int64(last.Seq), int64(last.Count)}
	if w.state != nil {
		set, values = set+`, state = ?`, append(values, w.state)
	}
	var head any // null: the bucket is new
	if w.a.Base >= w.bucket.first() {
		head = int64(w.a.Base)
	}
	b.Query(set+` WHERE conversation = ? AND bucket = ? IF head = ?`, append(values, c, k, head)...)
	for i := range w.a.Entries {
		e := &w.a.Entries[i]
		if i == 0 {
			b.Query(insertFirst, c, k, int64(e.Seq), w.slots[i], w.try)
		} else {
			b.Query(insertNext, c, k, int64(e.Seq), w.slots[i])
		}
		b.Query(insertID, c, k, string(e.ID), int64(e.Seq))
		if isAct(e) {
			b.Query(insertAct, c, k, int64(e.Ref), actID(e.Seq), encodeAct(e))
		}
	}
	return b
}

// look says who stands in the first slot.
func (w *appending) look(ctx context.Context) (verdict, error) {
	var mark []byte
	found, err := one(ctx, serially(w.s.session.Query(selectTry, string(w.a.Conversation), int64(w.bucket), int64(w.a.Base)+1)), &mark)
	return judge(found, mark, w.try), err
}

// Read implements store.Log.
func (s *Store) Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) (out []parley.Entry, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		for limit > len(out) && after < maxSeq {
			k := bucketOf(after + 1)
			want := min(limit-len(out), int(k.last()-after))
			var part []parley.Entry
			err := s.persist(ctx, func(ctx context.Context) error {
				part, err = s.slots(ctx, c, k, after, want)
				return err
			})
			if err != nil {
				return err
			}
			out = append(out, part...)
			if len(part) < want {
				return nil
			}
			after += parley.Seq(want)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// slots reads the entries after seq of one bucket.
func (s *Store) slots(ctx context.Context, c parley.ConversationID, k bucket, after parley.Seq, limit int) ([]parley.Entry, error) {
	rows := s.session.Query(selectSlots, string(c), int64(k), int64(after), limit).PageSize(entriesPage).IterContext(ctx).Scanner()
	var out []parley.Entry
	for rows.Next() {
		var seq int64
		var value []byte
		if err := rows.Scan(&seq, &value); err != nil {
			return nil, errors.Join(err, rows.Err())
		}
		want := after + parley.Seq(len(out)) + 1
		if parley.Seq(seq) != want {
			return nil, errors.Join(corrupt("a log", fmt.Errorf("number %d where %d belongs", seq, want)), rows.Err())
		}
		e, err := decodeEntry(value)
		if err != nil {
			return nil, errors.Join(corrupt("an entry", err), rows.Err())
		}
		e.Conversation, e.Seq = c, want
		out = append(out, e)
	}
	return out, rows.Err()
}

// Find implements store.Log.
func (s *Store) Find(ctx context.Context, c parley.ConversationID, id parley.MessageID, base parley.Seq) (seq parley.Seq, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		if base >= maxSeq {
			return nil
		}
		return s.persist(ctx, func(ctx context.Context) error {
			seq, err = s.find(ctx, c, id, base)
			return err
		})
	})
	return seq, err
}
