package fanout

import (
	"context"
	"log/slog"

	parley "github.com/parley-im/parley"
)

// Marks is the dirty marks as the sweep uses them.
type Marks interface {
	DirtyAfter(ctx context.Context, c parley.ConversationID, limit int) ([]parley.ConversationID, error)
	Settle(ctx context.Context, c parley.ConversationID, head parley.Seq) error
	// Where returns the state (nil: none), the head, and the messages in 1..head.
	Where(ctx context.Context, c parley.ConversationID) (*parley.Conversation, parley.Seq, uint64, error)
}

// Unmarker is the owner of conversations: it is asked before a mark goes.
type Unmarker interface {
	Unmark(ctx context.Context, c parley.ConversationID) (parley.Seq, bool)
}

// sweepPage is how many marked conversations are swept between two flushes.
const sweepPage = 256

// Sweep takes every conversation that a crash left between append and inbox
// to its members' inboxes. It is idempotent, runs before the node serves, and
// returns how many conversations it swept.
func (f *Fanout) Sweep(ctx context.Context, marks Marks) (int, error) {
	swept := 0
	var after parley.ConversationID
	for {
		page, err := marks.DirtyAfter(ctx, after, sweepPage)
		if err != nil || len(page) == 0 {
			return swept, err
		}
		heads := make(map[parley.ConversationID]parley.Seq, len(page))
		for _, c := range page {
			state, head, count, err := marks.Where(ctx, c)
			if err != nil {
				return swept, err
			}
			heads[c] = head
			if state == nil {
				continue
			}
			for i := range state.Members {
				m := &state.Members[i]
				// From is the head: nothing is known of the entries between
				// the row and the head, so the inbox reads them from the log.
				f.cfg.Inboxes.Advance(m.User, parley.Advance{
					Conversation: c, Kind: state.Kind, Since: m.Since, Until: m.Until,
					From: head, Head: head, Count: count,
				})
			}
		}
		if err := f.cfg.Inboxes.Flush(ctx); err != nil {
			return swept, err
		}
		for c, head := range heads {
			if err := marks.Settle(ctx, c, head); err != nil {
				return swept, err
			}
		}
		swept += len(page)
		after = page[len(page)-1]
	}
}

// Settle removes the dirty marks of conversations that have been quiet since
// the call before, once their members' inboxes are durable. It is called now
// and then; a conversation that is busy keeps its mark until it rests.
func (f *Fanout) Settle(ctx context.Context, marks Marks, owner Unmarker) error {
	f.settle.Lock()
	moved := f.moved
	f.moved = make(map[parley.ConversationID]struct{})
	f.settle.Unlock()

	heads := make(map[parley.ConversationID]parley.Seq, len(moved))
	for c := range moved {
		if head, ok := owner.Unmark(ctx, c); ok {
			heads[c] = head
		} else {
			f.remember(c)
		}
	}
	if err := f.cfg.Inboxes.Flush(ctx); err != nil {
		for c := range heads {
			f.remember(c)
		}
		return err
	}
	for c, head := range heads {
		// A conversation that moved since is still marked: the store compares
		// the head, and its append set the mark again.
		if err := marks.Settle(ctx, c, head); err != nil {
			f.remember(c)
			f.cfg.Logger.Warn("dirty mark not settled", slog.Any("err", err))
		}
	}
	return nil
}

func (f *Fanout) remember(c parley.ConversationID) {
	f.settle.Lock()
	f.moved[c] = struct{}{}
	f.settle.Unlock()
}
