package memstore

import (
	"cmp"
	"context"
	"slices"

	parley "github.com/parley-im/parley"
)

// Conversations implements store.Census.
func (s *Store) Conversations(ctx context.Context, after parley.ConversationID, limit int) (out []parley.ConversationID, err error) {
	err = s.read(ctx, func() {
		for c, conv := range s.conversations {
			if len(conv.entries) > 0 {
				out = append(out, c)
			}
		}
		out = page(out, after, limit)
	})
	return out, err
}

// Users implements store.Census.
func (s *Store) Users(ctx context.Context, after parley.UserID, limit int) (out []parley.UserID, err error) {
	err = s.read(ctx, func() {
		for u := range s.inboxes {
			out = append(out, u)
		}
		out = page(out, after, limit)
	})
	return out, err
}

// Partitions implements store.Census.
func (s *Store) Partitions(ctx context.Context, after string, limit int) (out []string, err error) {
	err = s.read(ctx, func() {
		for p, records := range s.records {
			if len(records) > 0 {
				out = append(out, p)
			}
		}
		out = page(out, after, limit)
	})
	return out, err
}

// page returns the names after one, ascending, at most limit.
func page[N cmp.Ordered](names []N, after N, limit int) []N {
	names = slices.DeleteFunc(names, func(n N) bool { return n <= after })
	slices.Sort(names)
	return names[:min(max(limit, 0), len(names))]
}
