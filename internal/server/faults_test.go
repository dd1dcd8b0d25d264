package server_test

import (
	"context"
	"sync/atomic"

	"github.com/parley-im/parley/internal/store"
)

// inboxless is a store that is cut off from its inboxes while lost: what a
// crash between append and fan-out looks like.
type inboxless struct {
	store.Store
	lost atomic.Bool
}

func (s *inboxless) WriteInboxes(ctx context.Context, writes []*store.InboxWrite) error {
	if s.lost.Load() {
		return store.ErrUnavailable
	}
	return s.Store.WriteInboxes(ctx, writes)
}
