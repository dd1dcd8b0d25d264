package client

import (
	"context"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// remembered is how many ids of entries a thread remembers.
const remembered = 256

// threads is the Store of Follow. What it told cannot be told back, so it
// answers a reset by finding out, for each conversation, up to where what it
// told is still true. One goroutine uses it.
type threads struct {
	client *Client
	cursor string
	of     map[parley.ConversationID]*thread
}

// thread is one conversation as it was told.
type thread struct {
	held  parley.Seq
	doubt bool                            // the server's history may have changed
	ids   map[parley.Seq]parley.MessageID // of the last entries told
}

func newThreads(c *Client, after map[parley.ConversationID]parley.Seq) *threads {
	t := &threads{client: c, of: map[parley.ConversationID]*thread{}}
	for conv, seq := range after {
		t.of[conv] = &thread{held: seq, ids: map[parley.Seq]parley.MessageID{}}
	}
	return t
}

// told notes an entry.
func (t *threads) told(e *Entry) {
	th := t.of[e.Conversation]
	if th == nil {
		th = &thread{ids: map[parley.Seq]parley.MessageID{}}
		t.of[e.Conversation] = th
	}
	th.held = e.Seq
	th.ids[e.Seq] = e.ID
	delete(th.ids, e.Seq-min(e.Seq, remembered))
}

// Cursor implements Store.
func (t *threads) Cursor(context.Context) (string, error) { return t.cursor, nil }

// Held implements Store.
func (t *threads) Held(ctx context.Context, conv parley.ConversationID) (parley.Seq, bool, error) {
	th := t.of[conv]
	if th == nil {
		return 0, false, nil
	}
	if th.doubt {
		held, err := t.common(ctx, conv, th)
		if err != nil {
			return 0, false, err
		}
		th.held, th.doubt = held, false
	}
	return th.held, true, nil
}

// common returns the newest number at which the server has the entry that was
// told.
func (t *threads) common(ctx context.Context, conv parley.ConversationID, th *thread) (parley.Seq, error) {
	page, err := t.client.Before(ctx, conv, th.held+1, wire.MaxLimit)
	if err != nil {
		return 0, err
	}
	held := min(th.held, page.Head)
	for _, e := range page.Entries {
		id, known := th.ids[e.Seq]
		if !known || id == e.ID {
			return min(held, e.Seq), nil
		}
		held = e.Seq - 1
	}
	return held, nil
}

// Keep implements Store.
func (t *threads) Keep(_ context.Context, n *News) error {
	if n.Reset {
		t.cursor = ""
		for _, th := range t.of {
			th.doubt = true
		}
	}
	for i := range n.Entries {
		t.told(&n.Entries[i])
	}
	if n.Cursor != "" {
		t.cursor = n.Cursor
	}
	return nil
}
