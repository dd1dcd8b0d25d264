package inbox

import (
	"context"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// wish is one personal change on its way to a row.
type wish struct {
	change  parley.PersonalChange
	refused error      // owned by the writer: why it cannot be granted
	answer  chan error // capacity one: what became of it
}

// end answers a wish whose news was written, or was not: err says why.
func (w *wish) end(err error) {
	if err != nil {
		err = coded("inbox.personal", err)
	} else {
		err = w.refused
	}
	w.answer <- err
}

// Personal changes user's own wishes for c and returns the row once that is
// durable. It is not_found when there is no row of c, too_large and
// bad_request as parley.Personal.Apply says, and then nothing changes. After
// any other error it may have been changed or not.
func (k *Keeper) Personal(ctx context.Context, user parley.UserID, c parley.ConversationID, change parley.PersonalChange) (parley.Row, error) {
	// What was told to a device before is in the row: it may be hidden.
	if _, err := k.Row(ctx, user, c); err != nil {
		return parley.Row{}, err
	}
	w := &wish{change: change, answer: make(chan error, 1)}
	if !k.note(user, func(b *box) (now time.Time) {
		n := b.newsOf(c)
		n.wishes = append(n.wishes, w)
		return now
	}) {
		return parley.Row{}, coded("inbox.personal", store.ErrClosed)
	}
	poke(k.urgent)
	select {
	case err := <-w.answer:
		if err != nil {
			return parley.Row{}, err
		}
	case <-ctx.Done():
		return parley.Row{}, ctx.Err()
	case <-k.done:
		return parley.Row{}, coded("inbox.personal", store.ErrClosed)
	}
	b, err := k.locked(ctx, user)
	if err != nil {
		return parley.Row{}, err
	}
	defer b.mu.Unlock()
	if r := b.rows[c]; r != nil {
		return *r, nil
	}
	return parley.Row{}, errNoRow("inbox.personal")
}

// grant makes the changes that n wishes for, each for itself.
func (n *news) grant(r *parley.Row) (changed bool) {
	for _, w := range n.wishes {
		did, err := r.Personal.Apply(w.change, r.Head)
		changed, w.refused = changed || did, err
	}
	return changed
}

func errNoRow(op string) error {
	return parley.E(parley.NotFound, op, "there is no such conversation, or you are not a member of it")
}
