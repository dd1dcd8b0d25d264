package pebblestore

import (
	"context"

	"github.com/cockroachdb/pebble/v2"

	parley "github.com/parley-im/parley"
)

// Conversations implements store.Census.
func (s *Store) Conversations(ctx context.Context, after parley.ConversationID, limit int) ([]parley.ConversationID, error) {
	return census(ctx, s, "conversations", spaceEntry, after, limit, takeID[parley.ConversationID], appendID[parley.ConversationID])
}

// Users implements store.Census.
func (s *Store) Users(ctx context.Context, after parley.UserID, limit int) ([]parley.UserID, error) {
	return census(ctx, s, "users", spacePos, after, limit, takeID[parley.UserID], appendID[parley.UserID])
}

// Partitions implements store.Census.
func (s *Store) Partitions(ctx context.Context, after string, limit int) ([]string, error) {
	take := func(b []byte) (string, []byte, error) {
		p, rest, err := takeBytes(b)
		return string(p), rest, err
	}
	return census(ctx, s, "partitions", spaceRecord, after, limit, take, appendString)
}

// census lists the names that keys of a space begin with, in the order of the
// keys: one seek for each name, over however many keys share it. The empty
// name stands before the first and is not listed.
func census[N ~string](ctx context.Context, s *Store, what string, space byte, after N, limit int,
	take func([]byte) (N, []byte, error), write func([]byte, N) []byte) (out []N, err error) {
	err = s.read(ctx, func(v *view) error {
		out = nil
		it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{space}, UpperBound: []byte{space + 1}})
		if err != nil {
			return readErr(what, err)
		}
		prefix := write([]byte{space}, after)
		for len(out) < limit && it.SeekGE(upperBound(prefix)) {
			name, _, e := take(it.Key()[1:])
			if e != nil {
				err = corrupt(what, e)
				break
			}
			out = append(out, name)
			prefix = write(prefix[:1], name)
		}
		if e := it.Error(); err == nil && e != nil {
			err = readErr(what, e)
		}
		if e := it.Close(); err == nil && e != nil {
			err = readErr(what, e)
		}
		return err
	})
	return out, err
}
