package cassandra

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// The statements of inbox. The position is the partition's fence; its rows
// are never removed and never expire, so that the condition reads one row.
const (
	updatePos   = `UPDATE inbox SET pos = ?, try = ? WHERE owner = ? IF pos = ?`
	insertRow   = `INSERT INTO inbox (owner, conversation, value) VALUES (?, ?, ?)`
	selectPos   = `SELECT pos, try FROM inbox WHERE owner = ? LIMIT 1`
	selectInbox = `SELECT pos, conversation, value FROM inbox WHERE owner = ?`
)

// inboxesAtOnce bounds how many users' writes are under way at the same time.
const inboxesAtOnce = 64

// errTorn: an inbox changed between two of its pages.
var errTorn = errors.New("cassandra: an inbox was written while it was read")

// LoadInbox implements store.Inboxes.
func (s *Store) LoadInbox(ctx context.Context, u parley.UserID) (in store.Inbox, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		if u == "" {
			return nil
		}
		return s.persist(ctx, func(ctx context.Context) error {
			in, err = s.loadInbox(ctx, u)
			return err
		})
	})
	return in, err
}

func (s *Store) loadInbox(ctx context.Context, u parley.UserID) (in store.Inbox, err error) {
	rows := s.session.Query(selectInbox, string(u)).IterContext(ctx).Scanner()
	for rows.Next() {
		var pos int64
		var c string
		var value []byte
		if err := rows.Scan(&pos, &c, &value); err != nil {
			return store.Inbox{}, errors.Join(err, rows.Err())
		}
		row, err := decodeRow(value)
		if err != nil {
			return store.Inbox{}, errors.Join(corrupt("a row of an inbox", err), rows.Err())
		}
		row.Conversation = parley.ConversationID(c)
		if len(in.Rows) > 0 && in.Pos != parley.Pos(pos) || row.Pos > parley.Pos(pos) {
			return store.Inbox{}, errors.Join(errTorn, rows.Err())
		}
		in.Pos, in.Rows = parley.Pos(pos), append(in.Rows, row)
	}
	if err := rows.Err(); err != nil {
		return store.Inbox{}, err
	}
	slices.SortFunc(in.Rows, func(a, b parley.Row) int { return cmp.Compare(a.Pos, b.Pos) })
	return in, nil
}

func checkInboxWrite(w *store.InboxWrite) error {
	if w.User == "" || len(w.User) > parley.MaxID || len(w.Rows) == 0 {
		return errors.New("cassandra: an inbox write without a user or without rows")
	}
	given := map[parley.Pos]bool{}
	for i := range w.Rows {
		pos := w.Rows[i].Pos
		if pos <= w.Base || given[pos] {
			return fmt.Errorf("cassandra: position %d above base %d is not a row's own", pos, w.Base)
		}
		if err := checkConversation(w.Rows[i].Conversation); err != nil {
			return err
		}
		given[pos] = true
	}
	return nil
}

// WriteInboxes implements store.Inboxes. Each user's write is a batch of its
// own; several of one user follow each other.
func (s *Store) WriteInboxes(ctx context.Context, writes []*store.InboxWrite) error {
	users := map[parley.UserID][]*store.InboxWrite{}
	for _, w := range writes {
		w.Err = nil
		if err := checkInboxWrite(w); err != nil {
			return err
		}
		users[w.User] = append(users[w.User], w)
	}
	return s.call(ctx, func(ctx context.Context) error {
		err := s.writeUsers(ctx, users)
		if err != nil {
			for _, w := range writes {
				w.Err = nil
			}
		}
		return err
	})
}

// writeUsers returns the first failure, after which it begins nothing new.
func (s *Store) writeUsers(ctx context.Context, users map[parley.UserID][]*store.InboxWrite) error {
	var wg sync.WaitGroup
	free := make(chan struct{}, inboxesAtOnce)
	failed := make(chan error, 1) // the first failure
	for _, mine := range users {
		free <- struct{}{}
		if len(failed) > 0 {
			break
		}
		wg.Go(func() {
			defer func() { <-free }()
			if err := s.writeUser(ctx, mine); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (s *Store) writeUser(ctx context.Context, mine []*store.InboxWrite) error {
	for _, w := range mine {
		err := s.writeInbox(ctx, w)
		if errors.Is(err, store.ErrConflict) {
			w.Err, err = err, nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) writeInbox(ctx context.Context, w *store.InboxWrite) error {
	try, err := s.nonce()
	if err != nil {
		return err
	}
	pos := w.Base
	values := make([][]byte, len(w.Rows))
	for i := range w.Rows {
		pos, values[i] = max(pos, w.Rows[i].Pos), encodeRow(&w.Rows[i])
	}
	var base any // null: nothing was written yet
	if w.Base > 0 {
		base = int64(w.Base)
	}
	batch := func() *gocql.Batch {
		b := s.session.Batch(gocql.UnloggedBatch)
		b.Query(updatePos, int64(pos), try, string(w.User), base)
		for i := range w.Rows {
			b.Query(insertRow, string(w.User), string(w.Rows[i].Conversation), values[i])
		}
		return b
	}
	look := func(ctx context.Context) (verdict, error) {
		var now *int64
		var mark []byte
		found, err := one(ctx, serially(s.session.Query(selectPos, string(w.User))), &now, &mark)
		switch stands := parley.Pos(seqOf(now)); {
		case err != nil || !found:
			return open, err
		case bytes.Equal(mark, try):
			return ours, nil
		case stands > w.Base && stands < pos:
			return theirs, nil // positions only grow: ours was never reached
		default:
			return open, nil
		}
	}
	return s.commit(ctx, batch, look)
}
