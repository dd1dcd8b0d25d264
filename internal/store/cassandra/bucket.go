package cassandra

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// bucket numbers the partitions of a log from 0.
type bucket int64

// maxSeq is beyond every number an entry can have.
const maxSeq = parley.Seq(1) << 62

func bucketOf(seq parley.Seq) bucket { return bucket((seq - 1) / store.BucketSize) }

func (b bucket) first() parley.Seq { return parley.Seq(b)*store.BucketSize + 1 }
func (b bucket) last() parley.Seq  { return parley.Seq(b+1) * store.BucketSize }

// The statements of tails and hints. A hint's time is its value, so that the
// greatest stays.
const (
	selectTail = `SELECT head, count, state FROM log WHERE conversation = ? AND bucket = ? LIMIT 1`
	selectHint = `SELECT bucket FROM hint WHERE conversation = ?`
	insertHint = `INSERT INTO hint (conversation, bucket) VALUES (?, ?) USING TIMESTAMP ?`
)

// tail is what a bucket says of its conversation.
type tail struct {
	head  parley.Seq // 0: the bucket does not exist
	count uint64
	state []byte // encoded; nil: none
}

// tails remembers the greatest bucket known of each conversation. A log only
// grows, so that what was true once is a place to begin at for ever.
type tails struct {
	mu   sync.Mutex
	last map[parley.ConversationID]bucket // guarded by mu
}

// maxTails bounds what is remembered; then it is forgotten, all of it, which
// costs each conversation beyond its first bucket one read more.
const maxTails = 1 << 17

func newTails() *tails { return &tails{last: map[parley.ConversationID]bucket{}} }

func (t *tails) reached(c parley.ConversationID, b bucket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b <= t.last[c] {
		return // bucket 0 needs no remembering
	}
	if len(t.last) >= maxTails {
		clear(t.last)
	}
	t.last[c] = b
}

func (t *tails) of(c parley.ConversationID) bucket {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last[c]
}

func (s *Store) readTail(ctx context.Context, c parley.ConversationID, b bucket) (tail, error) {
	return scanTail(ctx, s.session.Query(selectTail, string(c), int64(b)), b)
}

// serialTail is readTail after everything that is under way on the bucket.
func (s *Store) serialTail(ctx context.Context, c parley.ConversationID, b bucket) (tail, error) {
	return scanTail(ctx, serially(s.session.Query(selectTail, string(c), int64(b))), b)
}

func scanTail(ctx context.Context, q *gocql.Query, b bucket) (tail, error) {
	var head, count *int64
	var state []byte
	found, err := one(ctx, q, &head, &count, &state)
	if err != nil || !found {
		return tail{}, err
	}
	if head == nil || count == nil || parley.Seq(*head) < b.first() || parley.Seq(*head) > b.last() {
		return tail{}, corrupt("the head of a log", errors.New("rows that no append wrote"))
	}
	return tail{head: parley.Seq(*head), count: uint64(*count), state: state}, nil
}

// tail returns what the last bucket of c says. Where to begin is a hint: from
// there it goes up, in growing steps, until a bucket is missing, and back in
// halves. A conversation's first bucket is all there is for most, and is one
// read.
func (s *Store) tail(ctx context.Context, c parley.ConversationID) (tail, error) {
	at := s.tails.of(c)
	t, err := s.readTail(ctx, c, at)
	if err != nil {
		return tail{}, err
	}
	if t.head == 0 && at > 0 {
		// Remembered, so it stood. A replica set that lost it is not ours to
		// paper over.
		return tail{}, corrupt("the head of a log", errors.New("a bucket is gone"))
	}
	if t.head != at.last() {
		return t, nil
	}
	if hinted, err := s.readHint(ctx, c); err != nil {
		return tail{}, err
	} else if hinted > at {
		further, err := s.readTail(ctx, c, hinted)
		if err != nil {
			return tail{}, err
		}
		if further.head != 0 {
			at, t = hinted, further
		}
	}
	at, t, err = s.climb(ctx, c, at, t)
	if err != nil {
		return tail{}, err
	}
	s.tails.reached(c, at)
	return t, nil
}

// climb finds the last bucket at or after low, which exists.
func (s *Store) climb(ctx context.Context, c parley.ConversationID, low bucket, t tail) (bucket, tail, error) {
	missing := bucket(-1) // a bucket that does not exist, once one is known
	for step := bucket(1); t.head == low.last() && missing != low+1; {
		next := low + step
		if missing >= 0 {
			next = low + (missing-low)/2
		}
		u, err := s.readTail(ctx, c, next)
		switch {
		case err != nil:
			return 0, tail{}, err
		case u.head == 0:
			missing = next
		default:
			low, t, step = next, u, 2*step
		}
	}
	return low, t, nil
}

func (s *Store) readHint(ctx context.Context, c parley.ConversationID) (bucket, error) {
	var b int64
	_, err := one(ctx, s.session.Query(selectHint, string(c)), &b)
	return bucket(b), err
}

// hint notes that b has begun. A hint that is lost costs reads, so its failure
// is nobody's.
func (s *Store) hint(ctx context.Context, c parley.ConversationID, b bucket) {
	if err := s.session.Query(insertHint, string(c), int64(b), int64(b)).ExecContext(ctx); err != nil {
		s.cfg.Logger.Debug("a hint was not written", slog.Any("err", err))
	}
}

// findAtOnce is how many buckets are searched at the same time.
const findAtOnce = 8

// find looks for an id in the buckets after base, the newest first.
func (s *Store) find(ctx context.Context, c parley.ConversationID, id parley.MessageID, base parley.Seq) (parley.Seq, error) {
	at := s.tails.of(c)
	seq, head, err := s.findIn(ctx, c, at, id)
	if err != nil || seq != 0 || head == 0 {
		return seq, err
	}
	low := bucketOf(base + 1)
	if head == at.last() { // there may be more buckets
		t, err := s.tail(ctx, c)
		if err != nil {
			return 0, err
		}
		at = max(at, bucketOf(t.head)+1)
	}
	for high := at - 1; high >= low; high -= findAtOnce {
		if seq, err := s.findAmong(ctx, c, max(low, high-findAtOnce+1), high, id); err != nil || seq != 0 {
			return seq, err
		}
	}
	return 0, nil
}

// findAmong looks in the buckets low..high at the same time.
func (s *Store) findAmong(ctx context.Context, c parley.ConversationID, low, high bucket, id parley.MessageID) (parley.Seq, error) {
	var wg sync.WaitGroup
	seqs, errs := make([]parley.Seq, high-low+1), make([]error, high-low+1)
	for i := range seqs {
		wg.Go(func() { seqs[i], _, errs[i] = s.findIn(ctx, c, low+bucket(i), id) })
	}
	wg.Wait()
	for _, seq := range seqs {
		if seq != 0 {
			return seq, nil
		}
	}
	return 0, errors.Join(errs...)
}

// findIn looks in one bucket, and returns the bucket's head with what it found.
func (s *Store) findIn(ctx context.Context, c parley.ConversationID, b bucket, id parley.MessageID) (seq, head parley.Seq, err error) {
	rows := s.session.Query(selectID, string(c), int64(b), int64(b.first()), string(id)).IterContext(ctx).Scanner()
	for rows.Next() {
		var kind int8
		var top, at *int64
		if err := rows.Scan(&kind, &top, &at); err != nil {
			return 0, 0, errors.Join(err, rows.Err())
		}
		if top != nil {
			head = parley.Seq(*top)
		}
		if kind == 1 && at != nil {
			seq = parley.Seq(*at)
		}
	}
	return seq, head, rows.Err()
}
