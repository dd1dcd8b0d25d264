package session

import (
	"context"

	parley "github.com/parley-im/parley"
)

// Poll is the inbox for devices that ask instead of staying connected. It
// holds nothing between two questions, and reads what a Session reads.
type Poll struct {
	Inboxes Inboxes
	Fanout  Fanout
	Epoch   parley.Epoch
}

// Page is one stretch of an inbox, ascending by position.
type Page struct {
	Rows    []parley.Row
	Entries []parley.Entry // of those rows, as far as they fit: contiguous per conversation
	Cursor  parley.Cursor  // where the device stands once it stored all this
	More    bool           // there is more now: ask again at once
	Resync  bool           // the cursor was not good; this reads from nothing
}

// Sync returns what changed after cursor, at most limit rows. A nil cursor
// reads from nothing; one that is not good (another epoch, ahead of the
// inbox) is answered from nothing, with Resync set. What was acknowledged to
// any device of the user before the call is in it, or after it.
func (p Poll) Sync(ctx context.Context, user parley.UserID, cursor *parley.Cursor, limit int) (Page, error) {
	page := Page{Cursor: parley.Cursor{Epoch: p.Epoch}}
	if cursor != nil && cursor.Epoch == p.Epoch {
		page.Cursor = *cursor
	} else {
		page.Resync = cursor != nil
	}
	rows, now, err := p.Inboxes.After(ctx, user, page.Cursor.Pos, limit)
	if err != nil {
		return Page{}, err
	}
	if page.Cursor.Pos > now {
		page.Cursor, page.Resync = parley.Cursor{Epoch: p.Epoch}, true
		if rows, now, err = p.Inboxes.After(ctx, user, 0, limit); err != nil {
			return Page{}, err
		}
	}
	left := maxResume
	for i := range rows {
		r := &rows[i]
		had, known := r.HeadFor(page.Cursor)
		if !known || had >= r.Head || r.Head-had > maxBehind || int(r.Head-had) > left {
			continue
		}
		told, err := p.Fanout.Read(ctx, r.Conversation, had, int(r.Head-had))
		if err != nil {
			return Page{}, err
		}
		left -= len(told)
		page.Entries = append(page.Entries, entriesOf(user, told)...)
	}
	page.Rows = rows
	if n := len(rows); n > 0 {
		page.Cursor.Lag += rows[n-1].Pos - page.Cursor.Pos
		page.Cursor.Pos = rows[n-1].Pos
	}
	if page.More = page.Cursor.Pos < now; !page.More {
		page.Cursor.Lag = 0
	}
	return page, nil
}

// Wait returns when there may be something after cursor: at once if there is,
// and also when in doubt; ctx's error when ctx ends first.
func (p Poll) Wait(ctx context.Context, user parley.UserID, cursor parley.Cursor) error {
	w := &waiter{news: make(chan struct{}, 1)}
	stop := p.Fanout.Watch(user, w)
	defer stop()
	// Watch before reading: news in between is read or told.
	_, now, err := p.Inboxes.After(ctx, user, cursor.Pos, 1)
	if err != nil {
		return err
	}
	if cursor.Epoch != p.Epoch || now != cursor.Pos || cursor.Lag != 0 {
		return nil
	}
	select {
	case <-w.news:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waiter implements fanout.Watcher for one poll.
type waiter struct{ news chan struct{} }

func (w *waiter) wake() {
	select {
	case w.news <- struct{}{}:
	default: // it has been told already
	}
}

// Nudge implements fanout.Watcher.
func (w *waiter) Nudge(parley.ConversationID, parley.Seq) { w.wake() }

// Changed implements fanout.Watcher.
func (w *waiter) Changed() { w.wake() }

// Revoked implements fanout.Watcher; the next poll is refused by its token.
func (w *waiter) Revoked(parley.DeviceID) { w.wake() }

// Keep implements fanout.Watcher, as Revoked does.
func (w *waiter) Keep([]parley.DeviceID) { w.wake() }

// Lead implements fanout.Watcher: a poll is over soon anyway.
func (w *waiter) Lead(string) {}
