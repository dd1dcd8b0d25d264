package cassandra

import (
	"context"
	"errors"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	parley "github.com/parley-im/parley"
)

// The statements of the census. Its order is that of tokens, which is how
// Cassandra spreads partitions; two names with the same token of 64 bits could
// fall on both sides of a page's end and one be missed, which is to be
// expected once in 10^18 pages.
const (
	firstLogs  = `SELECT DISTINCT conversation, bucket FROM log`
	nextLogs   = firstLogs + ` WHERE token(conversation, bucket) > token(?, ?)`
	firstUsers = `SELECT DISTINCT owner FROM inbox`
	nextUsers  = firstUsers + ` WHERE token(owner) > token(?)`
	firstParts = `SELECT DISTINCT part FROM record`
	nextParts  = firstParts + ` WHERE token(part) > token(?)`
)

// censusPage is how many partitions are fetched at once.
const censusPage = 500

// Conversations implements store.Census.
func (s *Store) Conversations(ctx context.Context, after parley.ConversationID, limit int) ([]parley.ConversationID, error) {
	q := s.session.Query(firstLogs)
	if after != "" {
		q = s.session.Query(nextLogs, string(after), int64(0))
	}
	return census(ctx, s, q, limit, func(row gocql.Scanner) (parley.ConversationID, bool, error) {
		var c string
		var b int64
		err := row.Scan(&c, &b)
		return parley.ConversationID(c), b == 0, err // every log has a first bucket
	})
}

// Users implements store.Census.
func (s *Store) Users(ctx context.Context, after parley.UserID, limit int) ([]parley.UserID, error) {
	q := s.session.Query(firstUsers)
	if after != "" {
		q = s.session.Query(nextUsers, string(after))
	}
	return census(ctx, s, q, limit, func(row gocql.Scanner) (parley.UserID, bool, error) {
		var u string
		err := row.Scan(&u)
		return parley.UserID(u), true, err
	})
}

// Partitions implements store.Census. The empty name, which begins a census
// rather than goes on with one, is not told.
func (s *Store) Partitions(ctx context.Context, after string, limit int) ([]string, error) {
	q := s.session.Query(firstParts)
	if after != "" {
		q = s.session.Query(nextParts, partOf(after))
	}
	return census(ctx, s, q, limit, func(row gocql.Scanner) (string, bool, error) {
		var part []byte
		err := row.Scan(&part)
		return string(part[min(1, len(part)):]), len(part) > 1, err
	})
}

// census takes names off a query until limit. The query is read page by page;
// each page has a call's time.
func census[T any](ctx context.Context, s *Store, q *gocql.Query, limit int, take func(gocql.Scanner) (T, bool, error)) (out []T, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		var state []byte
		for limit > len(out) {
			var page []T
			var next []byte
			err := s.persist(ctx, func(ctx context.Context) error {
				page = page[:0]
				iter := q.PageSize(censusPage).PageState(state).IterContext(ctx)
				next = iter.PageState()
				rows := iter.Scanner()
				for rows.Next() {
					name, counts, err := take(rows)
					if err != nil {
						return errors.Join(err, rows.Err())
					}
					if counts {
						page = append(page, name)
					}
				}
				return rows.Err()
			})
			if err != nil {
				return err
			}
			out = append(out, page...)
			if len(next) == 0 {
				return nil
			}
			state = next
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out[:min(len(out), max(limit, 0))], nil
}
