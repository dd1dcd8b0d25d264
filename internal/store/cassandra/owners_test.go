package cassandra_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/cassandra"
)

// TestTwoOwners kills a number that two programs are told is theirs, and a
// loser that does not see what it lost to and tries for ever.
func TestTwoOwners(t *testing.T) {
	const each = 40
	cfg := config(t)
	owners := []*cassandra.Store{open(t, cfg), open(t, cfg)}
	names := []string{"a", "b"}
	won := make([][]parley.Seq, len(owners))
	var wg sync.WaitGroup
	for i, s := range owners {
		wg.Go(func() {
			h, err := s.Load(t.Context(), "c")
			for len(won[i]) < each && err == nil {
				err = s.Append(t.Context(), entries("c", h.Seq, 1, names[i]))
				if err == nil {
					h.Seq++
					won[i] = append(won[i], h.Seq)
					continue
				}
				if !errors.Is(err, store.ErrConflict) {
					break
				}
				lost := h.Seq + 1
				if h, err = s.Load(t.Context(), "c"); h.Seq < lost && err == nil {
					t.Errorf("owner %s lost %d and does not see it: the head is %d", names[i], lost, h.Seq)
				}
			}
			if err != nil {
				t.Errorf("owner %s: %v", names[i], err)
			}
		})
	}
	wg.Wait()
	by := make([]string, 2*each)
	for i := range owners {
		for _, seq := range won[i] {
			if by[seq-1] != "" {
				t.Errorf("%d was won by both", seq)
			}
			by[seq-1] = names[i]
		}
	}
	stands(t, owners[0], "c", by...)
}

// marked reports whether c is on the list of marked conversations.
func marked(t *testing.T, s store.Store, c parley.ConversationID) bool {
	t.Helper()
	list, err := s.DirtyAfter(t.Context(), nil, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(list, c)
}

func settle(t *testing.T, s store.Store, c parley.ConversationID, head parley.Seq) {
	t.Helper()
	if err := s.Settle(t.Context(), c, head); err != nil {
		t.Fatal(err)
	}
}

// TestMarkOutlivesAnotherOwner kills a successor that removes the mark an
// owner still relies on: the owner was only slow, and what it appends next,
// marked long ago, would be on no inbox if it then died.
func TestMarkOutlivesAnotherOwner(t *testing.T) {
	cfg := config(t)
	slow, successor := open(t, cfg), open(t, cfg)
	mustAppend(t, slow, entries("c", 0, 1, "a"))
	if !marked(t, successor, "c") {
		t.Fatal("the successor sees no mark")
	}
	settle(t, successor, "c", 1)
	if marked(t, successor, "c") {
		t.Fatal("settled, and still on the list")
	}
	mustAppend(t, slow, entries("c", 1, 1, "b")) // its mark stands, it believes
	if !marked(t, successor, "c") {
		t.Error("an entry whose owner relied on its mark is on no list")
	}
	// The successor appends, marks and removes what it settles.
	mustAppend(t, successor, entries("c", 2, 1, "c"))
	settle(t, successor, "c", 3)
	mustAppend(t, slow, entries("c", 3, 1, "d"))
	if !marked(t, successor, "c") {
		t.Error("an entry of an owner whose mark another removed is on no list")
	}
	// Settling what is no longer the head leaves the mark, whoever does it.
	for _, s := range []*cassandra.Store{slow, successor} {
		settle(t, s, "c", 3)
		settle(t, s, "c", 9)
		if !marked(t, s, "c") {
			t.Error("settled at a number that is not the head")
		}
	}
	settle(t, slow, "c", 4)
	if marked(t, slow, "c") || marked(t, successor, "c") {
		t.Error("settled by the last to append, and still on the list")
	}
}

// TestLateMark kills a removal that arrives after the mark of what came next.
func TestLateMark(t *testing.T) {
	s := open(t, config(t))
	mustAppend(t, s, entries("c", 0, 1, "a"))
	settle(t, s, "c", 1)
	mustAppend(t, s, entries("c", 1, 1, "b"))
	shard := parley.ShardOf("c")
	err := s.Session().Query(`DELETE FROM dirty USING TIMESTAMP 3 WHERE slice = ? AND shard = ? AND conversation = 'c'`, shard/16, shard).Exec()
	if err != nil {
		t.Fatal(err)
	}
	if !marked(t, s, "c") {
		t.Error("the removal of the mark before removed the one after")
	}
}

// TestOpenAtOnce kills programs that trip over each other's schema.
func TestOpenAtOnce(t *testing.T) {
	cfg := config(t)
	var wg sync.WaitGroup
	epochs := make([]parley.Epoch, 4)
	for i := range epochs {
		wg.Go(func() {
			s, err := cassandra.Open(t.Context(), cfg)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			epochs[i] = s.Epoch()
			if err := s.Append(t.Context(), entries("c", 0, 1, "a")); err != nil && !errors.Is(err, store.ErrConflict) {
				t.Errorf("append: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	wg.Wait()
	for _, e := range epochs[1:] {
		if e != epochs[0] {
			t.Errorf("epochs %q", epochs)
		}
	}
}
