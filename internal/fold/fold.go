// Package fold reads entries as a reader may have them, with what later
// entries made of them: acts are entries that point at an earlier one, and
// nothing but reading brings the two together.
//
// There are two ways to read. A page of history is folded as of its head: the
// last edit's body, the reactions counted, whoever asks for old messages sees
// what became of them. A stream tells entries raw and in order, and the reader
// folds later acts onto earlier entries itself. In both, what was deleted has
// no body, and a number that is withheld from the reader says nothing but that
// it is there.
package fold

import (
	"cmp"
	"context"
	"slices"

	parley "github.com/parley-im/parley"
)

// Acts finds acts from what they point at.
type Acts interface {
	// Acts returns the acts that point at from..to, ascending by Target and
	// then by Seq. See store.Acts.
	Acts(ctx context.Context, c parley.ConversationID, from, to parley.Seq) ([]parley.Act, error)
}

// Log reads the bodies of edits.
type Log interface {
	// Read returns the entries after seq in order, at most limit. See
	// store.Log; one that returns fewer than there are is asked again.
	Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error)
}

// Folder folds the logs of a store. It holds nothing, and is safe for
// concurrent use.
type Folder struct {
	Acts Acts
	Log  Log
}

// Reader is who reads, and how much of the conversation: the numbers of a
// membership, and the head as of which a page is folded.
type Reader struct {
	User        parley.UserID
	Since, Head parley.Seq
	// Latest says that the log stood at Head when the reading began. Then no
	// act is missing from a page that ends there.
	Latest bool
}

// Gone is numbers whose content is deleted: messages, and the edits of them
// and reactions to them.
type Gone map[parley.Seq]bool

// Scrub returns e, an entry of a stream, as reader may have it. gone is what
// Deleted said of it; who knows by other means that nothing was deleted passes
// nil. The body of a deleted message that the store has erased is known to be
// so in any case. e itself is not changed.
func Scrub(reader parley.UserID, e parley.Entry, gone Gone) parley.Entry {
	switch {
	case e.WithheldFrom(reader):
		return withheld(&e)
	case gone[e.Seq] || erased(&e):
		e.Body, e.Fold = parley.Body{}, &parley.Fold{Deleted: true}
	}
	return e
}

// withheld is a number whose content the reader may not have.
func withheld(e *parley.Entry) parley.Entry {
	return parley.Entry{Conversation: e.Conversation, Seq: e.Seq, Kind: parley.KindWithheld, At: e.At, Count: e.Count}
}

// erased reports whether e had a body once and has it no more.
func erased(e *parley.Entry) bool {
	return (e.Kind == parley.KindMessage || e.Kind == parley.KindEdit) && e.Body.Type == ""
}

// Deleted returns which of entries, contiguous or not, say something that was
// deleted by the time of the call. It is the same for every reader.
func (f Folder) Deleted(ctx context.Context, c parley.ConversationID, entries []parley.Entry) (Gone, error) {
	acts, err := f.about(ctx, c, entries)
	return goneOf(entries, acts), err
}

// about returns the acts on all that entries say and add to.
func (f Folder) about(ctx context.Context, c parley.ConversationID, entries []parley.Entry) ([]parley.Act, error) {
	about := make([]parley.Seq, 0, len(entries))
	for i := range entries {
		if of, ok := subject(&entries[i]); ok {
			about = append(about, of)
		}
	}
	var all []parley.Act
	for _, run := range runs(about) {
		acts, err := f.Acts.Acts(ctx, c, run.From, run.To)
		if err != nil {
			return nil, err
		}
		all = append(all, acts...)
	}
	return all, nil
}

// goneOf returns which of entries say something that acts delete.
func goneOf(entries []parley.Entry, acts []parley.Act) Gone {
	deleted := make(map[parley.Seq]bool)
	for i := range acts {
		if acts[i].Kind == parley.KindDelete {
			deleted[acts[i].Target] = true
		}
	}
	gone := make(Gone)
	for i := range entries {
		if of, ok := subject(&entries[i]); ok && deleted[of] {
			gone[entries[i].Seq] = true
		}
	}
	return gone
}

// subject returns the message whose deletion takes e's content away: e itself,
// or what e adds to.
func subject(e *parley.Entry) (parley.Seq, bool) {
	switch e.Kind {
	case parley.KindMessage:
		return e.Seq, true
	case parley.KindEdit, parley.KindReaction:
		return e.Ref, true
	}
	return 0, false
}

// Page folds entries, one stretch of the log in either order and the caller's
// own, in place: for that reader, as of the reader's head. Acts beyond it are
// for the reader to fold, but for deletes, which always count. What the
// entries' slices hold is not changed.
func (f Folder) Page(ctx context.Context, c parley.ConversationID, r Reader, entries []parley.Entry) error {
	var acts []parley.Act
	var err error
	if r.Latest && holds(entries, r.Head) {
		acts = within(entries) // what points at an entry stands after it
	} else if acts, err = f.about(ctx, c, entries); err != nil {
		return err
	}
	if len(acts) == 0 {
		scrub(r, entries)
		return nil
	}
	gone := goneOf(entries, acts)
	folds, edits := folds(r, entries, acts)
	bodies, err := f.bodies(ctx, c, entries, edits)
	if err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		*e = Scrub(r.User, *e, gone)
		fold := folds[e.Seq]
		if fold == nil || e.Fold != nil || e.Kind != parley.KindMessage {
			continue // nothing, deleted, or withheld
		}
		if fold.Edited != 0 {
			e.Body = bodies[fold.Edited]
			if e.Body.Type == "" { // deleted since the acts were read
				fold = &parley.Fold{Deleted: true}
			}
		}
		e.Fold = fold
	}
	return nil
}

// holds reports whether a stretch of the log begins or ends at seq.
func holds(entries []parley.Entry, seq parley.Seq) bool {
	return len(entries) > 0 && (entries[0].Seq == seq || entries[len(entries)-1].Seq == seq)
}

// within returns the acts that stand among entries, as Acts.Acts does.
func within(entries []parley.Entry) (acts []parley.Act) {
	for i := range entries {
		if e := &entries[i]; e.Kind.IsAct() && 0 < e.Ref && e.Ref < e.Seq {
			acts = append(acts, parley.ActOf(e))
		}
	}
	slices.SortFunc(acts, func(a, b parley.Act) int { return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Seq, b.Seq)) })
	return acts
}

// Plain reports whether e reads the same for everybody, and does nothing to
// what another reads. Page leaves entries as they are that are plain and the
// last of a log.
func Plain(e *parley.Entry) bool {
	return len(e.Withheld) == 0 && !e.Kind.IsAct() && e.Fold == nil && !erased(e)
}

// scrub is Page where there are no acts, which is nearly everywhere.
func scrub(r Reader, entries []parley.Entry) {
	for i := range entries {
		if e := &entries[i]; !Plain(e) {
			*e = Scrub(r.User, *e, nil)
		}
	}
}

// folds works out what acts make of the messages among entries, and which
// edits they read with.
func folds(r Reader, entries []parley.Entry, acts []parley.Act) (folds map[parley.Seq]*parley.Fold, edits []parley.Seq) {
	messages := make(map[parley.Seq]bool, len(entries))
	for i := range entries {
		messages[entries[i].Seq] = entries[i].Kind == parley.KindMessage && !entries[i].WithheldFrom(r.User)
	}
	folds = make(map[parley.Seq]*parley.Fold)
	for len(acts) > 0 {
		target := acts[0].Target
		n := 1
		for n < len(acts) && acts[n].Target == target {
			n++
		}
		if messages[target] {
			if fold := foldOf(r, acts[:n]); fold != nil {
				folds[target] = fold
				if fold.Edited != 0 {
					edits = append(edits, fold.Edited)
				}
			}
		}
		acts = acts[n:]
	}
	return folds, edits
}

// foldOf is what the acts on one message make of it, nil if nothing.
func foldOf(r Reader, acts []parley.Act) *parley.Fold {
	var fold parley.Fold
	for i := range acts {
		a := &acts[i]
		if a.Kind == parley.KindDelete {
			return &parley.Fold{Deleted: true}
		}
		if a.Kind == parley.KindEdit && r.counts(a) {
			fold.Edited, fold.EditedAt = a.Seq, a.At
		}
	}
	fold.Reactions = reactions(r, acts, parley.MaxReactions, parley.MaxReactors)
	if fold.Edited == 0 && fold.Reactions == nil {
		return nil
	}
	return &fold
}

// counts reports whether the reader's page shows what a did.
func (r Reader) counts(a *parley.Act) bool {
	return a.Seq <= r.Head && !slices.Contains(a.Withheld, r.User)
}
