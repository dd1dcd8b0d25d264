package inbox

import (
	"context"
	"sync"
	"sync/atomic"

	parley "github.com/parley-im/parley"
)

// readersAtOnce bounds the inboxes that one call of Receipts reads at a time.
const readersAtOnce = 8

// receipt is what the others may know of a row.
func receipt(user parley.UserID, r *parley.Row) parley.Receipt {
	// What was read was delivered, whatever moved the marker.
	return parley.Receipt{Conversation: r.Conversation, User: user, Delivered: max(r.Delivered, r.Read), Read: r.Read}
}

// Receipts returns how far those of users have got in c whose rows could be
// read before ctx ended, in any order; whoever has no row of c is left out.
// It tells what is durable, without waiting for what is noted.
func (k *Keeper) Receipts(ctx context.Context, c parley.ConversationID, users []parley.UserID) []parley.Receipt {
	var next atomic.Int64
	var mu sync.Mutex
	var found []parley.Receipt
	var reading sync.WaitGroup
	for range min(readersAtOnce, len(users)) {
		reading.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(users) && ctx.Err() == nil; i = next.Add(1) - 1 {
				r, ok := k.receiptOf(ctx, c, users[i])
				if !ok {
					continue
				}
				mu.Lock()
				found = append(found, r)
				mu.Unlock()
			}
		})
	}
	reading.Wait()
	return found
}

func (k *Keeper) receiptOf(ctx context.Context, c parley.ConversationID, user parley.UserID) (parley.Receipt, bool) {
	b, err := k.locked(ctx, user)
	if err != nil {
		return parley.Receipt{}, false
	}
	defer b.mu.Unlock()
	r := b.rows[c]
	if r == nil {
		return parley.Receipt{}, false
	}
	return receipt(user, r), true
}
