package router

import (
	"context"
	"fmt"
	"testing"

	parley "github.com/parley-im/parley"
)

// node records what it was asked.
type node struct{ asked []parley.ConversationID }

func (n *node) Post(p parley.Post, done func(parley.Ack, error)) {
	n.asked = append(n.asked, p.Conversation)
	done(parley.Ack{Conversation: p.Conversation}, nil)
}

func (n *node) Create(_ context.Context, by parley.UserID, kind parley.ConversationKind, _ string, members []parley.UserID) (parley.Conversation, bool, error) {
	c := parley.Conversation{ID: "g1", Kind: kind}
	if kind == parley.Direct {
		c.ID = parley.DirectID(by, members[0])
	}
	n.asked = append(n.asked, c.ID)
	return c, true, nil
}

func (n *node) Get(_ context.Context, _ parley.UserID, id parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error) {
	n.asked = append(n.asked, id)
	return parley.Conversation{}, parley.Member{}, 0, nil
}

func (n *node) Find(_ context.Context, _ parley.UserID, id parley.ConversationID, _ parley.MessageID) (parley.Seq, error) {
	n.asked = append(n.asked, id)
	return 0, nil
}

// TestEverythingOfOneConversationGoesToOneNode kills a router that hashes
// something else than the conversation in one of its calls.
func TestEverythingOfOneConversationGoesToOneNode(t *testing.T) {
	var even, odd node
	r := New(&even, func(shard int) Node {
		if shard%2 == 0 {
			return &even
		}
		return &odd
	})
	ctx := t.Context()
	for i := range 200 {
		peer := parley.UserID(fmt.Sprintf("u%d", i))
		c, _, err := r.Create(ctx, "u-alice", parley.Direct, "", []parley.UserID{peer})
		if err != nil {
			t.Fatal(err)
		}
		r.Post(parley.Post{Conversation: c.ID}, func(parley.Ack, error) {})
		_, _, _, _ = r.Get(ctx, peer, c.ID)
		_, _ = r.Find(ctx, peer, c.ID, "m")
	}
	for _, n := range []*node{&even, &odd} {
		if len(n.asked) < 4*50 {
			t.Errorf("a node was asked %d times; half of 800 calls should reach each", len(n.asked))
		}
		for i := 0; i < len(n.asked); i += 4 {
			for _, c := range n.asked[i : i+4] {
				if c != n.asked[i] {
					t.Fatalf("calls of one conversation went to two nodes: %v", n.asked[i:i+4])
				}
			}
		}
	}
}
