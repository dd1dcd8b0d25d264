package cassandra

import (
	"context"
	"errors"
	"slices"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	parley "github.com/parley-im/parley"
)

// The statements of erasing: conditional, as all writes to these rows are. The
// condition keeps a row that is not there from being made.
const (
	selectSome = `SELECT seq, entry FROM log WHERE conversation = ? AND bucket = ? AND kind = 0 AND seq IN ? AND id = ''`
	eraseSlot  = `UPDATE log SET entry = ? WHERE conversation = ? AND bucket = ? AND kind = 0 AND seq = ? AND id = '' IF EXISTS`
	eraseAct   = `UPDATE log SET entry = ? WHERE conversation = ? AND bucket = ? AND kind = 2 AND seq = ? AND id = ? IF EXISTS`
)

// eraseAtOnce is how many entries of a bucket are erased by one batch.
const eraseAtOnce = 64

// errAgain: a batch that can only apply did not; it is made and run once more.
var errAgain = errors.New("cassandra: an erasure did not apply")

// Erase implements store.Acts. An entry only ever changes by losing its body,
// and whoever else erases it writes the same: of unknown outcome or not, the
// batch is run again until one applies.
func (s *Store) Erase(ctx context.Context, c parley.ConversationID, seqs []parley.Seq) error {
	seqs = slices.DeleteFunc(slices.Clone(seqs), func(seq parley.Seq) bool { return seq == 0 || seq >= maxSeq })
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	return s.call(ctx, func(ctx context.Context) error {
		for len(seqs) > 0 {
			k, n := bucketOf(seqs[0]), 1
			for n < len(seqs) && n < eraseAtOnce && bucketOf(seqs[n]) == k {
				n++
			}
			if err := s.eraseIn(ctx, c, k, seqs[:n]); err != nil {
				return err
			}
			seqs = seqs[n:]
		}
		return nil
	})
}

// eraseIn erases entries of one bucket, and then the reactions among them where
// they may have been placed; a reaction that is erased already may still be
// placed with its text, when an earlier try ended in between.
func (s *Store) eraseIn(ctx context.Context, c parley.ConversationID, k bucket, seqs []parley.Seq) error {
	var reactions []placed
	err := s.persist(ctx, func(ctx context.Context) error {
		entries, err := s.some(ctx, c, k, seqs)
		if err != nil {
			return err
		}
		reactions = nil
		b := s.session.Batch(gocql.UnloggedBatch)
		for i := range entries {
			e := &entries[i]
			bare := e.Body.Type == "" && len(e.Body.Data) == 0
			e.Body = parley.Body{}
			if !bare {
				b.Query(eraseSlot, encodeEntry(e), string(c), int64(k), int64(e.Seq))
			}
			if e.Kind != parley.KindReaction || !isAct(e) {
				continue
			}
			value := encodeAct(e)
			reactions = append(reactions, placed{parley.ActOf(e), value})
			if !bare {
				b.Query(eraseAct, value, string(c), int64(k), int64(e.Ref), actID(e.Seq))
			}
		}
		if b.Size() == 0 {
			return nil
		}
		applied, err := execute(ctx, b)
		if err == nil && !applied {
			err = errAgain
		}
		return err
	})
	for i := 0; i < len(reactions) && err == nil; i++ {
		err = s.place(ctx, c, reactions[i:i+1], timeErased)
	}
	return err
}

// some reads those of the entries of a bucket that exist.
func (s *Store) some(ctx context.Context, c parley.ConversationID, k bucket, seqs []parley.Seq) (out []parley.Entry, err error) {
	wanted := make([]int64, len(seqs))
	for i, seq := range seqs {
		wanted[i] = int64(seq)
	}
	rows := s.session.Query(selectSome, string(c), int64(k), wanted).IterContext(ctx).Scanner()
	for rows.Next() {
		var seq int64
		var value []byte
		if err := rows.Scan(&seq, &value); err != nil {
			return nil, errors.Join(err, rows.Err())
		}
		e, err := decodeEntry(value)
		if err != nil {
			return nil, errors.Join(corrupt("an entry", err), rows.Err())
		}
		e.Conversation, e.Seq = c, parley.Seq(seq)
		out = append(out, e)
	}
	return out, rows.Err()
}
