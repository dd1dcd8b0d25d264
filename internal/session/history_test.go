package session_test

import (
	"context"
	"fmt"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fold"
	"github.com/parley-im/parley/internal/session"
)

// countingActs counts how often acts are asked for.
type countingActs struct {
	of    fold.Acts
	asked *int
}

func (c countingActs) Acts(ctx context.Context, id parley.ConversationID, from, to parley.Seq) ([]parley.Act, error) {
	*c.asked++
	return c.of.Acts(ctx, id, from, to)
}

// TestLastNearTheHead kills a last message that asks the store for acts although
// they stand in memory, that misses those after it, or that is another one: rows
// are often a little behind their conversation.
func TestLastNearTheHead(t *testing.T) {
	n := newNode(t)
	asked := 0
	h := session.History{Conversations: n.owner, Fanout: n.fanout, Folder: fold.Folder{Acts: countingActs{n.store, &asked}, Log: n.store}}
	c := n.group("ann", "bob")
	said := n.post(c, "ann", "hello")
	done := make(chan error, 1)
	n.owner.Post(parley.Post{Conversation: c, Sender: "ann", ID: "e", Kind: parley.KindEdit, Ref: said.Seq,
		Body: parley.Body{Type: parley.TextPlain, Data: []byte("hello, world")}}, func(_ parley.Ack, err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for behind := range 40 {
		_, m, head, err := n.owner.Get(t.Context(), "bob", c)
		if err != nil {
			t.Fatal(err)
		}
		asked = 0
		got, err := h.Last(t.Context(), &m, c, said.Seq, head, 1)
		if err != nil || len(got) != 1 || got[0].Seq != said.Seq || string(got[0].Body.Data) != "hello, world" {
			t.Fatalf("%d behind: %v, %v", head-said.Seq, got, err)
		}
		if near := head-said.Seq <= 16; near != (asked == 0) {
			t.Errorf("%d behind: acts were asked for %d times", head-said.Seq, asked)
		}
		n.post(c, "bob", fmt.Sprint("m", behind))
	}
}
