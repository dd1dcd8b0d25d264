package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Where a store says what is being done to it.
const (
	markPartition = "migrate"
	markKey       = "state"
)

// The states of a store. They are on disk.
const (
	copying = "copying" // it is the target of a copy that has not finished
	moved   = "moved"   // its content was taken elsewhere
)

// mark is what a store says of its part in a move. The zero mark is a store
// that has none.
type mark struct {
	State string `json:"state"`
	To    string `json:"to,omitempty"` // moved: where, in words for the operator
}

func readMark(ctx context.Context, r store.Records) (mark, error) {
	m, _, err := loadMark(ctx, r)
	return m, err
}

func loadMark(ctx context.Context, r store.Records) (m mark, version uint64, err error) {
	rec, err := r.GetRecord(ctx, markPartition, markKey)
	if err != nil || rec.Version == 0 {
		return mark{}, 0, err
	}
	if err := json.Unmarshal(rec.Value, &m); err != nil {
		return mark{}, 0, fmt.Errorf("%w: the mark of a move: %v", store.ErrCorrupt, err)
	}
	return m, rec.Version, nil
}

// writeMark replaces the mark of a store; the zero mark removes it.
func writeMark(ctx context.Context, r store.Records, m mark) error {
	had, version, err := loadMark(ctx, r)
	if err != nil || had == m {
		return err
	}
	change := store.Change{Key: markKey, Version: version, Remove: m == mark{}}
	if !change.Remove {
		if change.Value, err = json.Marshal(m); err != nil {
			return err
		}
	}
	return r.CommitRecords(ctx, markPartition, []store.Change{change})
}

// Unfinished returns nil when a server may start on the store that r belongs
// to, and otherwise an error that says in a sentence why not and what to do.
func Unfinished(ctx context.Context, r store.Records) error {
	m, err := readMark(ctx, r)
	if err != nil {
		return failed("read whether the store was moved", err)
	}
	switch m.State {
	case "":
		return nil
	case copying:
		return refuse("this store is a copy that has not finished, and lacks what was not copied yet; run the same parley migrate again, which goes on where it stopped")
	case moved:
		return refuse("this store was moved to %s, and what has been said since is there and not here; serve that one. To give that up and serve what was here, run parley migrate --reopen", m.To)
	default:
		return refuse("this store was marked %q by a newer version of Parley; run that version", m.State)
	}
}

// Seal marks a source as moved to a place, in words for the operator: no
// server starts on it any more. Nothing may serve it when it is called.
func Seal(ctx context.Context, source store.Records, to string) error {
	return remark(ctx, source, mark{State: moved, To: to})
}

// Reopen takes back what Seal did. It refuses an unfinished copy.
func Reopen(ctx context.Context, source store.Records) error {
	m, err := readMark(ctx, source)
	if err != nil {
		return failed("read the store", err)
	}
	if m.State == copying {
		return refuse("this store is a copy that has not finished; serve the store it was copied from")
	}
	return remark(ctx, source, mark{})
}

func remark(ctx context.Context, r store.Records, m mark) error {
	return retry(ctx, "mark the store", func() (bool, error) { return false, writeMark(ctx, r, m) })
}

// How often a write of unknown outcome is looked at again, and how long after.
const (
	tries    = 10
	patience = 200 * time.Millisecond // after the first; as much more after each
)

// retry repeats do, which begins by reading how far it is and says whether it
// got any further, while the store does not say what became of a write.
func retry(ctx context.Context, at string, do func() (moved bool, err error)) error {
	for i := 1; ; i++ {
		moved, err := do()
		if err == nil {
			return nil
		}
		if errors.Is(err, store.ErrFull) {
			return &parley.Error{Code: parley.StorageFull, Op: "migrate", Err: err,
				Detail: "the disk of the store to copy into is full; make room and run the same command again, which goes on where it stopped"}
		}
		if moved {
			i = 1
		}
		again := errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrConflict)
		if !again || i == tries || ctx.Err() != nil {
			return failed(at, err)
		}
		t := time.NewTimer(time.Duration(i) * patience)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return failed(at, context.Cause(ctx))
		}
	}
}
