package cassandra

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	parley "github.com/parley-im/parley"
)

// An act must be written in the same conditional batch as its entry, so it lies
// in the bucket of its own number. It is looked for from its target, which may
// lie any number of buckets before. So before a log goes on in the next bucket,
// the acts of the one it leaves are copied into the table act, by the buckets of
// their targets. Then the acts on a page are those of its buckets in act, and
// those in the last bucket of the log.
//
// The statements. Rows of act are plain writes whose time is 1, or 2 for an
// erased one: copying may be done again at any time, by anybody, and brings
// nothing back.
const (
	insertAct  = `INSERT INTO log (conversation, bucket, kind, seq, id, entry) VALUES (?, ?, 2, ?, ?, ?)`
	selectActs = `SELECT seq, id, entry FROM log WHERE conversation = ? AND bucket = ? AND kind = 2 AND seq >= ? AND seq <= ?`
	placeAct   = `INSERT INTO act (conversation, bucket, target, seq, value) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?`
	placedActs = `SELECT target, seq, value FROM act WHERE conversation = ? AND bucket = ? AND target >= ? AND target <= ?`
)

// The times of rows of act.
const (
	timePlaced = 1
	timeErased = 2
)

// placeAtOnce is how many acts one batch has, and how many batches or buckets
// are under way at the same time.
const (
	placeInBatch = 64
	placeAtOnce  = 8
)

// isAct reports whether e is found from what it points at.
func isAct(e *parley.Entry) bool { return e.Kind.IsAct() && 0 < e.Ref && e.Ref < e.Seq }

// actID is the number of an act as a text that sorts as numbers do.
func actID(seq parley.Seq) string { return fmt.Sprintf("%019d", uint64(seq)) }

// encodeAct writes what is to be known of e from its target: an entry with most
// of it left out.
func encodeAct(e *parley.Entry) []byte {
	act := parley.Entry{Kind: e.Kind, Sender: e.Sender, At: e.At, Withheld: e.Withheld}
	if e.Kind == parley.KindReaction {
		act.Body.Data = e.Body.Data
	}
	return encodeEntry(&act)
}

// placed is an act and how it is written.
type placed struct {
	parley.Act
	value []byte
}

func decodeAct(target, seq parley.Seq, value []byte) (placed, error) {
	e, err := decodeEntry(value)
	if err != nil || target == 0 || seq <= target {
		return placed{}, corrupt("an act", cmp.Or(err, errValue))
	}
	e.Ref, e.Seq = target, seq
	return placed{parley.ActOf(&e), value}, nil
}

// Acts implements store.Acts.
func (s *Store) Acts(ctx context.Context, c parley.ConversationID, from, to parley.Seq) (out []parley.Act, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		if from, to = max(from, 1), min(to, maxSeq); from > to {
			return nil
		}
		return s.persist(ctx, func(ctx context.Context) error {
			out, err = s.acts(ctx, c, from, to)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// acts reads the last bucket known and what is placed already, at the same time
// as it makes sure that there is no later bucket. What was appended by the time
// of the call is then either in that bucket or was placed before it began; when
// there is a later one after all, the same is true of that.
func (s *Store) acts(ctx context.Context, c parley.ConversationID, from, to parley.Seq) ([]parley.Act, error) {
	at := s.tails.of(c)
	var t tail
	var noTail error
	var wg sync.WaitGroup
	wg.Go(func() { t, noTail = s.readTail(ctx, c, at) })
	found, err := s.actsBefore(ctx, c, at, from, to)
	wg.Wait()
	if err := errors.Join(noTail, err); err != nil {
		return nil, err
	}
	if t.head == at.last() {
		if t, err = s.tail(ctx, c); err != nil {
			return nil, err
		}
		if top := bucketOf(t.head); top > at {
			if found, err = s.actsBefore(ctx, c, top, from, to); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// actsBefore reads the acts in bucket top and those placed from earlier ones.
func (s *Store) actsBefore(ctx context.Context, c parley.ConversationID, top bucket, from, to parley.Seq) ([]parley.Act, error) {
	low := bucketOf(from)
	parts := make([][]placed, max(0, min(bucketOf(to), top-1)-low+1)+1)
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	free := make(chan struct{}, placeAtOnce)
	for i := range parts {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			if i == 0 {
				parts[i], errs[i] = s.actsIn(ctx, c, top, from, to)
			} else {
				parts[i], errs[i] = s.placedIn(ctx, c, low+bucket(i-1), from, to)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var out []parley.Act
	for _, a := range slices.Concat(parts...) {
		out = append(out, a.Act)
	}
	slices.SortStableFunc(out, func(a, b parley.Act) int { return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Seq, b.Seq)) })
	// An act may stand in both places: one that is erased is placed at once.
	return slices.CompactFunc(out, func(a, b parley.Act) bool { return a.Seq == b.Seq }), nil
}

// actsIn reads the acts of a bucket of the log.
func (s *Store) actsIn(ctx context.Context, c parley.ConversationID, k bucket, from, to parley.Seq) ([]placed, error) {
	rows := s.session.Query(selectActs, string(c), int64(k), int64(from), int64(to)).PageSize(entriesPage).IterContext(ctx).Scanner()
	var out []placed
	for rows.Next() {
		var target int64
		var id string
		var value []byte
		if err := rows.Scan(&target, &id, &value); err != nil {
			return nil, errors.Join(err, rows.Err())
		}
		seq, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return nil, errors.Join(corrupt("an act", err), rows.Err())
		}
		a, err := decodeAct(parley.Seq(target), parley.Seq(seq), value)
		if err != nil {
			return nil, errors.Join(err, rows.Err())
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// placedIn reads the acts on the entries of a bucket that are in the table act.
func (s *Store) placedIn(ctx context.Context, c parley.ConversationID, k bucket, from, to parley.Seq) ([]placed, error) {
	rows := s.session.Query(placedActs, string(c), int64(k), int64(from), int64(to)).PageSize(entriesPage).IterContext(ctx).Scanner()
	var out []placed
	for rows.Next() {
		var target, seq int64
		var value []byte
		if err := rows.Scan(&target, &seq, &value); err != nil {
			return nil, errors.Join(err, rows.Err())
		}
		a, err := decodeAct(parley.Seq(target), parley.Seq(seq), value)
		if err != nil {
			return nil, errors.Join(err, rows.Err())
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// leave places the acts of a full bucket, which must be so before the log goes
// on in the next. Nothing is added to a full bucket, and serialTail has finished
// what was under way there: a read at a quorum sees all of it.
func (s *Store) leave(ctx context.Context, c parley.ConversationID, k bucket) error {
	var all []placed
	err := s.persist(ctx, func(ctx context.Context) (err error) {
		all, err = s.actsIn(ctx, c, k, 1, maxSeq)
		return err
	})
	if err != nil {
		return err
	}
	// They are read by target: those of one bucket stand together.
	var batches [][]placed
	for len(all) > 0 {
		n := 1
		for n < len(all) && n < placeInBatch && bucketOf(all[n].Target) == bucketOf(all[0].Target) {
			n++
		}
		batches, all = append(batches, all[:n]), all[n:]
	}
	errs := make([]error, len(batches))
	var wg sync.WaitGroup
	free := make(chan struct{}, placeAtOnce)
	for i, batch := range batches {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			errs[i] = s.place(ctx, c, batch, timePlaced)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// place writes acts on the entries of one bucket into the table act.
func (s *Store) place(ctx context.Context, c parley.ConversationID, acts []placed, time int64) error {
	return s.persist(ctx, func(ctx context.Context) error {
		b := s.session.Batch(gocql.UnloggedBatch)
		for i := range acts {
			a := &acts[i]
			b.Query(placeAct, string(c), int64(bucketOf(a.Target)), int64(a.Target), int64(a.Seq), a.value, time)
		}
		return b.ExecContext(ctx)
	})
}
