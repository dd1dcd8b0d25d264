package convo_test

import (
	"context"
	"testing"
	"testing/synctest"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/store"
)

// slowLoad is a log whose heads are read now and told later.
type slowLoad struct {
	store.Store
	hold chan struct{} // nil: at once
}

func (s *slowLoad) Load(ctx context.Context, c parley.ConversationID) (store.Head, error) {
	hold := s.hold
	h, err := s.Store.Load(ctx, c)
	if hold != nil {
		<-hold
	}
	return h, err
}

// TestMoved kills memory that is believed although another owner is known to
// have written, and memory that was read before it wrote and kept after.
func TestMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newStore(t)
		mine := &slowLoad{Store: shared}
		settled := func(c *convo.Config) { c.Term = func(parley.ConversationID) uint64 { return 1 } }
		o, _ := newOwner(t, mine, settled)
		other, _ := newOwner(t, shared, settled)
		c, _, err := o.Create(t.Context(), "u-a", parley.Group, "", []parley.UserID{"u-b"})
		if err != nil {
			t.Fatal(err)
		}
		head := func() parley.Seq {
			_, _, head, err := o.Get(t.Context(), "u-a", c.ID)
			if err != nil {
				t.Error(err)
			}
			return head
		}
		say := func(id string) {
			if _, err := post(other, c.ID, "u-b", id, "hello"); err != nil {
				t.Fatal(err)
			}
		}
		if got := head(); got != 1 {
			t.Fatalf("head %d", got)
		}
		say("2")
		o.Moved(c.ID, 2)
		if got := head(); got != 2 {
			t.Errorf("head %d after another owner wrote 2", got)
		}

		say("3")
		o.Moved(c.ID, 3)
		mine.hold = make(chan struct{})
		late := make(chan parley.Seq)
		go func() { late <- head() }()
		synctest.Wait()
		say("4")
		o.Moved(c.ID, 4)
		close(mine.hold)
		mine.hold = nil
		<-late
		if got := head(); got != 4 {
			t.Errorf("head %d after another owner wrote 4 while it was read", got)
		}
	})
}
