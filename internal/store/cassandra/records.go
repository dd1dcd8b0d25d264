package cassandra

import (
	"bytes"
	"context"
	"errors"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/parley-im/parley/internal/store"
)

// The statements of record. A partition's name begins with a byte of ours,
// because Cassandra knows no empty partition key.
const (
	insertRecord = `INSERT INTO record (part, key, version, value, try) VALUES (?, ?, 1, ?, ?) IF NOT EXISTS`
	updateRecord = `UPDATE record SET version = ?, value = ?, try = ? WHERE part = ? AND key = ? IF version = ?`
	removeRecord = `DELETE FROM record WHERE part = ? AND key = ? IF version = ?`
	selectRecord = `SELECT version, value FROM record WHERE part = ? AND key = ?`
	selectMine   = `SELECT try FROM record WHERE part = ? AND key = ?`
	listRecords  = `SELECT key, version, value FROM record WHERE part = ? AND key > ? LIMIT ?`
	listFrom     = `SELECT key, version, value FROM record WHERE part = ? AND key >= ? LIMIT ?`
	listUntil    = `SELECT key, version, value FROM record WHERE part = ? AND key > ? AND key < ? LIMIT ?`
	listFromTo   = `SELECT key, version, value FROM record WHERE part = ? AND key >= ? AND key < ? LIMIT ?`
)

// recordsPage is how many records are fetched at once.
const recordsPage = 256

// maxName bounds what Cassandra takes for a key: 64 KiB, less what it adds.
const maxName = 60 << 10

func partOf(partition string) []byte { return append([]byte{'p'}, partition...) }

// GetRecord implements store.Records.
func (s *Store) GetRecord(ctx context.Context, partition, key string) (r store.Record, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		return s.persist(ctx, func(ctx context.Context) error {
			r = store.Record{Key: key}
			var version int64
			found, err := one(ctx, s.session.Query(selectRecord, partOf(partition), []byte(key)), &version, &r.Value)
			if found && version <= 0 {
				return corrupt("a record", errors.New("no version"))
			}
			r.Version = uint64(version)
			return err
		})
	})
	return r, err
}

// ListRecords implements store.Records.
func (s *Store) ListRecords(ctx context.Context, partition, prefix, after string, limit int) (out []store.Record, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		q := s.listing(partition, prefix, after, limit)
		if q == nil {
			return nil
		}
		return s.persist(ctx, func(ctx context.Context) error {
			out, err = scanRecords(q.IterContext(ctx).Scanner())
			return err
		})
	})
	return out, err
}

// listing is the query of one list, or nil when nothing can be on it.
func (s *Store) listing(partition, prefix, after string, limit int) *gocql.Query {
	low, beyond, part := []byte(prefix), following(prefix), partOf(partition)
	from := after < prefix
	if !from {
		low = []byte(after)
	}
	if limit <= 0 || beyond != nil && bytes.Compare(low, beyond) >= 0 {
		return nil
	}
	var q *gocql.Query
	switch {
	case from && beyond != nil:
		q = s.session.Query(listFromTo, part, low, beyond, limit)
	case from:
		q = s.session.Query(listFrom, part, low, limit)
	case beyond != nil:
		q = s.session.Query(listUntil, part, low, beyond, limit)
	default:
		q = s.session.Query(listRecords, part, low, limit)
	}
	return q.PageSize(recordsPage)
}

// following is the least key greater than every key with that prefix; nil:
// there is none.
func following(prefix string) []byte {
	b := []byte(prefix)
	for n := len(b); n > 0; n-- {
		if b[n-1] < 0xff {
			b[n-1]++
			return b[:n]
		}
	}
	return nil
}

func scanRecords(rows gocql.Scanner) (out []store.Record, err error) {
	for rows.Next() {
		var key []byte
		var version int64
		var r store.Record
		if err := rows.Scan(&key, &version, &r.Value); err != nil {
			return nil, errors.Join(err, rows.Err())
		}
		r.Key, r.Version = string(key), uint64(version)
		out = append(out, r)
	}
	return out, rows.Err()
}

func checkChanges(partition string, changes []store.Change) error {
	if len(changes) == 0 {
		return errors.New("cassandra: a commit of no changes")
	}
	size := 0
	for i := range changes {
		if len(partition) > maxName || len(changes[i].Key) > maxName {
			return errors.New("cassandra: the name of a record is too long")
		}
		size += len(changes[i].Value)
	}
	if size > maxAppend {
		return errors.New("cassandra: too large a commit of records")
	}
	return nil
}

// CommitRecords implements store.Records.
func (s *Store) CommitRecords(ctx context.Context, partition string, changes []store.Change) error {
	if err := checkChanges(partition, changes); err != nil {
		return err
	}
	try, err := s.nonce()
	if err != nil {
		return err
	}
	part := partOf(partition)
	batch := func() *gocql.Batch {
		b := s.session.Batch(gocql.UnloggedBatch)
		for i := range changes {
			c := &changes[i]
			switch key := []byte(c.Key); {
			case c.Remove:
				b.Query(removeRecord, part, key, int64(c.Version))
			case c.Version == 0:
				b.Query(insertRecord, part, key, present(c.Value), try)
			default:
				b.Query(updateRecord, int64(c.Version)+1, present(c.Value), try, part, key, int64(c.Version))
			}
		}
		return b
	}
	// Of a commit that only removes, nothing of ours stays behind to be known
	// by: should its answer be lost, the outcome stays unknown.
	seen := &changes[0]
	for i := range changes {
		if !changes[i].Remove {
			seen = &changes[i]
		}
	}
	look := func(ctx context.Context) (verdict, error) {
		var mark []byte
		found, err := one(ctx, serially(s.session.Query(selectMine, part, []byte(seen.Key))), &mark)
		if found && bytes.Equal(mark, try) {
			return ours, err
		}
		return open, err
	}
	return s.call(ctx, func(ctx context.Context) error { return s.commit(ctx, batch, look) })
}

// present makes an empty value a value: the driver takes nil for null.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
