package memstore

import (
	"errors"
	"fmt"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// The checks of what callers owe. A violation is a bug of the caller: the
// error is none of the contract's, and nothing is written.

func checkAppend(a store.Append) error {
	if len(a.Entries) == 0 {
		return errors.New("memstore: an append without entries")
	}
	if room := store.Room(a.Base); len(a.Entries) > room {
		return fmt.Errorf("memstore: %d entries after %d, where %d fit into the bucket", len(a.Entries), a.Base, room)
	}
	for i := range a.Entries {
		if want := a.Base + parley.Seq(i) + 1; a.Entries[i].Seq != want {
			return fmt.Errorf("memstore: an entry numbered %d where %d belongs", a.Entries[i].Seq, want)
		}
	}
	return nil
}

func checkInboxWrite(w *store.InboxWrite) error {
	if len(w.Rows) == 0 {
		return errors.New("memstore: an inbox write without rows")
	}
	seen := make(map[parley.Pos]bool, len(w.Rows))
	for i := range w.Rows {
		p := w.Rows[i].Pos
		if p <= w.Base || seen[p] {
			return fmt.Errorf("memstore: a row at position %d, which is not above base %d or not its own", p, w.Base)
		}
		seen[p] = true
	}
	return nil
}

func checkChanges(changes []store.Change) error {
	if len(changes) == 0 {
		return errors.New("memstore: a commit without changes")
	}
	return nil
}
