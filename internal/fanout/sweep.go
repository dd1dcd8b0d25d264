package fanout

import (
	"context"
	"log/slog"

	parley "github.com/parley-im/parley"
)

// Marks is the dirty marks as the sweep uses them.
type Marks interface {
	DirtyAfter(ctx context.Context, of func(shard int) bool, c parley.ConversationID, limit int) ([]parley.ConversationID, error)
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

// Sweep takes every conversation of the shards that of reports true for (nil:
// all) that a crash left between append and inbox to its members' inboxes. It
// is idempotent, and returns how many conversations it swept.
func (f *Fanout) Sweep(ctx context.Context, marks Marks, of func(shard int) bool) (int, error) {
	swept := 0
	var after parley.ConversationID
	for {
		page, err := marks.DirtyAfter(ctx, of, after, sweepPage)
		if err != nil || len(page) == 0 {
			return swept, err
		}
		heads := make(map[parley.ConversationID]parley.Seq, len(page))
		for _, c := range page {
			if heads[c], err = f.redo(ctx, marks, c); err != nil {
				return swept, err
			}
		}
		if err := f.everywhere().Flush(ctx); err != nil {
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

// redo notes where c stands in every member's inbox, and returns the head.
func (f *Fanout) redo(ctx context.Context, marks Marks, c parley.ConversationID) (parley.Seq, error) {
	state, head, count, err := marks.Where(ctx, c)
	if err != nil || state == nil {
		return head, err
	}
	lazy := Lazy(state)
	for i := range state.Members {
		m := &state.Members[i]
		// From is the head: nothing is known of the entries between the row
		// and the head, so the inbox reads them from the log, as far as the
		// membership goes.
		f.everywhere().Advance(m.User, parley.Advance{
			Conversation: c, Kind: state.Kind, Since: m.Since, Until: m.Until,
			From: head, Head: head, Count: count, Lazy: lazy,
		})
	}
	return head, nil
}

// Redo notes again all that was published since it was last settled, and
// returns when it is durable: what another node noted may be gone with it.
func (f *Fanout) Redo(ctx context.Context, marks Marks) error {
	f.settle.Lock()
	moved := make([]parley.ConversationID, 0, len(f.moved))
	for c := range f.moved {
		moved = append(moved, c)
	}
	f.settle.Unlock()
	for _, c := range moved {
		if _, err := f.redo(ctx, marks, c); err != nil {
			return err
		}
	}
	return f.everywhere().Flush(ctx)
}

func (f *Fanout) everywhere() Inboxes {
	if f.cfg.Everywhere != nil {
		return f.cfg.Everywhere
	}
	return f.cfg.Inboxes
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
	err := f.quiet(ctx, marks, owner, moved, heads)
	if err == nil {
		err = f.everywhere().Flush(ctx)
	}
	if err != nil {
		for c := range moved {
			f.Moved(c)
		}
		return err
	}
	for c, head := range heads {
		// A conversation that moved since is still marked: the store compares
		// the head, and its append set the mark again.
		if err := marks.Settle(ctx, c, head); err != nil {
			f.Moved(c)
			f.cfg.Logger.Warn("dirty mark not settled", slog.Any("err", err))
		}
	}
	return nil
}

// quiet finds the heads at which those of moved that rest may be settled.
func (f *Fanout) quiet(ctx context.Context, marks Marks, owner Unmarker, moved map[parley.ConversationID]struct{}, heads map[parley.ConversationID]parley.Seq) error {
	for c := range moved {
		head, ok := owner.Unmark(ctx, c)
		if !ok {
			f.Moved(c)
			continue
		}
		if f.cfg.Everywhere != nil {
			var err error
			if head, err = f.redo(ctx, marks, c); err != nil {
				return err
			}
		}
		heads[c] = head
	}
	return nil
}
