package migrate

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Deletes carries the deletes that from knows of into to, a restored backup of
// it, so that what was deleted since does not come back. A delete is appended
// again, with the id that it had, and what it deleted is erased; the sweep of
// the next start takes it to the inboxes. An entry that is not the same in both
// is left as it is. Nothing may serve either of the two. It may be repeated, and
// returns how many deletes to lacked.
func Deletes(ctx context.Context, from, to store.Store) (n uint64, err error) {
	var lacked atomic.Uint64
	err = each(ctx, 16, to.Conversations, func(ctx context.Context, id parley.ConversationID) error {
		h, err := to.Load(ctx, id)
		if err != nil {
			return err
		}
		for first := parley.Seq(1); first <= h.Seq; first += store.BucketSize {
			d := deletes{from: from, to: to, id: id}
			n, err := d.carry(ctx, first, min(first+store.BucketSize-1, h.Seq))
			lacked.Add(uint64(n))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return lacked.Load(), failed("carry deletes over", err)
}

// deletes carries those of one conversation.
type deletes struct {
	from, to store.Store
	id       parley.ConversationID
}

// carry is about the messages first..last, which to has.
func (d *deletes) carry(ctx context.Context, first, last parley.Seq) (n int, err error) {
	made, err := deletesOn(ctx, d.from, d.id, first, last)
	if err != nil || len(made) == 0 {
		return 0, err
	}
	had, err := d.to.Acts(ctx, d.id, first, last)
	if err != nil {
		return 0, err
	}
	for _, made := range made {
		same, err := d.same(ctx, made.Target)
		if err != nil {
			return n, err
		}
		if !same {
			continue
		}
		bodies, deleted := []parley.Seq{made.Target}, false
		for _, a := range had {
			if a.Target == made.Target {
				deleted = deleted || a.Kind == parley.KindDelete
				bodies = append(bodies, a.Seq)
			}
		}
		if !deleted {
			if err := d.again(ctx, made.Seq); err != nil {
				return n, err
			}
			n++
		}
		if err := d.to.Erase(ctx, d.id, bodies); err != nil {
			return n, err
		}
	}
	return n, nil
}

// deletesOn returns the first delete of each of those messages, in the order in
// which they were made.
func deletesOn(ctx context.Context, s store.Store, id parley.ConversationID, first, last parley.Seq) ([]parley.Act, error) {
	acts, err := s.Acts(ctx, id, first, last)
	acts = slices.DeleteFunc(acts, func(a parley.Act) bool { return a.Kind != parley.KindDelete })
	acts = slices.CompactFunc(acts, func(a, b parley.Act) bool { return a.Target == b.Target })
	slices.SortFunc(acts, func(a, b parley.Act) int { return cmp.Compare(a.Seq, b.Seq) })
	return acts, err
}

// same reports whether both have the same entry with that number.
func (d *deletes) same(ctx context.Context, seq parley.Seq) (bool, error) {
	a, err := d.from.Read(ctx, d.id, seq-1, 1)
	if err != nil {
		return false, err
	}
	b, err := d.to.Read(ctx, d.id, seq-1, 1)
	if err != nil || len(a) != 1 || len(b) != 1 {
		return false, err
	}
	a[0].Body, b[0].Body = parley.Body{}, parley.Body{}
	return differ(a[0], b[0]) == "", nil
}

// again appends the entry of a delete at the head.
func (d *deletes) again(ctx context.Context, seq parley.Seq) error {
	made, err := d.from.Read(ctx, d.id, seq-1, 1)
	if err != nil {
		return err
	}
	h, err := d.to.Load(ctx, d.id)
	if err != nil {
		return err
	}
	if len(made) != 1 {
		return store.ErrCorrupt
	}
	made[0].Seq, made[0].Count = h.Seq+1, h.Count
	return d.to.Append(ctx, store.Append{Conversation: d.id, Base: h.Seq, Entries: made})
}
