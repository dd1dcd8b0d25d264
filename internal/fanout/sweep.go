package fanout

import (
	"context"
	"log/slog"
	"maps"

	parley "github.com/parley-im/parley"
)

// Marks is the dirty marks as the sweep uses them.
type Marks interface {
	DirtyAfter(ctx context.Context, of func(shard int) bool, c parley.ConversationID, limit int) ([]parley.ConversationID, error)
	Settle(ctx context.Context, c parley.ConversationID, head parley.Seq) error
	// Where returns the state (nil: none), the head, and the messages in 1..head.
	Where(ctx context.Context, c parley.ConversationID) (*parley.Conversation, parley.Seq, uint64, error)
}

// Resting is the owner of conversations: it is asked before a mark goes, and
// says whether one rests, and at which head.
type Resting interface {
	Rests(ctx context.Context, c parley.ConversationID) (head parley.Seq, ok bool)
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
		all := f.everywhere()
		heads := make(map[parley.ConversationID]parley.Seq, len(page))
		for _, c := range page {
			if heads[c], err = redo(ctx, all, marks, c); err != nil {
				return swept, err
			}
		}
		if err := all.Flush(ctx); err != nil {
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
func redo(ctx context.Context, all Inboxes, marks Marks, c parley.ConversationID) (parley.Seq, error) {
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
		all.Advance(m.User, parley.Advance{
			Conversation: c, Kind: state.Kind, Since: m.Since, Until: m.Until,
			From: head, Head: head, Count: count, Lazy: lazy,
		})
	}
	return head, nil
}

// Redo notes again all that was published and is not settled, and returns when
// it is durable: what another node noted may be gone with it. What a Settle
// has in hand just now is not settled yet.
func (f *Fanout) Redo(ctx context.Context, marks Marks) error {
	all := f.everywhere()
	for c := range f.unsettled() {
		if _, err := redo(ctx, all, marks, c); err != nil {
			return err
		}
	}
	return all.Flush(ctx)
}

func (f *Fanout) everywhere() Inboxes {
	if f.cfg.Everywhere != nil {
		return f.cfg.Everywhere()
	}
	return f.cfg.Inboxes
}

// unsettled returns what was published and is not settled.
func (f *Fanout) unsettled() map[parley.ConversationID]uint64 {
	f.settle.Lock()
	defer f.settle.Unlock()
	return maps.Clone(f.moved)
}

// rest takes note that c is settled, unless it moved since.
func (f *Fanout) rest(c parley.ConversationID, moves uint64) {
	f.settle.Lock()
	defer f.settle.Unlock()
	if f.moved[c] == moves {
		delete(f.moved, c)
	}
}

// Settle removes the dirty marks of conversations that are quiet, once their
// members' inboxes are durable. It is called now and then; a conversation that
// is busy keeps its mark until it rests.
func (f *Fanout) Settle(ctx context.Context, marks Marks, owner Resting) error {
	moved, all := f.unsettled(), f.everywhere()
	heads := make(map[parley.ConversationID]parley.Seq, len(moved))
	if err := f.quiet(ctx, all, marks, owner, moved, heads); err != nil {
		return err
	}
	if err := all.Flush(ctx); err != nil {
		return err
	}
	for c, head := range heads {
		// A conversation that moved since is still marked: the store compares
		// the head, and its append set the mark again.
		if err := marks.Settle(ctx, c, head); err != nil {
			f.cfg.Logger.Warn("dirty mark not settled", slog.Any("err", err))
			continue
		}
		f.rest(c, moved[c])
	}
	return nil
}

// quiet finds the heads at which those of moved that rest may be settled.
func (f *Fanout) quiet(ctx context.Context, all Inboxes, marks Marks, owner Resting, moved map[parley.ConversationID]uint64, heads map[parley.ConversationID]parley.Seq) error {
	for c := range moved {
		head, ok := owner.Rests(ctx, c)
		if !ok {
			continue
		}
		if f.cfg.Everywhere != nil {
			var err error
			if head, err = redo(ctx, all, marks, c); err != nil {
				return err
			}
		}
		heads[c] = head
	}
	return nil
}
