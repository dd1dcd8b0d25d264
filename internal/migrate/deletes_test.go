package migrate_test

import (
	"fmt"
	"slices"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/migrate"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// TestDeletesAfterTheBackup: a message that was deleted after a backup stays
// deleted when that is restored beside the store it was made of, whatever was
// said in both since. It kills a restore that brings content back, and one that
// takes the message of another life for the deleted one.
func TestDeletesAfterTheBackup(t *testing.T) {
	lived, restored := memstore.New(), memstore.New()
	old, back := newSource(t, lived, 20), newSource(t, restored, 20)
	for _, w := range []*source{old, back} { // up to the backup, the same
		for seq := parley.Seq(1); seq <= 9; seq++ {
			w.add("c", parley.KindMessage, 0, fmt.Sprint("text ", seq))
			w.add("d", parley.KindMessage, 0, fmt.Sprint("text ", seq))
		}
		w.add("c", parley.KindEdit, 3, "edited")
		w.add("c", parley.KindDelete, 1, "")
		w.must(w.s.Erase(t.Context(), "c", []parley.Seq{1}))
	}
	// The store lived on.
	later := old.add("c", parley.KindMessage, 0, "said after the backup")
	old.add("c", parley.KindDelete, later, "")
	edit := old.add("c", parley.KindEdit, 5, "edited after the backup")
	made := old.add("c", parley.KindDelete, 5, "")
	old.add("c", parley.KindDelete, 3, "") // and nothing erased it
	w := old.add("d", parley.KindMessage, 0, "text of the first life")
	old.add("d", parley.KindDelete, w, "")
	old.must(lived.Erase(t.Context(), "c", []parley.Seq{later, edit, 5}))
	// And so did the backup, a little, with other messages under the numbers.
	back.ids = "x"
	back.add("d", parley.KindMessage, 0, "text of the second life")

	for i, want := range []uint64{2, 0} {
		if n, err := migrate.Deletes(t.Context(), lived, restored); err != nil || n != want {
			t.Fatalf("run %d carried %d deletes, want %d: %v", i, n, want, err)
		}
	}
	got, err := restored.Read(t.Context(), "c", 0, 99)
	if err != nil || len(got) != 13 {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	bare := map[parley.Seq]bool{1: true, 3: true, 5: true, 10: true, 11: true, 12: true, 13: true}
	for _, e := range got {
		if (len(e.Body.Data) == 0) != bare[e.Seq] {
			t.Errorf("entry %d reads %q", e.Seq, e.Body.Data)
		}
	}
	if e := got[11]; e.Kind != parley.KindDelete || e.Ref != 5 || e.ID != idOf("", made) || e.Count != 9 {
		t.Errorf("the delete is %+v", e)
	}
	if marked, err := restored.DirtyAfter(t.Context(), nil, "", 10); err != nil || !slices.Contains(marked, "c") {
		t.Errorf("nobody would hear of the deletes: %v", err)
	}
	other, err := restored.Read(t.Context(), "d", 0, 99)
	if err != nil || len(other) != 10 || string(other[9].Body.Data) != "text of the second life" {
		t.Errorf("a message of another life reads %q, %v", other[9].Body.Data, err)
	}
}

func idOf(ids string, seq parley.Seq) parley.MessageID {
	return parley.MessageID(fmt.Sprintf("id%s%d", ids, seq))
}

// add appends one entry and returns its number.
func (w *source) add(c parley.ConversationID, kind parley.Kind, ref parley.Seq, text string) parley.Seq {
	w.t.Helper()
	h := w.heads[c]
	e := parley.Entry{Conversation: c, Seq: h.Seq + 1, Kind: kind, Ref: ref, ID: idOf(w.ids, h.Seq+1), Sender: "ann", At: at(h.Seq + 1), Count: h.Count}
	if kind == parley.KindMessage {
		e.Count++
	}
	if text != "" {
		e.Body = parley.Body{Type: parley.TextPlain, Data: []byte(text)}
	}
	w.must(w.s.Append(w.t.Context(), store.Append{Conversation: c, Base: h.Seq, Entries: []parley.Entry{e}}))
	h.Seq, h.Count = e.Seq, e.Count
	w.heads[c] = h
	return e.Seq
}
